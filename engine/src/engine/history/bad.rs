//! Messages of histories that are no rows, until a step takes them.

use std::collections::{BTreeMap, VecDeque};

use crate::data::ObjectId;
use crate::engine::tally::{Counts, Told};
use crate::source::{BadRecord, Offsets, TopicId};

/// Messages are kept up to so many, and so many bytes.
const MOST: usize = 100_000;
const MOST_BYTES: usize = 64 << 20;

/// A message that is no row, with its source and the name of that.
pub type Bad = (ObjectId, String, BadRecord);

/// The last messages that histories found to be no rows, each once. Older ones go, as they do from the table that they are
/// for, and are counted.
#[derive(Default)]
pub struct BadHistory {
    records: VecDeque<Bad>,
    bytes: usize,
    /// How many have gone, by source and partition.
    gone: BTreeMap<(ObjectId, i32), u64>,
    /// Where all have been found, and no step knows yet.
    told: BTreeMap<ObjectId, Told>,
}

/// What a history has looked through.
pub struct Looked<'a> {
    pub source: ObjectId,
    pub name: &'a str,
    pub topic: Option<&'a TopicId>,
    /// Where it was before. All `to` there has been looked through; partitions that `to` does not name have not moved.
    pub from: &'a Offsets,
    pub to: &'a Offsets,
}

impl BadHistory {
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Takes in the messages that are no rows of what was looked through, but for those that others have told of.
    pub fn add(&mut self, looked: &Looked<'_>, bad: Vec<BadRecord>, counts: &Counts) {
        let Looked { source, name, topic, from, to } = *looked;
        let told = self.told.entry(source).or_default();
        let news = bad.into_iter().filter(|record| {
            !told.has(record.partition, record.offset)
                && !counts.is_told(source, topic, record.partition, record.offset)
        });
        for record in news {
            self.bytes += record.bytes();
            self.records.push_back((source, name.to_owned(), record));
        }
        // Not of a topic that is there no more.
        if !counts.is_of_another(source, topic) {
            to.iter().for_each(|(partition, to)| told.add(partition, from.get(partition).unwrap_or(0), to));
        }
        while self.records.len() > MOST || (self.bytes > MOST_BYTES && self.records.len() > 1) {
            let Some((source, _, record)) = self.records.pop_front() else { break };
            self.bytes -= record.bytes();
            *self.gone.entry((source, record.partition)).or_default() += 1;
        }
    }

    /// The messages found since the last call. They count from now on, as do those that have gone.
    pub fn take(&mut self, counts: &Counts) -> Vec<Bad> {
        let BadHistory { records, gone, told, .. } = std::mem::take(self);
        records.iter().for_each(|(source, _, record)| counts.bad(*source, record.partition, 1));
        gone.into_iter().for_each(|((source, partition), gone)| counts.bad(source, partition, gone));
        told.iter().for_each(|(source, told)| counts.tell(*source, told));
        records.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: ObjectId = ObjectId(20_000);

    fn bad(offsets: impl Iterator<Item = i64>, bytes: usize) -> Vec<BadRecord> {
        let record = |offset| BadRecord {
            partition: 0,
            offset,
            timestamp_ms: None,
            key: None,
            value: Some(vec![b'x'; bytes].into()),
            error: "not JSON".into(),
        };
        offsets.map(record).collect()
    }

    fn look(history: &mut BadHistory, counts: &Counts, from: i64, to: i64, bad: Vec<BadRecord>) {
        let at = |offset| [(0, offset)].into_iter().collect::<Offsets>();
        let looked = Looked { source: SOURCE, name: "s", topic: None, from: &at(from), to: &at(to) };
        history.add(&looked, bad, counts);
    }

    fn offsets(bad: &[Bad]) -> Vec<i64> {
        bad.iter().map(|(.., record)| record.offset).collect()
    }

    #[test]
    fn a_message_is_found_once() {
        let (mut history, counts) = (BadHistory::default(), Counts::default());
        look(&mut history, &counts, 0, 8, bad([3, 7].into_iter(), 1));
        // Another history of the same, and then the rest of the first.
        look(&mut history, &counts, 0, 4, bad([3].into_iter(), 1));
        look(&mut history, &counts, 4, 10, bad([7, 9].into_iter(), 1));
        look(&mut history, &counts, 8, 20, Vec::new());
        assert_eq!(offsets(&history.take(&counts)), [3, 7, 9]);
        look(&mut history, &counts, 0, 30, bad([3, 7, 9, 19, 20, 29].into_iter(), 1));
        assert_eq!(offsets(&history.take(&counts)), [20, 29]);
        assert!(history.is_empty() && history.take(&counts).is_empty());
        assert_eq!(counts.all()[&SOURCE][&0].bad, 5);
    }

    #[test]
    fn what_there_is_no_room_for_is_counted() {
        let (mut history, counts) = (BadHistory::default(), Counts::default());
        let all = MOST as i64 + 50;
        for round in 1..=2 {
            look(&mut history, &counts, 0, all, bad(0..all, 1));
            let taken = offsets(&history.take(&counts));
            // None of those that have gone comes back in place of a newer one.
            let kept = if round == 1 { 50..all } else { 0..0 };
            assert_eq!(taken, kept.collect::<Vec<_>>());
            assert_eq!(counts.all()[&SOURCE][&0].bad, all.unsigned_abs());
        }
        look(&mut history, &counts, all, all + 3, bad(all..all + 3, MOST_BYTES / 2));
        assert_eq!(offsets(&history.take(&counts)), [all + 1, all + 2]);
        assert_eq!(counts.all()[&SOURCE][&0].bad, all.unsigned_abs() + 3);
    }
}
