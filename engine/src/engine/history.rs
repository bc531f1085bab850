//! The history of sources: what was in their topics before a view was, read from Kafka again.
//!
//! A view over a source begins with the messages from where the source begins up to the offsets that the steps have
//! taken in; the steps bring those after. So all views over a source have seen the same messages at every epoch.

mod bad;

use std::collections::BTreeMap;
use std::sync::Arc;

use bad::{Bad, BadHistory, Looked};
use parking_lot::Mutex;

use crate::catalog::{Catalog, Item, Partial};
use crate::data::{ObjectId, Parts, ZSet};
use crate::dataflow::Rows;
use crate::decode;
use crate::engine::event_time::SourceTime;
use crate::engine::tally::Counts;
use crate::error::{Error, Result};
use crate::source::{
    BadRecord, Delivery, Extent, History, Intake, Kafka, Offsets, Part, Place, SourceSpec, TopicId, extent,
};
use crate::sql::normalize_jsonb;

/// How far sources have been taken in, and what reads what they had before. Its clones are one.
#[derive(Clone)]
pub struct Histories(Arc<Shared>);

struct Shared {
    intake: Arc<Intake>,
    /// How far the steps have taken in what is read.
    read: Mutex<BTreeMap<ObjectId, Place>>,
    bad: Mutex<BadHistory>,
    /// What of sources is no row.
    counts: Counts,
    /// Views that found less history than there was when they were made, by source.
    shortened: Mutex<BTreeMap<ObjectId, BTreeMap<ObjectId, Partial>>>,
    /// What the histories that were read to their end said of event time, by view and source.
    times: Mutex<BTreeMap<ObjectId, BTreeMap<ObjectId, SourceTime>>>,
}

impl Histories {
    pub fn new(intake: Arc<Intake>, read: BTreeMap<ObjectId, Place>, counts: Counts) -> Histories {
        let (bad, shortened, times) = Default::default();
        Histories(Arc::new(Shared { intake, read: Mutex::new(read), bad, counts, shortened, times }))
    }

    /// What of sources is no row.
    pub fn counts(&self) -> &Counts {
        &self.0.counts
    }

    /// Memory and threads of readers.
    pub fn intake(&self) -> &Arc<Intake> {
        &self.0.intake
    }

    /// The steps begin to read a source from here.
    pub fn begin(&self, source: ObjectId, read: &Place) {
        self.0.counts.begin(source, read);
        self.0.read.lock().insert(source, read.clone());
    }

    /// Takes note of a delivery that a step has taken in.
    pub fn advance(&self, delivery: &Delivery) {
        let mut read = self.0.read.lock();
        let read = read.entry(delivery.relation).or_default();
        self.0.counts.advance(delivery, &read.offsets);
        read.advance(&delivery.offsets, delivery.turn.as_ref());
    }

    /// Forgets the offsets of others, and returns those.
    pub fn retain(&self, is_read: impl Fn(ObjectId) -> bool) -> BTreeMap<ObjectId, Place> {
        self.0.read.lock().extract_if(.., |source, _| !is_read(*source)).collect()
    }

    /// How far the steps have taken in what is read.
    pub fn places(&self) -> BTreeMap<ObjectId, Place> {
        self.0.read.lock().clone()
    }

    /// Whether the steps have taken in what is read of a source as far as this, or read another topic by now.
    pub fn has_reached(&self, source: ObjectId, place: &Place) -> bool {
        self.0.read.lock().get(&source).is_some_and(|read| {
            let other = read.topic.as_ref().zip(place.topic.as_ref()).is_some_and(|(now, then)| now != then);
            other || read.offsets.reaches(&place.offsets)
        })
    }

    /// How far the steps have taken in a partition.
    pub fn taken_in(&self, source: ObjectId, partition: i32) -> Option<i64> {
        self.0.read.lock().get(&source).and_then(|read| read.offsets.get(partition))
    }

    /// The wanted parts of the rows of a source from where a view begins up to where the steps are now; read by another
    /// thread, later; and how many offsets they have. Messages that are no rows are left for [`take_bad`](Histories::take_bad).
    ///
    /// # Errors
    /// XX000 for a source that is not read. Whatever [`History`] gives comes with the rows.
    pub fn read(&self, catalog: &Catalog, source: ObjectId, view: ObjectId, wanted: &Parts) -> Result<(Rows, u64)> {
        let read = self.0.read.lock().get(&source).cloned();
        let (Some(item), Some(Place { offsets, topic })) = (catalog.by_id(source), read) else {
            return Err(Error::internal(format!("relation {source} has no rows to begin with")));
        };
        let spec = Arc::new(spec_of(item)?);
        let topic = topic.or_else(|| spec.kafka.topic_id.clone());
        let mut from = spec.kafka.start_in(topic.as_ref());
        let mut to = from.clone();
        to.advance(&offsets);
        if let Some(partial) = catalog.by_id(view).and_then(|view| view.partial(source)) {
            from.advance(&Offsets(partial.first.clone()));
        }
        let (histories, name, times) = (self.clone(), item.name.clone(), SourceTime::default());
        let mut wanted = wanted.clone();
        // The watermark is nobody's node.
        wanted.extend(&Parts::columns(spec.watermark.map(|watermark| watermark.column)));
        let (history, ended, offsets) = (None, false, to.after(&from));
        let told = from.clone();
        let reading =
            Reading { histories, view, source, name, spec, wanted, topic, from, to, told, times, history, ended };
        Ok((Box::new(reading), offsets))
    }

