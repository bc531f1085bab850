//! The readers of tables with a connector, and of sources while views read them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use arrow::array::{Array, BooleanArray, RecordBatch};
use arrow::compute::{concat, concat_batches};
use bytes::Bytes;
use parking_lot::RwLock;

use crate::catalog::{Item, SOURCE_ERRORS};
use crate::data::{Epoch, ObjectId, Parts, ZSet};
use crate::decode;
use crate::engine::commit::Request;
use crate::engine::dataflows::Dataflows;
use crate::engine::history::{Histories, spec_of};
use crate::engine::tally::Tallies;
use crate::engine::{Operation, dead_letters, record, upsert};
use crate::error::{Error, Result};
use crate::source::{Delivery, Intake, PartitionState, Place, Reader, SourceSpec, Watch};
use crate::sql::normalize_jsonb;

/// The statuses of all readers.
pub type Watches = Arc<RwLock<BTreeMap<ObjectId, Watch>>>;

/// Who reads what, and how far the steps have taken it in.
pub struct Sources {
    histories: Histories,
    /// Where readers deliver to: the step thread's inbox.
    inbox: Sender<Request>,
    readers: BTreeMap<ObjectId, Source>,
    /// What tells others how the readers are doing.
    watches: Watches,
    /// What the log says of how far sources have been read.
    logged: BTreeMap<ObjectId, Place>,
    /// How far sources had been taken in that are read no more, and since which epoch.
    left: BTreeMap<ObjectId, (Epoch, Place)>,
    /// Counts the readers that were started: deliveries of one that is no more are void.
    started: u64,
}

struct Source {
    spec: Arc<SourceSpec>,
    name: String,
    /// What of its columns is built.
    built: Parts,
    reader: Reader,
    /// The reader's number.
    run: u64,
    /// Whether nothing is taken in of what it reads.
    halted: bool,
}

impl Sources {
    /// Nothing is read before [`follow`](Sources::follow).
    pub fn new(histories: Histories, inbox: Sender<Request>) -> Sources {
        let (readers, watches, logged, left) = Default::default();
        Sources { histories, inbox, readers, watches, logged, left, started: 0 }
    }

    /// Begins anew, from where a recovery came to.
    pub fn restart(&mut self, dataflows: &Dataflows, histories: Histories, epoch: Epoch) {
        self.readers.clear();
        self.logged.clear();
        self.histories = histories;
        self.follow(dataflows, epoch);
    }

    /// Memory and threads of readers.
    pub fn intake(&self) -> &Arc<Intake> {
        self.histories.intake()
    }

    /// What tells how the readers are doing, now and later.
    pub fn watches(&self) -> Watches {
        self.watches.clone()
    }

    /// What of sources is no row, as of the last step.
    pub fn tallies(&self) -> Arc<Tallies> {
        self.histories.counts().all()
    }

    /// Stops reading for good.
    pub fn stop(&mut self) {
        self.readers.clear();
    }

    /// What a checkpoint keeps: how far each source has been taken in.
    pub fn saved(&self) -> Result<BTreeMap<ObjectId, serde_json::Value>> {
        let write = |(id, read): (&ObjectId, &Place)| {
            let value = serde_json::to_value(read);
            value.map(|value| (*id, value)).map_err(|error| Error::internal("cannot write offsets").with_source(error))
        };
        self.histories.places().iter().map(write).collect()
    }

    /// What the log is to keep with transactions of how far each source has been taken in; None where it says so already,
    /// or a checkpoint does.
    pub fn unlogged(&mut self) -> Result<Option<Bytes>> {
        let read = self.histories.places();
        let is_news = |(source, read): &(&ObjectId, &Place)| self.logged.get(source) != Some(read);
        let news: BTreeMap<ObjectId, Place> =
            read.iter().filter(is_news).map(|(source, read)| (*source, read.clone())).collect();
        self.logged = read;
        if news.is_empty() { Ok(None) } else { record::sources(&news).map(Some) }
    }

    /// Whether all that is read has been taken in as far as this.
    pub fn have_reached(&self, places: &BTreeMap<ObjectId, Place>) -> bool {
        places.iter().all(|(source, place)| self.has_reached(*source, place))
    }

    /// Whether a source has been taken in as far as this, in the same topic: as far as it can be, if its reading or that of
    /// some of its partitions has stopped.
    pub fn has_reached(&self, source: ObjectId, place: &Place) -> bool {
        let Some(Source { reader, halted: false, .. }) = self.readers.get(&source) else { return true };
        let place = Place { offsets: reader.status().within_reach(&place.offsets), topic: place.topic.clone() };
        self.histories.has_reached(source, &place)
    }

