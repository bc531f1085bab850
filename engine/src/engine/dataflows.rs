//! Catalog and dataflow together: what an entry of the log does to them.
//!
//! The same code applies entries while the server runs and after a restart.

mod filling;
mod saving;
mod suspending;
mod time;
mod unread;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use crate::catalog::{self, Catalog, Item, ItemKind, SOURCE_ERRORS, source_errors};
use crate::data::{Epoch, ObjectId, OperatorId, Parts, ZSet};
use crate::dataflow::{Fingerprint, Graph, PlanLine, Sizes, ViewErrors};
use crate::engine::clock::Micros;
use crate::engine::commit::{Explained, Request};
use crate::engine::event_time::EventTimes;
use crate::engine::history::Histories;
use crate::engine::hydrations::{Hydrating, Hydrations};
use crate::engine::retention::Retention;
use crate::engine::sinks::Sinks;
use crate::engine::{Operation, operators};
use crate::error::{Error, Result};
use crate::sql;
use crate::sql::connector::of_sink;
use crate::state::{Loader, Meta, StateStore};
use crate::view::RowStore;

use saving::CatalogChanges;
pub use suspending::Culprit;
pub use unread::unreadable;

/// The rows of all stored relations.
pub type Stores = HashMap<ObjectId, Arc<RowStore>>;

/// Everything that steps change.
pub struct Dataflows {
    graph: Graph,
    catalog: Arc<Catalog>,
    stores: Arc<Stores>,
    /// Which saved state belongs to which node.
    operators: BTreeMap<Fingerprint, OperatorId>,
    next_operator: u32,
    next_object: u32,
    retention: Retention,
    sinks: Sinks,
    event_times: EventTimes,
    unsaved: CatalogChanges,
    hydrations: Hydrations,
    hydrating: Hydrating,
    histories: Histories,
    /// What a start left for later.
    loading: Option<Loader>,
}

impl Dataflows {
    /// The state of the last checkpoint, or nothing at all, without that of operators that are `lost`: their nodes are filled
    /// anew. Returned with the last epoch used.
    ///
    /// What the nodes keep is read when somebody needs it, or [in the background](Dataflows::load_rest).
    pub fn load(
        store: &Arc<StateStore>,
        meta: &Meta,
        threads: usize,
        hydrations: Hydrations,
        histories: Histories,
        lost: &BTreeSet<OperatorId>,
    ) -> Result<(Dataflows, Epoch)> {
        let catalog = catalog::store::load(store)?;
        let mut operators = operators::load(store)?;
        operators.retain(|_, id| !lost.contains(id));
        let saved: HashSet<OperatorId> = operators.values().copied().collect();
        let mut this = Dataflows {
            graph: Graph::new(operators::ERRORS, operators::LATE, threads)?,
            catalog: Arc::new(Catalog::default()),
            stores: Arc::default(),
            operators,
            next_operator: meta.next_operator.max(operators::FIRST.0),
            next_object: meta.next_object.max(ObjectId::FIRST.0),
            retention: Retention::default(),
            sinks: Sinks::load(&meta.sinks)?,
            event_times: EventTimes::load(&meta.event_times)?,
            unsaved: CatalogChanges {
                dropped_operators: lost.iter().copied().collect(),
                operators_changed: !lost.is_empty(),
                ..CatalogChanges::default()
            },
            hydrations,
            hydrating: Hydrating::default(),
            histories,
            loading: None,
        };
        this.graph.bound_steps(this.hydrations.most_made());
        this.add_source_errors()?;
        // One by one, in the order in which they were made: a view is bound by the names before it.
        let mut so_far = Catalog::default();
        for item in catalog.items() {
            if item.suspended.is_none() {
                this.add(item).map_err(|error| unbound(item, error))?;
            }
            so_far.insert((**item).clone())?;
            this.catalog = Arc::new(so_far.clone());
        }
        let loader = this.loading.insert(Loader::new(store.clone(), threads)?);
        this.graph.load(loader, &|operator| saved.contains(&operator))?;
        // Views that were not hydrated when it was saved, and those whose plan came out differently, say after an upgrade.
        for relation in [SOURCE_ERRORS].into_iter().chain(so_far.items().map(|item| item.id)) {
            this.claim(relation)?;
        }
        let epoch = this.hydrate(meta.epoch)?;
        this.collect_stores();
        this.retention.start(&this.stores);
        Ok((this, epoch))
    }

    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    pub fn stores(&self) -> &Arc<Stores> {
        &self.stores
    }