    /// Whether there are messages for [`take_bad`](Histories::take_bad).
    pub fn has_bad(&self) -> bool {
        !self.0.bad.lock().is_empty()
    }

    /// Messages found to be no rows since the last call, each for the first time; they are counted.
    pub fn take_bad(&self) -> Vec<Bad> {
        self.0.bad.lock().take(&self.0.counts)
    }

    /// What the histories that a view has read said of event time, by source.
    pub fn take_times(&self, view: ObjectId) -> BTreeMap<ObjectId, SourceTime> {
        self.0.times.lock().remove(&view).unwrap_or_default()
    }

    /// What a view can have of the history of its sources where that is less than it was told.
    pub fn take_shortened(&self, view: ObjectId) -> BTreeMap<ObjectId, Partial> {
        self.0.shortened.lock().remove(&view).unwrap_or_default()
    }
}

/// A history that is about to be read.
struct Reading {
    histories: Histories,
    view: ObjectId,
    source: ObjectId,
    name: String,
    spec: Arc<SourceSpec>,
    wanted: Parts,
    topic: Option<TopicId>,
    from: Offsets,
    to: Offsets,
    /// Up to where others know which messages are no rows.
    told: Offsets,
    /// What was read says of event time.
    times: SourceTime,
    /// None before the first part.
    history: Option<History>,
    ended: bool,
}

impl Reading {
    fn part(&mut self) -> Result<Option<ZSet>> {
        let history = match &mut self.history {
            Some(history) => history,
            None => {
                let decoder = decode::decoder(&self.spec, &self.wanted, normalize_jsonb)?;
                let (spec, intake) = (self.spec.clone(), self.histories.intake().clone());
                let to = Place { offsets: self.to.clone(), topic: self.topic.clone() };
                let history = History::open(spec, &self.from, &to, decoder, intake, Box::new(|| false))?;
                self.history.insert(history)
            }
        };
        let Some(part) = history.next() else {
            self.tell_bad(Vec::new(), &self.to.clone());
            self.tell_times();
            return Ok(None);
        };
        let Part { rows, runs, bad } = match part {
            Ok(part) => part,
            Err(error) => {
                if history.is_gone() {
                    self.shorten();
                }
                return Err(error);
            }
        };
        if !bad.is_empty() {
            // Those of a partition come in the order of its offsets.
            let mut looked = Offsets::default();
            bad.iter().for_each(|record| looked.set(record.partition, record.offset + 1));
            self.tell_bad(bad, &looked);
        }
        if let Some(watermark) = &self.spec.watermark {
            // What is too far ahead is told when the steps take it in: they have a clock.
            self.times.read(watermark, &rows, &runs, None, i64::MAX)?;
        }
        Ok(Some(ZSet::inserts(rows)))
    }

    /// Up to there, these are the messages that are no rows, and those told before.
    fn tell_bad(&mut self, bad: Vec<BadRecord>, to: &Offsets) {
        let Reading { histories, source, name, topic, told, .. } = self;
        let looked = Looked { source: *source, name, topic: topic.as_ref(), from: told, to };
        histories.0.bad.lock().add(&looked, bad, histories.counts());
        told.advance(to);
    }

    /// All is read. A view may read a source twice, and finds the same.
    fn tell_times(&mut self) {
        if self.spec.watermark.is_some() {
            let times = std::mem::take(&mut self.times);
            self.histories.0.times.lock().entry(self.view).or_default().insert(self.source, times);
        }
    }

    /// Asks what there is, for the next attempt.
    fn shorten(&self) {
        let kafka = &self.spec.kafka;
        let Ok(extent) = extent(kafka) else { return };
        let Ok(first) = extent.begin(&self.spec) else { return };
        let partial = partial(&extent, first, kafka);
        self.histories.0.shortened.lock().entry(self.view).or_default().insert(self.source, partial);
    }
}

impl Iterator for Reading {
    type Item = Result<ZSet>;

    fn next(&mut self) -> Option<Result<ZSet>> {
        if self.ended {
            return None;
        }
        let part = self.part();
        self.ended = !matches!(part, Ok(Some(_)));
        part.transpose()
    }
}

/// What a view has of a topic's messages when it begins with these.
pub fn partial(extent: &Extent, first: Offsets, kafka: &Kafka) -> Partial {
    let topic = extent.topic.as_ref().filter(|_| extent.is_other(kafka));
    Partial { first: first.0, missing: extent.missing(kafka), topic: topic.map(TopicId::to_string) }
}

/// How an object's rows are read from outside.
///
/// # Errors
/// XX001 when the catalog's form of it does not read.
pub fn spec_of(item: &Item) -> Result<SourceSpec> {
    serde_json::from_value(item.connector().cloned().unwrap_or_default())
        .map_err(|error| Error::corrupt("a connector cannot be read").with_source(error))
}