    /// Starts the readers of what is to be read now and stops those of what is not: of objects that are gone, and of
    /// sources that no view reads any more, whose offsets are forgotten.
    ///
    /// Of a source, readers build only what nodes read. Where nodes read more than before, reading begins anew from where
    /// the steps are: what the reader before has delivered since, without the new parts, is void. So no step sees a row that
    /// lacks what one of its nodes reads. `epoch` is the last one made.
    pub fn follow(&mut self, dataflows: &Dataflows, epoch: Epoch) {
        let catalog = dataflows.catalog();
        let is_followed = |item: &Arc<Item>| !item.is_source() || catalog.is_read(item.id);
        self.readers.retain(|id, _| catalog.by_id(*id).is_some_and(is_followed));
        for (id, left) in self.histories.retain(|id| catalog.by_id(id).is_some_and(is_followed)) {
            self.left.insert(id, (epoch, left));
        }
        self.left.retain(|id, _| catalog.by_id(*id).is_some());
        self.histories.counts().retain(|id| catalog.by_id(id).is_some());
        for item in catalog.items().filter(|item| item.connector().is_some() && is_followed(item)) {
            if let Err(error) = self.follow_one(item, dataflows) {
                self.readers.remove(&item.id);
                tracing::error!(source = item.name, %error, "a source cannot be read");
            }
        }
        *self.watches.write() = self.readers.iter().map(|(id, source)| (*id, source.reader.watch())).collect();
    }

    /// Has a source begin no earlier than where its last reader has left it, if that went after the broker was asked: what
    /// was taken in and counted in between would come once more.
    pub fn settle(&self, operation: &mut Operation) {
        let Operation::Begin { source, read, asked } = operation else { return };
        let (Some(asked), Some((since, left))) = (asked.take(), self.left.get(source)) else { return };
        let other = left.topic.as_ref().zip(read.topic.as_ref()).is_some_and(|(left, read)| left != read);
        if *since > asked && !other {
            read.offsets.advance(&left.offsets);
        }
    }

    fn follow_one(&mut self, item: &Item, dataflows: &Dataflows) -> Result<()> {
        let wanted = wanted(item, dataflows)?;
        if let Some(source) =
            self.readers.get_mut(&item.id).filter(|source| !source.halted && source.built.cover(&wanted))
        {
            if source.built != wanted {
                source.reader.decode_with(decode::decoder(&source.spec, &wanted, normalize_jsonb)?);
                source.built = wanted;
            }
            return Ok(());
        }
        self.readers.remove(&item.id);
        let source = self.start(item, wanted)?;
        self.readers.insert(item.id, source);
        Ok(())
    }

    fn start(&mut self, item: &Item, built: Parts) -> Result<Source> {
        let spec = Arc::new(spec_of(item)?);
        let from = self.histories.places().get(&item.id).cloned().unwrap_or_default();
        self.started += 1;
        let (inbox, run) = (self.inbox.clone(), self.started);
        let deliver = move |delivery| inbox.send(Request::Delivery(run, Box::new(delivery))).is_ok();
        let decoder = decode::decoder(&spec, &built, normalize_jsonb)?;
        let reader = Reader::start(item.id, spec.clone(), &from, decoder, self.intake().clone(), Box::new(deliver))?;
        Ok(Source { spec, name: item.name.clone(), built, reader, run, halted: false })
    }

    /// Whether a delivery is of a reader that is still there. Of one before it, of the same source, it may tell what a
    /// history has told since.
    pub fn expects(&self, run: u64, delivery: &Delivery) -> bool {
        self.readers.get(&delivery.relation).is_some_and(|source| source.run == run && !source.halted)
    }

    /// Stops reading a source from which nothing can be taken in, until [`follow`](Sources::follow) starts it again where
    /// the steps are. Its status says why.
    pub fn halt(&mut self, source: ObjectId, why: &Error) {
        let Some(source) = self.readers.get_mut(&source) else { return };
        tracing::error!(source = source.name, error = %why, "a source is paused: what it delivers cannot be taken in");
        source.halted = true;
        source.reader.halt(&why.to_string());
    }

