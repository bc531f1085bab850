//! Of which messages it has been told whether they are rows.
//!
//! The history of a source is read for every view anew, and finds the same messages that are no rows. Kept are the stretches
//! of offsets that were looked through, not the messages: there may be any number of those, and their rows in
//! `levada_catalog.source_errors` make room for others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::source::{Delivery, Offsets, Place, TopicId, Turn};

/// Stretches of a topic that were looked through, by partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// None from brokers that give topics no ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    topic: Option<TopicId>,
    partitions: BTreeMap<i32, Stretches>,
}

impl Told {
    /// Whether it has been told of a message.
    pub fn has(&self, partition: i32, offset: i64) -> bool {
        self.partitions.get(&partition).is_some_and(|told| told.has(offset))
    }

    /// Whether a topic is known to be another one.
    pub fn is_of_another(&self, topic: Option<&TopicId>) -> bool {
        topic.zip(self.topic.as_ref()).is_some_and(|(topic, own)| topic != own)
    }

    /// It has been told of all messages of a partition `from` an offset up to, not including, another.
    pub fn add(&mut self, partition: i32, from: i64, to: i64) {
        if from < to {
            self.partitions.entry(partition).or_default().add(from, to);
        }
    }

    /// Takes in what was told of a stretch, or of several.
    pub fn add_all(&mut self, others: &Told) {
        for (partition, stretches) in &others.partitions {
            stretches.0.iter().for_each(|(from, to)| self.add(*partition, *from, *to));
        }
    }

    /// The steps read from here on. Behind the end that a log has, and in another topic, everything is new.
    pub fn begin(&mut self, read: &Place) {
        if self.is_of_another(read.topic.as_ref()) {
            self.partitions.clear();
        }
        if read.topic.is_some() {
            self.topic.clone_from(&read.topic);
        }
        self.cut(&read.offsets);
    }

    /// A step has taken in a delivery, `before` which it was at these offsets.
    pub fn advance(&mut self, delivery: &Delivery, before: &Offsets) {
        match &delivery.turn {
            Some(Turn::Topic(topic)) => *self = Told { topic: Some(topic.clone()), ..Told::default() },
            Some(Turn::Back) => return self.cut(&delivery.offsets),
            Some(Turn::Learned(topic)) => self.topic = Some(topic.clone()),
            None => {}
        }
        if !matches!(delivery.turn, Some(Turn::Topic(_))) {
            for (partition, next) in delivery.offsets.iter() {
                // A partition that was not there before is read from its beginning.
                self.add(partition, before.get(partition).unwrap_or(0), next);
            }
        }
    }

    fn cut(&mut self, ends: &Offsets) {
        for (partition, end) in ends.iter() {
            self.partitions.entry(partition).and_modify(|told| told.cut(end));
        }
    }
}

/// Offsets `from..to`, by `from`; no two of them touch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Stretches(BTreeMap<i64, i64>);

impl Stretches {
    fn has(&self, offset: i64) -> bool {
        self.0.range(..=offset).next_back().is_some_and(|(_, to)| offset < *to)
    }

    fn add(&mut self, mut from: i64, mut to: i64) {
        while let Some((before, end)) = self.0.range(..=to).next_back().map(|(before, end)| (*before, *end)) {
            if end < from {
                break;
            }
            self.0.remove(&before);
            (from, to) = (from.min(before), to.max(end));
        }
        self.0.insert(from, to);
    }

    /// Leaves what is before an offset.
    fn cut(&mut self, end: i64) {
        drop(self.0.split_off(&end));
        if let Some((_, to)) = self.0.iter_mut().next_back() {
            *to = end.min(*to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretches(told: &Told, partition: i32) -> Vec<(i64, i64)> {
        told.partitions.get(&partition).map(|told| told.0.clone()).unwrap_or_default().into_iter().collect()
    }

    /// Against a set of offsets.
    #[test]
    fn stretches_are_sets_of_offsets() {
        let (mut told, mut model) = (Stretches::default(), std::collections::BTreeSet::new());
        let mut number = 7_u64;
        let mut next = |below: u64| {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((number >> 33) % below) as i64
        };
        for _ in 0..5_000 {
            let from = next(200);
            if next(20) == 0 {
                told.cut(from);
                model.retain(|offset| *offset < from);
            } else {
                let to = from + 1 + next(12);
                told.add(from, to);
                model.extend(from..to);
            }
            assert!((0..220).all(|offset| told.has(offset) == model.contains(&offset)), "{told:?} {model:?}");
            let ends = told.0.values().zip(told.0.keys().skip(1));
            assert!(ends.clone().count() == told.0.len().saturating_sub(1) && ends.clone().all(|(to, next)| to < next));
        }
    }

    #[test]
    fn another_topic_is_told_of_anew() {
        let topic = |id: &str| Some(TopicId(id.to_owned()));
        let read = |id: &str, ends: [(i32, i64); 2]| Place { offsets: ends.into_iter().collect(), topic: topic(id) };
        let mut told = Told::default();
        told.begin(&read("a", [(0, 10), (1, 10)]));
        told.add(0, 0, 10);
        told.add(1, 5, 5);
        told.add(1, 5, 9);
        assert!(told.has(0, 9) && !told.has(0, 10) && !told.has(1, 4) && told.has(1, 8) && !told.has(2, 0));
        assert!(told.is_of_another(topic("b").as_ref()));
        assert!(!told.is_of_another(topic("a").as_ref()) && !told.is_of_another(None));
        // Messages that were cut off while nobody read make room for others.
        told.begin(&read("a", [(0, 4), (1, 20)]));
        assert_eq!((stretches(&told, 0), stretches(&told, 1)), (vec![(0, 4)], vec![(5, 9)]));
        told.begin(&read("b", [(0, 4), (1, 20)]));
        assert!(told.partitions.is_empty() && !told.is_of_another(topic("b").as_ref()));
    }
}
