//! How far a topic has been read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Per partition, the offset of the next message to read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offsets(pub BTreeMap<i32, i64>);

impl Offsets {
    pub fn get(&self, partition: i32) -> Option<i64> {
        self.0.get(&partition).copied()
    }

    pub fn set(&mut self, partition: i32, next: i64) {
        self.0.insert(partition, next);
    }

    /// Takes over the offsets of the partitions that `later` names, where they are later: reading never goes back.
    pub fn advance(&mut self, later: &Offsets) {
        for (partition, next) in later.iter() {
            self.0.entry(partition).and_modify(|own| *own = next.max(*own)).or_insert(next);
        }
    }

    /// Whether every partition that `end` names has been read to there. A partition that is not named here stands at 0.
    pub fn reaches(&self, end: &Offsets) -> bool {
        end.0.iter().all(|(partition, end)| self.get(*partition).unwrap_or(0) >= *end)
    }

    pub fn iter(&self) -> impl Iterator<Item = (i32, i64)> {
        self.0.iter().map(|(partition, next)| (*partition, *next))
    }
}

impl FromIterator<(i32, i64)> for Offsets {
    fn from_iter<T: IntoIterator<Item = (i32, i64)>>(offsets: T) -> Offsets {
        Offsets(offsets.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_never_go_back() {
        let mut offsets: Offsets = [(0, 5), (1, 5)].into_iter().collect();
        offsets.advance(&[(0, 3), (1, 9), (2, 1)].into_iter().collect());
        assert_eq!(offsets, [(0, 5), (1, 9), (2, 1)].into_iter().collect());
    }
}
