//! Finding the rows that an expression fails on.

use crate::data::ZSet;
use crate::dataflow::Rejected;
use crate::error::Result;

/// Evaluates all rows at once and, only where that fails, halves them until the failing rows stand alone; those are
/// rejected. One bad row of n costs log n further evaluations, and none bad cost nothing. `evaluate` is told at which row
/// its rows begin.
pub(super) fn isolate<T>(
    rows: &ZSet,
    evaluate: &dyn Fn(usize, &ZSet) -> Result<T>,
    results: &mut Vec<T>,
    rejected: &mut Vec<Rejected>,
) {
    let mut waiting = vec![(0, rows.len())];
    while let Some((first, count)) = waiting.pop() {
        let part = rows.slice(first, count);
        match evaluate(first, &part) {
            Ok(result) => results.push(result),
            Err(error) if count <= 1 => rejected.push(Rejected { error, row: part }),
            Err(_) => {
                let half = count / 2;
                waiting.extend([(first + half, count - half), (first, half)]);
            }
        }
    }
}
