//! The readers of all tables with a connector.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use arrow::array::{Array, BooleanArray, RecordBatch};
use arrow::compute::{concat, concat_batches};
use parking_lot::RwLock;

use crate::catalog::{Catalog, Item, SOURCE_ERRORS};
use crate::data::{Epoch, ObjectId, ZSet};
use crate::decode;
use crate::engine::commit::Request;
use crate::engine::dataflows::Stores;
use crate::engine::{Operation, dead_letters, upsert};
use crate::error::{Error, Result};
use crate::source::{BadRecord, Delivery, Intake, Offsets, PartitionState, Reader, SourceSpec, Watch};
use crate::sql::normalize_jsonb;

/// The statuses of all readers.
pub type Watches = Arc<RwLock<BTreeMap<ObjectId, Watch>>>;

/// Who reads what, and how far the steps have taken it in.
pub struct Sources {
    intake: Arc<Intake>,
    /// Where readers deliver to: the step thread's inbox.
    inbox: Sender<Request>,
    readers: BTreeMap<ObjectId, Source>,
    offsets: BTreeMap<ObjectId, Offsets>,
    /// What tells others how the readers are doing.
    watches: Watches,
    /// Counts recoveries: deliveries read before one are void.
    generation: u64,
}

struct Source {
    spec: Arc<SourceSpec>,
    name: String,
    reader: Reader,
}

impl Sources {
    pub fn new(intake: Arc<Intake>, inbox: Sender<Request>) -> Sources {
        let (readers, offsets, watches) = Default::default();
        Sources { intake, inbox, readers, offsets, watches, generation: 0 }
    }

    /// Begins anew, at the offsets of a checkpoint.
    pub fn restart(&mut self, catalog: &Catalog, saved: &BTreeMap<ObjectId, serde_json::Value>) -> Result<()> {
        self.readers.clear();
        self.generation += 1;
        let read = |(id, offsets): (&ObjectId, &serde_json::Value)| {
            let offsets = serde_json::from_value(offsets.clone());
            offsets
                .map(|offsets| (*id, offsets))
                .map_err(|error| Error::corrupt("the offsets of a source cannot be read").with_source(error))
        };
        self.offsets = saved.iter().map(read).collect::<Result<_>>()?;
        self.follow(catalog);
        Ok(())
    }

    /// What tells how the readers are doing, now and later.
    pub fn watches(&self) -> Watches {
        self.watches.clone()
    }

    /// Stops reading for good.
    pub fn stop(&mut self) {
        self.readers.clear();
    }

    /// What a checkpoint keeps: how far each source has been taken in.
    pub fn saved(&self) -> Result<BTreeMap<ObjectId, serde_json::Value>> {
        let write = |(id, offsets): (&ObjectId, &Offsets)| {
            let value = serde_json::to_value(offsets);
            value.map(|value| (*id, value)).map_err(|error| Error::internal("cannot write offsets").with_source(error))
        };
        self.offsets.iter().map(write).collect()
    }

    /// Starts the readers of new tables and stops those of tables that are gone.
    pub fn follow(&mut self, catalog: &Catalog) {
        self.readers.retain(|id, _| catalog.by_id(*id).is_some());
        self.offsets.retain(|id, _| catalog.by_id(*id).is_some());
        for item in catalog.items().filter(|item| item.connector().is_some()) {
            if self.readers.contains_key(&item.id) {
                continue;
            }
            match self.start(item) {
                Ok(source) => drop(self.readers.insert(item.id, source)),
                Err(error) => tracing::error!(source = item.name, %error, "a source cannot be read"),
            }
        }
        *self.watches.write() = self.readers.iter().map(|(id, source)| (*id, source.reader.watch())).collect();
    }

    fn start(&self, item: &Item) -> Result<Source> {
        let spec = item.connector().cloned().unwrap_or_default();
        let spec: SourceSpec = serde_json::from_value(spec)
            .map_err(|error| Error::corrupt("a connector cannot be read").with_source(error))?;
        let spec = Arc::new(spec);
        let from = self.offsets.get(&item.id).cloned().unwrap_or_default();
        let (inbox, generation) = (self.inbox.clone(), self.generation);
        let deliver = move |delivery| inbox.send(Request::Delivery(generation, Box::new(delivery))).is_ok();
        let decoder = decode::decoder(&spec, normalize_jsonb)?;
        let reader = Reader::start(item.id, spec.clone(), &from, decoder, self.intake.clone(), Box::new(deliver))?;
        Ok(Source { spec, name: item.name.clone(), reader })
    }

    /// Whether a delivery is of this life of the engine, and of a source that is still there.
    pub fn expects(&self, generation: u64, delivery: &Delivery) -> bool {
        generation == self.generation && self.readers.contains_key(&delivery.relation)
    }

    /// Whether the steps have taken in all that a partition has.
    pub fn has_taken_in(&self, source: ObjectId, partition: i32) -> bool {
        let Some(Source { reader, .. }) = self.readers.get(&source) else { return false };
        let status = reader.watch().status();
        let taken_in = self.offsets.get(&source).and_then(|offsets| offsets.get(partition));
        status.partitions.get(&partition).is_some_and(|status| {
            let delivered = taken_in.is_some_and(|taken_in| taken_in >= status.next) || status.messages == 0;
            status.state == PartitionState::Running && status.lag() == Some(0) && delivered
        })
    }

    /// Takes note of deliveries that a step has taken in.
    pub fn advance(&mut self, deliveries: &[Delivery]) {
        for delivery in deliveries {
            self.offsets.entry(delivery.relation).or_default().advance(&delivery.offsets);
        }
    }

    /// What deliveries write, to a step that follows `epoch`.
    pub fn operations(&self, deliveries: &[Delivery], stores: &Stores, epoch: Epoch) -> Result<Vec<Operation>> {
        let mut by_table: HashMap<ObjectId, Vec<&Delivery>> = HashMap::new();
        let mut bad: Vec<(ObjectId, &str, BadRecord)> = Vec::new();
        for delivery in deliveries {
            let Some(source) = self.readers.get(&delivery.relation) else { continue };
            by_table.entry(delivery.relation).or_default().push(delivery);
            bad.extend(delivery.bad.iter().map(|record| (delivery.relation, source.name.as_str(), record.clone())));
        }
        let mut operations = Vec::with_capacity(by_table.len() + 1);
        for (table, deliveries) in by_table {
            let (Some(source), Some(store)) = (self.readers.get(&table), stores.get(&table)) else { continue };
            let (rows, deleted) = joined(&source.spec, &deliveries)?;
            let change = match &source.spec.primary_key {
                Some(key) => upsert::change(store, key, &rows, deleted.as_ref(), epoch)?,
                None => ZSet::inserts(rows),
            };
            operations.push(Operation::Write { table, change });
        }
        if let Some(store) = stores.get(&SOURCE_ERRORS).filter(|_| !bad.is_empty()) {
            let change = ZSet::inserts(dead_letters::rows(epoch.next(), &bad)?);
            operations.push(Operation::Write { table: SOURCE_ERRORS, change });
            if let Some(change) = dead_letters::expired(store, epoch)? {
                operations.push(Operation::Write { table: SOURCE_ERRORS, change });
            }
        }
        Ok(operations)
    }
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
