//! Sources: what a new view begins with, and queries that read one.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::logical_expr::LogicalPlan;

use crate::catalog::{Item, Partial, RelationSource};
use crate::data::{Epoch, ObjectId, Parts, ZSet};
use crate::decode;
use crate::engine::{Operation, partial, spec_of};
use crate::error::{Result, SqlState};
use crate::query::{ReadingTable, Stopped};
use crate::session::Session;
use crate::session::connector::ask;
use crate::session::response::{Notice, Severity};
use crate::source::{Extent, History, SourceSpec, extent};
use crate::sql::normalize_jsonb;

/// The sources that a statement reads, each up to the end that it had when the statement began.
pub type SourceTables = BTreeMap<ObjectId, Arc<dyn TableProvider>>;

/// What brokers have said of sources, and an epoch that was there before they were asked.
#[derive(Default)]
pub struct Asked(BTreeMap<ObjectId, (Arc<SourceSpec>, Extent, Epoch)>);

impl Session {
    /// Asks the brokers of the sources that a new view (or sink) reads, before the catalog is locked for it: nobody else's DDL
    /// waits for a broker. What cannot be bound now is asked nothing; it may be bound once the catalog is locked.
    ///
    /// # Errors
    /// 08006 when the brokers do not answer, 42704 when a topic is gone, 55000 when it is another one.
    pub(super) async fn ask_sources(&mut self, bind: impl FnOnce(&mut Session) -> Result<Item>) -> Result<Asked> {
        let (catalog, at) = (self.transaction().catalog().clone(), self.transaction().snapshot().epoch);
        let mut asked = Asked::default();
        let Ok(item) = bind(self) else { return Ok(asked) };
        for item in item.depends_on.iter().filter_map(|id| catalog.by_id(*id)).filter(|item| item.is_source()) {
            let (spec, extent) = topic(item).await?;
            asked.0.insert(item.id, (spec, extent, at));
        }
        Ok(asked)
    }

    /// What a new view (or sink) reads of its sources: those that nothing has read before are read from the ends that they
    /// had when they were asked. Returns the sources of whose history there is only a part.
    ///
    /// # Errors
    /// 08006 when the brokers do not answer, 42704 when a topic is gone, 55000 when it is another one.
    pub(super) async fn begin_sources(
        &mut self,
        view: &str,
        reads: &[ObjectId],
        mut asked: Asked,
    ) -> Result<BTreeMap<ObjectId, Partial>> {
        let (catalog, now) = (self.transaction().catalog().clone(), self.transaction().snapshot().epoch);
        let mut partials = BTreeMap::new();
        for item in reads.iter().filter_map(|id| catalog.by_id(*id)).filter(|item| item.is_source()) {
            let (spec, extent, at) = match asked.0.remove(&item.id) {
                Some(answer) => answer,
                // Made since the catalog was looked at.
                None => {
                    let (spec, extent) = topic(item).await?;
                    (spec, extent, now)
                }
            };
            let partial = partial(&extent, extent.begin(&spec)?, &spec.kafka);
            if let Some(notice) = notice_of_loss(&partial, &spec, &item.name, &format!("\"{view}\"")) {
                self.notice(notice);
                partials.insert(item.id, partial);
            }
            // One that is read goes on from where it is.
            self.transaction().add(Operation::Begin { source: item.id, read: extent.read(), asked: Some(at) });
        }
        Ok(partials)
    }

    /// Tables of the sources that a plan reads.
    ///
    /// # Errors
    /// As [`begin_sources`](Session::begin_sources).
    pub(super) async fn source_tables(&mut self, plan: &LogicalPlan) -> Result<SourceTables> {
        let catalog = self.transaction().catalog().clone();
        let mut tables = SourceTables::new();
        for id in RelationSource::all_in(plan)? {
            let Some(item) = catalog.by_id(id).filter(|item| item.is_source()) else { continue };
            let (spec, extent) = topic(item).await?;
            let partial = partial(&extent, extent.begin(&spec)?, &spec.kafka);
            if let Some(notice) = notice_of_loss(&partial, &spec, &item.name, "the answer") {
                self.notice(notice);
            }
            tables.insert(id, Arc::new(self.source_table(item, spec, &extent)?));
        }
        Ok(tables)
    }

    /// A source from its start to its end of now.
    fn source_table(&self, item: &Item, spec: Arc<SourceSpec>, extent: &Extent) -> Result<ReadingTable> {
        let (from, to) = (extent.begin(&spec)?, extent.read());
        let intake = self.engine.intake.clone();
        let schema = item.schema.arrow();
        let as_declared = schema.clone();
        let open = move |stopped: Stopped, wanted: &Parts| -> Result<Box<dyn Iterator<Item = _>>> {
            let decoder = decode::decoder(&spec, wanted, normalize_jsonb)?;
            let history = History::open(spec.clone(), &from, &to, decoder, intake.clone(), stopped)?;
            let schema = as_declared.clone();
            Ok(Box::new(
                history.map(move |part| Ok(ZSet::inserts(part?.rows).with_schema(schema.clone())?.batch().clone())),
            ))
        };
        Ok(ReadingTable::new(item.name.clone(), schema, Arc::new(open)))
    }
}

/// What a client is told where a part of a source is all there is for this view or answer.
fn notice_of_loss(partial: &Partial, spec: &SourceSpec, source: &str, missing_from: &str) -> Option<Notice> {
    let (topic, missing) = (&spec.kafka.topic, partial.missing);
    let (message, detail) = match &partial.topic {
        None if missing == 0 => return None,
        None => (
            format!("{missing} messages of topic \"{topic}\" are missing from {missing_from}"),
            format!("Kafka no longer has all messages since source \"{source}\" was created."),
        ),
        Some(_) => (
            format!("messages of topic \"{topic}\" are missing from {missing_from}"),
            format!("The topic was deleted and made anew since source \"{source}\" was created."),
        ),
    };
    let mut notice = Notice::new(Severity::Notice, SqlState::SUCCESSFUL_COMPLETION, message);
    notice.detail = Some(detail);
    Some(notice)
}

/// How a source is read, and what its topic has now.
async fn topic(item: &Item) -> Result<(Arc<SourceSpec>, Extent)> {
    let spec = Arc::new(spec_of(item)?);
    let asked = spec.clone();
    let extent = ask(move || extent(&asked.kafka)).await?;
    Ok((spec, extent))
}