    /// The rows that views lack because an expression failed on them, as of the last step.
    pub fn errors(&mut self) -> ViewErrors {
        self.graph.view_errors()
    }

    pub fn sinks(&self) -> &Sinks {
        &self.sinks
    }

    /// Bytes of changes that hydrations have yet to take in.
    pub fn recorded(&self) -> usize {
        self.graph.recorded()
    }

    /// Whether what comes from a base relation would wait for a hydration for which changes wait already.
    pub fn is_recorded(&self, relation: ObjectId) -> bool {
        self.graph.is_recorded(relation)
    }

    /// The relations that are there and cannot be read yet.
    pub fn hydrating(&self) -> &Hydrating {
        &self.hydrating
    }

    /// Begins to read what nobody has needed yet.
    pub fn load_rest(&mut self) -> Result<()> {
        let inbox = self.hydrations.inbox().clone();
        self.loading.as_mut().map_or(Ok(()), |loader| loader.begin(move || drop(inbox.send(Request::Loaded))))
    }

    /// Returns when nothing is read from the store any more, and everything that was saved is there.
    pub fn finish_loading(&mut self) {
        if let Some(loader) = self.loading.take() {
            loader.finish();
        }
    }

    /// All that a start left for later is there, or what an earlier one had left.
    pub fn loaded(&mut self) {
        self.loading.take_if(|loader| loader.has_ended());
        self.retention.look_again(&self.stores);
    }

    /// How much the dataflow keeps now.
    pub fn sizes(&mut self) -> Sizes {
        self.graph.sizes()
    }

    /// Adds the objects that a transaction creates, views to be filled from what there is at `epoch`; nothing is visible
    /// yet. Returns the last epoch used.
    ///
    /// # Errors
    /// What a view cannot be (0A000 and others), with everything as it was before.
    pub fn create(&mut self, operations: &[Operation], epoch: Epoch) -> Result<Epoch> {
        let before = self.catalog.clone();
        let (mut added, mut now) = (Vec::new(), epoch);
        let outcome = operations.iter().try_for_each(|operation| {
            now = match operation {
                // One that is read goes on from where it is, also where nobody but what goes now has read it.
                Operation::Begin { source, .. } if before.is_read(*source) || self.catalog.is_read(*source) => now,
                operation => self.create_one(operation, now, &mut added)?,
            };
            Ok(())
        });
        if outcome.is_err() {
            for id in added.into_iter().rev() {
                self.hydrations.remove(id);
                let dropped = self.graph.remove(id)?;
                self.forget(&dropped);
                self.retention.remove(id);
                self.event_times.remove(id);
            }
            self.catalog = before;
            self.event_times.follow(&self.catalog);
        }
        self.collect_stores();
        self.sinks.measure(&mut self.graph)?;
        outcome.map(|()| now)
    }

    fn create_one(&mut self, operation: &Operation, epoch: Epoch, added: &mut Vec<ObjectId>) -> Result<Epoch> {
        let mut catalog = (*self.catalog).clone();
        let mut now = epoch;
        match operation {
            Operation::Create(item) => {
                catalog.insert(item.clone())?;
                self.next_object = self.next_object.max(item.id.0 + 1);
                if item.suspended.is_none() {
                    self.add(item)?;
                    added.push(item.id);
                    // Hydration looks for the item.
                    self.catalog = Arc::new(catalog.clone());
                    self.claim(item.id)?;
                    now = self.hydrate(epoch)?;
                }
            }
            Operation::Drop(ids) => ids.iter().rev().for_each(|id| {
                catalog.remove(*id);
            }),
            Operation::Begin { source, read, asked: _ } => {
                self.histories.begin(*source, read);
                self.event_times.begin(*source, read);
            }
            // Before the step, which they must not see.
            Operation::Suspend { relations, why } => return self.suspend(relations, why, epoch),
            Operation::Write { .. } => {}
        }
        self.catalog = Arc::new(catalog);
        Ok(now)
    }

