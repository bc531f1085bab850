//! What is known of a node's output without looking at it.

use std::collections::{BTreeMap, BTreeSet};

use crate::data::ObjectId;

/// Properties of a relation, derived from those of its inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// Sets of columns in which no two rows agree (NULL agreeing with NULL). The empty set: at most one row.
    pub keys: Vec<Vec<usize>>,
    /// Rows only ever come.
    pub append_only: bool,
    /// The columns that follow event time.
    pub event_times: BTreeMap<usize, EventTime>,
}

/// How a column follows the watermarks of the sources its rows come from: the rows of a value stop coming when the least of
/// them reaches the value and `lag`, but for late ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventTime {
    pub sources: BTreeSet<ObjectId>,
    /// In microseconds.
    pub lag: i64,
}

impl EventTime {
    /// Of the column that a source's watermark is for: the watermark promises that no row below it comes.
    pub fn of(source: ObjectId) -> EventTime {
        EventTime { sources: BTreeSet::from([source]), lag: 1 }
    }

    /// Of a value that is at most so much less than this one.
    pub fn behind(&self, micros: i64) -> EventTime {
        EventTime { sources: self.sources.clone(), lag: self.lag.saturating_add(micros) }
    }

    /// Of rows of both.
    fn merged(&self, other: &EventTime) -> EventTime {
        let sources = self.sources.union(&other.sources).copied().collect();
        EventTime { sources, lag: self.lag.max(other.lag) }
    }
}

impl Properties {
    /// Of a relation that nothing is known of.
    pub fn unknown() -> Properties {
        Properties::default()
    }

    /// The key with the fewest columns, the first of equals.
    pub fn best_key(&self) -> Option<&Vec<usize>> {
        self.keys.iter().min_by_key(|key| key.len())
    }

    /// Whether no two rows agree in all of these columns.
    pub fn is_unique(&self, columns: &[usize]) -> bool {
        self.keys.iter().any(|key| key.iter().all(|column| columns.contains(column)))
    }

    /// Of the rows reduced to some columns: `columns[i]` says which one stands at place i, None where it is computed.
    pub fn project(&self, columns: &[Option<usize>]) -> Properties {
        let place = |column: &usize| columns.iter().position(|source| source.as_ref() == Some(column));
        let keys = self.keys.iter().filter_map(|key| key.iter().map(place).collect()).collect();
        let time = |(at, source): (usize, &Option<usize>)| Some((at, self.event_times.get(source.as_ref()?)?.clone()));
        let event_times = columns.iter().enumerate().filter_map(time).collect();
        Properties { keys, append_only: self.append_only, event_times }
    }

    /// Of the rows of several relations one after the other.
    pub fn union(all: &[Properties]) -> Properties {
        let mut times = all.first().map(|first| first.event_times.clone()).unwrap_or_default();
        for other in all.iter().skip(1) {
            times.retain(|column, time| {
                other.event_times.get(column).is_some_and(|more| {
                    *time = time.merged(more);
                    true
                })
            });
        }
        Properties { keys: Vec::new(), append_only: all.iter().all(|one| one.append_only), event_times: times }
    }

    /// The keys of pairs of rows: of each left row with each right row, whose columns come after `left_width` others.
    pub fn pair_keys(&self, right: &Properties, left_width: usize) -> Vec<Vec<usize>> {
        let shifted = |key: &Vec<usize>| key.iter().map(|column| column + left_width).collect::<Vec<_>>();
        let pairs = self.keys.iter().flat_map(|left| right.keys.iter().map(move |right| (left, right)));
        pairs.map(|(left, right)| left.iter().copied().chain(shifted(right)).collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_a_projection_that_keeps_their_columns() {
        let properties = Properties { keys: vec![vec![0, 2], vec![1]], append_only: true, ..Properties::default() };
        let projected = properties.project(&[Some(2), None, Some(0)]);
        assert_eq!(projected.keys, vec![vec![2, 0]]);
        assert!(projected.append_only);
        assert!(properties.is_unique(&[3, 1]) && !properties.is_unique(&[0]));
    }

    #[test]
    fn rows_of_several_relations_are_as_late_as_the_latest() {
        let one = |source: u32, lag| Properties {
            event_times: BTreeMap::from([(0, EventTime { lag, ..EventTime::of(ObjectId(source)) })]),
            append_only: true,
            ..Properties::default()
        };
        let both = Properties::union(&[one(1, 5), one(2, 9)]);
        let time = EventTime { sources: BTreeSet::from([ObjectId(1), ObjectId(2)]), lag: 9 };
        assert_eq!(both.event_times, BTreeMap::from([(0, time.clone())]));
        assert!(both.append_only);
        assert_eq!(both.project(&[None, Some(0)]).event_times, BTreeMap::from([(1, time)]));
        assert!(Properties::union(&[one(1, 5), Properties::unknown()]).event_times.is_empty());
    }

    #[test]
    fn a_pair_is_told_by_both_keys() {
        let left = Properties { keys: vec![vec![0]], append_only: true, ..Properties::default() };
        let right = Properties { keys: vec![vec![1], vec![]], append_only: true, ..Properties::default() };
        assert_eq!(left.pair_keys(&right, 3), vec![vec![0, 4], vec![0]]);
    }
}