    /// Whether the steps have taken in all that a partition has.
    pub fn has_taken_in(&self, source: ObjectId, partition: i32) -> bool {
        let Some(Source { reader, .. }) = self.readers.get(&source) else { return false };
        let status = reader.watch().status();
        if status.paused.is_some() {
            // What came since it paused is not known.
            return false;
        }
        let taken_in = self.histories.taken_in(source, partition);
        status.partitions.get(&partition).is_some_and(|status| {
            let delivered = taken_in.is_some_and(|taken_in| taken_in >= status.next) || status.messages == 0;
            status.state == PartitionState::Running && status.lag() == Some(0) && delivered
        })
    }

    /// Takes note of deliveries that a step has taken in.
    pub fn advance(&mut self, deliveries: &[Delivery]) {
        for delivery in deliveries {
            self.histories.advance(delivery);
        }
    }

    /// What deliveries write, and messages of histories that are no rows, to a step that follows `epoch`; those are counted.
    pub fn operations(
        &self,
        deliveries: &[Delivery],
        dataflows: &mut Dataflows,
        epoch: Epoch,
    ) -> Result<Vec<Operation>> {
        let mut by_table: HashMap<ObjectId, Vec<&Delivery>> = HashMap::new();
        let mut bad = Vec::new();
        // Where errors cannot be kept they wait: what is filled from a history does not stop for them.
        if !self.histories.has_bad() || dataflows.prepare([SOURCE_ERRORS]).is_ok() {
            bad = self.histories.take_bad();
        }
        let stores = dataflows.stores();
        // A step that fails goes back to what a checkpoint has counted.
        let counts = self.histories.counts();
        for delivery in deliveries {
            let Some(source) = self.readers.get(&delivery.relation) else { continue };
            by_table.entry(delivery.relation).or_default().push(delivery);
            delivery.bad.iter().for_each(|record| counts.bad(delivery.relation, record.partition, 1));
            delivery.lost.iter().for_each(|range| counts.lost(delivery.relation, range));
            let lost = delivery.lost.iter().map(dead_letters::lost);
            let records = delivery.bad.iter().cloned().chain(lost);
            bad.extend(records.map(|record| (delivery.relation, source.name.clone(), record)));
        }
        let mut operations = Vec::with_capacity(by_table.len() + 1);
        for (table, deliveries) in by_table {
            let Some(source) = self.readers.get(&table) else { continue };
            let (rows, deleted) = joined(&source.spec, &deliveries)?;
            let change = match (&source.spec.primary_key, stores.get(&table)) {
                (Some(key), Some(store)) => upsert::change(store, key, &rows, deleted.as_ref(), epoch)?,
                _ => ZSet::inserts(rows),
            };
            operations.push(Operation::Write { table, change });
        }
        operations.extend(dead_letters::operations(stores, epoch, &bad)?);
        Ok(operations)
    }
}

/// What of the rows of a source, or of a table with a connector, is to be built.
fn wanted(item: &Item, dataflows: &Dataflows) -> Result<Parts> {
    if !item.is_source() {
        return Ok(Parts::All);
    }
    let mut wanted = dataflows.parts_read(item.id)?;
    // The watermark is nobody's node.
    if let Some(watermark) = spec_of(item)?.watermark {
        wanted.add(&[watermark.column]);
    }
    Ok(wanted)
}

/// Reads what a checkpoint keeps of how far each source has been taken in.
///
/// # Errors
/// XX001 when it does not read.
pub fn saved_places(saved: &BTreeMap<ObjectId, serde_json::Value>) -> Result<BTreeMap<ObjectId, Place>> {
    let read = |(id, read): (&ObjectId, &serde_json::Value)| {
        let read = serde_json::from_value(read.clone());
        read.map(|read| (*id, read))
            .map_err(|error| Error::corrupt("the offsets of a source cannot be read").with_source(error))
    };
    saved.iter().map(read).collect()
}

/// The rows of several deliveries of one source, in their order.
fn joined(spec: &SourceSpec, deliveries: &[&Delivery]) -> Result<(RecordBatch, Option<BooleanArray>)> {
    let rows = concat_batches(&spec.arrow(), deliveries.iter().map(|delivery| &delivery.rows))?;
    if deliveries.iter().all(|delivery| delivery.deleted.is_none()) {
        return Ok((rows, None));
    }
    let none = |delivery: &&Delivery| BooleanArray::from(vec![false; delivery.rows.num_rows()]);
    let marks: Vec<BooleanArray> =
        deliveries.iter().map(|delivery| delivery.deleted.clone().unwrap_or_else(|| none(delivery))).collect();
    let marks = concat(&marks.iter().map(|marks| marks as &dyn Array).collect::<Vec<_>>())?;
    Ok((rows, marks.as_any().downcast_ref::<BooleanArray>().cloned()))
}
