//! How far a topic has been read.

use std::collections::BTreeMap;
use std::fmt;

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

    /// How many offsets there are from `from` up to here. A partition that `from` does not name begins at 0.
    pub fn after(&self, from: &Offsets) -> u64 {
        self.iter().map(|(partition, end)| (end - from.get(partition).unwrap_or(0)).max(0).unsigned_abs()).sum()
    }

    pub fn iter(&self) -> impl Iterator<Item = (i32, i64)> {
        self.0.iter().map(|(partition, next)| (*partition, *next))
    }
}

/// What Kafka calls a topic besides its name: one that is deleted and made anew has another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicId(pub String);

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How far a topic has been read, and which one that was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub offsets: Offsets,
    /// None from brokers that give topics no ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<TopicId>,
}

/// Reading goes on elsewhere than after the last offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// In this topic, which was made anew: of the one before nothing counts any more.
    Topic(TopicId),
    /// In the same topic, after the last offset as ever: what Kafka calls it is known now.
    Learned(TopicId),
    /// In the same topic, further back: the log of a partition was cut off.
    Back,
}

impl Place {
    /// Takes note of offsets that were reached, after a turn if there was one.
    pub fn advance(&mut self, reached: &Offsets, turn: Option<&Turn>) {
        match turn {
            None => self.offsets.advance(reached),
            Some(Turn::Topic(topic)) => *self = Place { offsets: reached.clone(), topic: Some(topic.clone()) },
            Some(Turn::Learned(topic)) => {
                self.offsets.advance(reached);
                self.topic = Some(topic.clone());
            }
            Some(Turn::Back) => reached.iter().for_each(|(partition, next)| self.offsets.set(partition, next)),
        }
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

    fn offsets(offsets: &[(i32, i64)]) -> Offsets {
        offsets.iter().copied().collect()
    }

    #[test]
    fn a_topic_that_was_made_anew_begins_anew() {
        let topic = |id: &str| TopicId(id.to_owned());
        let read = Place { offsets: offsets(&[(0, 5), (1, 7)]), topic: None };
        let mut place = read.clone();
        place.advance(&offsets(&[(0, 6)]), Some(&Turn::Learned(topic("a"))));
        assert_eq!(place.offsets, offsets(&[(0, 6), (1, 7)]));
        place.advance(&offsets(&[(0, 2)]), None);
        place.advance(&offsets(&[(1, 3)]), Some(&Turn::Back));
        assert_eq!(place.offsets, offsets(&[(0, 6), (1, 3)]));
        // The one before may never have been called anything.
        for mut place in [read, place] {
            place.advance(&offsets(&[(0, 0)]), Some(&Turn::Topic(topic("b"))));
            assert_eq!(place, Place { offsets: offsets(&[(0, 0)]), topic: Some(topic("b")) });
        }
    }

    #[test]
    fn a_stretch_has_the_offsets_between_its_ends() {
        let end = offsets(&[(0, 10), (1, 5), (2, 7)]);
        assert_eq!(end.after(&offsets(&[(0, 4), (1, 6), (3, 9)])), 6 + 7);
        assert_eq!(end.after(&end), 0);
    }

    #[test]
    fn offsets_never_go_back() {
        let mut offsets: Offsets = [(0, 5), (1, 5)].into_iter().collect();
        offsets.advance(&[(0, 3), (1, 9), (2, 1)].into_iter().collect());
        assert_eq!(offsets, [(0, 5), (1, 9), (2, 1)].into_iter().collect());
    }
}
