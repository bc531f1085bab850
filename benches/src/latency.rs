//! Many latencies as a few figures.

/// The value that so large a share of the sorted values does not exceed; None when there are none.
pub fn quantile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let index = (sorted.len() as f64 * share) as usize;
    sorted.get(index.min(sorted.len().saturating_sub(1))).copied()
}