    /// The nodes of an object, or those that it would have.
    ///
    /// # Errors
    /// What a view cannot be (0A000 and others). Nothing has changed or was built, with or without an error.
    pub fn explain(&mut self, explained: &Explained) -> Result<Vec<PlanLine>> {
        let item = match explained {
            Explained::Object(id) => return self.explain_one(*id),
            Explained::New(item) => item,
        };
        let lines = self.add(item).and_then(|()| self.graph.explain(item.id));
        let dropped = self.graph.remove(item.id)?;
        self.forget(&dropped);
        self.sinks.follow(&self.catalog);
        lines
    }

    fn explain_one(&mut self, id: ObjectId) -> Result<Vec<PlanLine>> {
        let refusal = self.catalog.by_id(id).and_then(|item| item.refusal());
        refusal.map_or_else(|| self.graph.explain(id), Err)
    }

    /// Builds the node of the one system relation that is stored.
    fn add_source_errors(&mut self) -> Result<()> {
        let (operators, next) = (&mut self.operators, &mut self.next_operator);
        let mut ids = |fingerprint| Ok(operator_of(operators, next, fingerprint));
        sql::add_table(&mut self.graph, SOURCE_ERRORS, &source_errors().schema, false, &mut ids)?;
        Ok(())
    }

    /// Builds the nodes of an object.
    fn add(&mut self, item: &Item) -> Result<()> {
        if let Some(refusal) = self.catalog.refusal(&item.depends_on).filter(|_| item.is_maintained()) {
            return Err(refusal);
        }
        let (operators, next) = (&mut self.operators, &mut self.next_operator);
        let mut ids = |fingerprint| Ok(operator_of(operators, next, fingerprint));
        match &item.kind {
            ItemKind::View { .. } => {}
            ItemKind::Table { .. } => {
                // Messages of a topic only ever add rows, unless a later one stands in for an earlier one, or rows go with time.
                let append_only = item.connector().is_some() && item.schema.primary_key.is_none();
                let append_only = append_only && item.retention().is_none();
                self.retention.add(item);
                sql::add_table(&mut self.graph, item.id, &item.schema, append_only, &mut ids)?;
                if let Some(column) = self.event_times.add(item)? {
                    sql::follow_time(&mut self.graph, item.id, column)?;
                }
            }
            ItemKind::Source { .. } => {
                sql::add_source(&mut self.graph, item.id, &item.schema, true, &mut ids)?;
                if let Some(column) = self.event_times.add(item)? {
                    sql::follow_time(&mut self.graph, item.id, column)?;
                }
            }
            ItemKind::MaterializedView { query, time_zone, emit_on_window_close, partial, .. } => {
                let plan = sql::optimize_view(sql::plan_view(query, time_zone, partial, &self.catalog)?)?;
                let lower = if *emit_on_window_close { sql::lower_closing_view } else { sql::lower_view };
                lower(&plan, item.id, item.schema.arrow(), &mut self.graph, &mut ids)?;
            }
            ItemKind::Sink { query, time_zone, connector, emit_on_window_close, partial } => {
                let plan = sql::plan_view(query, time_zone, partial, &self.catalog).and_then(sql::optimize_view);
                let plan = plan.map_err(of_sink)?;
                let take = self.sinks.open(item.id, connector)?;
                let output = sql::SinkOutput { take, emit_on_window_close: *emit_on_window_close };
                let lowered = sql::lower_sink(&plan, item.id, item.schema.arrow(), output, &mut self.graph, &mut ids);
                lowered.map_err(of_sink)?;
            }
        }
        Ok(())
    }

    /// Brings the changes of rows, which arrive at `now`, into all views. They are visible at `epoch`, to those who read at it.
    pub fn step(&mut self, epoch: Epoch, now: Micros, operations: &[Operation]) -> Result<()> {
        let mut changes: BTreeMap<ObjectId, Vec<ZSet>> = BTreeMap::new();
        for operation in operations {
            if let Operation::Write { table, change } = operation {
                changes.entry(*table).or_default().push(change.clone());
            }
        }
        let mut inputs = Vec::with_capacity(changes.len());
        for (table, changes) in changes {
            // A transaction may write to a table and drop it.
            let Some(node) = self.graph.relation(table) else { continue };
            let schema: SchemaRef = self.graph.schema(node)?.clone();
            let changes =
                changes.iter().map(|change| change.with_schema(schema.clone())).collect::<Result<Vec<_>>>()?;
            let change = ZSet::concat(&schema, &changes)?;
            // What only comes, each row once, needs nothing more.
            let is_plain = change.weights().is_none();
            inputs.push((
                node,
                match self.retention.arrival(table, now) {
                    Some(at) => {
                        self.graph.arriving(table, at)?;
                        change
                    }
                    None if is_plain => change,
                    None => change.consolidate()?,
                },
            ));
        }
        self.event_times.settle(now);
        self.graph.set_watermarks(self.event_times.watermarks());
        self.graph.step(epoch, inputs)?;
        Ok(())
    }

