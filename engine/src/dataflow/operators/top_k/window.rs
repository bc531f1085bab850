//! Windows over ordered keys, and how they differ.

use std::sync::Arc;

/// A run of keys and how often each is in it.
pub type Run = Vec<(Arc<[u8]>, i64)>;

/// How much of the window is still to be filled.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub skip: u64,
    pub take: u64,
}

impl Window {
    /// How many of an entry's copies are in the window.
    pub fn clip(&mut self, weight: i64) -> i64 {
        let weight = u64::try_from(weight).unwrap_or(0);
        let skipped = weight.min(self.skip);
        self.skip -= skipped;
        let taken = (weight - skipped).min(self.take);
        self.take -= taken;
        taken as i64
    }

    pub fn is_full(&self) -> bool {
        self.take == 0
    }
}

/// `after - before`, of two runs in order.
pub fn difference(before: &[(Arc<[u8]>, i64)], after: &[(Arc<[u8]>, i64)], net: &mut Run) {
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    loop {
        let order = match (before.peek(), after.peek()) {
            (None, None) => return,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((old, _)), Some((new, _))) => old.cmp(new),
        };
        let old = if order.is_le() { before.next() } else { None };
        let new = if order.is_ge() { after.next() } else { None };
        let weight = new.map_or(0, |(_, weight)| *weight) - old.map_or(0, |(_, weight)| *weight);
        if let (Some((key, _)), true) = (old.or(new), weight != 0) {
            net.push((key.clone(), weight));
        }
    }
}