    /// What all views and sinks read of a source.
    pub fn parts_read(&self, source: ObjectId) -> Result<Parts> {
        self.graph.parts_read(source)
    }

    /// Ends what a transaction did to the catalog: dropped objects lose their nodes.
    pub fn finish(&mut self, operations: &[Operation], epoch: Epoch) -> Result<(Vec<ObjectId>, Epoch)> {
        let (mut gone, mut last) = (Vec::new(), epoch);
        for operation in operations {
            match operation {
                Operation::Create(item) => self.unsaved.created.push(item.id),
                Operation::Drop(ids) => {
                    let stranded = self.awaiting(ids)?;
                    for id in ids.iter().rev() {
                        self.take_out(*id)?;
                        self.unsaved.dropped.push(*id);
                        self.retention.remove(*id);
                        self.event_times.remove(*id);
                        gone.push(*id);
                    }
                    // What could not be read may be gone.
                    self.retention.resume();
                    self.event_times.follow(&self.catalog);
                    self.renew(&stranded)?;
                    last = self.hydrate(last)?;
                }
                Operation::Write { .. } | Operation::Begin { .. } | Operation::Suspend { .. } => {}
            }
        }
        // Not after each step: that would cost as much as there are relations.
        if operations.iter().any(|operation| matches!(operation, Operation::Create(_) | Operation::Drop(_))) {
            self.collect_stores();
        }
        Ok((gone, last))
    }

    /// Takes an object's nodes out, with what they keep.
    fn take_out(&mut self, id: ObjectId) -> Result<()> {
        self.hydrations.remove(id);
        let dropped = self.graph.remove(id)?;
        self.forget(&dropped);
        self.unsaved.dropped_operators.extend(dropped);
        drop(self.histories.take_times(id));
        Ok(())
    }

    fn forget(&mut self, dropped: &[OperatorId]) {
        let dropped: HashSet<&OperatorId> = dropped.iter().collect();
        self.operators.retain(|_, id| !dropped.contains(id));
    }

    fn collect_stores(&mut self) {
        let ids = self.catalog.items().map(|item| item.id).chain([SOURCE_ERRORS]);
        let ids = ids.filter(|id| self.graph.is_hydrated(*id));
        let stores = ids.filter_map(|id| Some((id, self.graph.rows(id)?.clone()))).collect();
        self.stores = Arc::new(stores);
        self.sinks.follow(&self.catalog);
        self.hydrating = self.hydrations.watch();
    }

    /// About how many bytes of memory are kept only for those who read at `horizon`.
    pub fn kept_since(&self, horizon: Epoch) -> u64 {
        self.graph.kept_since(horizon)
    }

    /// Merges what steps have left in small pieces; rows that nobody can read any more go.
    pub fn compact(&mut self, horizon: Epoch) -> Result<()> {
        self.graph.compact(horizon)
    }

    /// The next identifier for an object.
    pub fn next_object(&self) -> u32 {
        self.next_object
    }
}

/// Why an item of the catalog is of no use: it was bound once.
fn unbound(item: &Item, cause: Error) -> Error {
    let message = format!("{} \"{}\" of the catalog cannot be made again", item.kind_name(), item.name);
    Error::corrupt(message).with_detail(cause.to_string()).with_source(cause)
}

/// The owner of a node's state: the saved one, else the next number.
fn operator_of(operators: &mut BTreeMap<Fingerprint, OperatorId>, next: &mut u32, node: Fingerprint) -> OperatorId {
    *operators.entry(node).or_insert_with(|| {
        *next += 1;
        OperatorId(*next - 1)
    })
}
