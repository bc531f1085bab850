//! System relations: `pg_catalog`, `information_schema` and `levada_catalog`.
//!
//! They are relations like others to the binder and to queries, with OIDs below those of user objects (PostgreSQL's own
//! where it has the relation); only their rows are made when they are read, from a [`System`]: the catalog of the
//! statement's snapshot, the session, and what the engine knows of stored relations. Relations that describe what we do
//! not have, such as triggers, are empty.

mod composite;
mod foreign;
mod information;
mod information_columns;
mod levada;
mod names;
mod objects;
mod pg_class;
mod pg_cluster;
mod pg_dependencies;
mod pg_tables;
mod pg_type;
mod pg_views;
mod rows;
mod sessions;
mod shape;
mod status;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Weak};

use arrow::array::RecordBatch;

pub use composite::type_name as composite_name;
pub use names::{function_name, function_number, namespace_name, namespace_oid};
pub use objects::{Index, Object, relation_name};
pub use sessions::{PreparedSummary, SessionSummary, Sessions};
pub use shape::SystemRelation;
pub use status::{CheckpointRecord, CheckpointState, EngineStatus, Freshness, Kept};

use crate::catalog::Catalog;
use crate::data::ObjectId;
use crate::error::Result;
use rows::Rows;
use shape::Shape;

/// OID of the schema `pg_catalog`.
const PG_CATALOG: u32 = 11;
/// OID of the schema `public`.
const PUBLIC: u32 = 2200;
/// OID of the schema `information_schema`.
const INFORMATION_SCHEMA: u32 = 13_000;
/// OID of the schema `levada_catalog`.
const LEVADA_CATALOG: u32 = 13_001;
/// OID of the role that owns everything.
const OWNER: u32 = 10;
/// OID of the session's user, where it is another.
const SESSION_USER: u32 = 16_383;
/// OID of the one database.
const DATABASE_OID: u32 = 5;
/// OIDs of the index access methods and of the one for tables.
const HEAP: u32 = 2;
const BTREE: u32 = 403;

/// What is known of a stored relation right now.
pub trait Statistics: Send + Sync {
    /// Rows of a table or materialized view; None where the relation stores none.
    fn rows(&self, relation: ObjectId) -> Option<u64>;
    /// Bytes that its rows and indexes take.
    fn bytes(&self, relation: ObjectId) -> Option<u64>;
    /// How many rows a view lacks because an expression of its own query failed on them.
    fn error_count(&self, view: ObjectId) -> u64;
    /// Those rows.
    fn errors(&self, view: ObjectId) -> Vec<ViewError>;
    /// How far a relation is that cannot be read yet; None of others.
    fn hydration(&self, relation: ObjectId) -> Option<Hydration>;
    /// What is kept to keep a materialized view current, its own rows included and the relations that it reads not. What
    /// several views share counts for each. At most a second old.
    fn kept(&self, view: ObjectId) -> Option<Kept>;
    /// How fresh a view is that stands on messages; None of others.
    fn freshness(&self, view: ObjectId) -> Option<Freshness>;
    /// The last checkpoints, the oldest first.
    fn checkpoints(&self) -> Vec<CheckpointRecord>;
    /// How the engine as a whole is doing.
    fn engine(&self) -> EngineStatus;
    /// How many rows a view lacks because they came too late for it.
    fn late_count(&self, view: ObjectId) -> u64;
    /// Those rows.
    fn late(&self, view: ObjectId) -> Vec<ViewError>;
    /// The partitions that a table with a connector or a source reads; none of other relations.
    fn partitions(&self, relation: ObjectId) -> Vec<Partition>;
    /// How a sink is doing; None for what is no sink.
    fn sink(&self, sink: ObjectId) -> Option<SinkStatus>;
}

/// What a sink has taken in since the server started.
#[derive(Clone, Copy, Debug, Default)]
pub struct SinkStatus {
    pub inserted: u64,
    pub deleted: u64,
    /// Bytes that the nodes of its query keep.
    pub state_bytes: u64,
}

/// Equal rows that a view lacks because an expression failed on them, or they came too late.
#[derive(Clone, Debug)]
pub struct ViewError {
    pub sqlstate: String,
    /// None in the entry of all those that are only counted; so is the row.
    pub message: Option<String>,
    /// What the expression was given, as text.
    pub row: Option<String>,
    pub count: i64,
}

/// A relation that is being filled.
#[derive(Clone, Debug)]
pub struct Hydration {
    pub state: &'static str,
    pub rows: u64,
    /// Where it is known.
    pub expected: Option<u64>,
    pub error: Option<String>,
}

/// How far a partition of a topic has been read.
#[derive(Clone, Debug, Default)]
pub struct Partition {
    pub partition: i32,
    pub state: &'static str,
    /// The offset to be read next; None while nothing reads.
    pub next_offset: Option<i64>,
    /// Messages between there and the end, where the end is known.
    pub lag: Option<i64>,
    /// Messages that its reader has read since it was started, and their bytes.
    pub messages: u64,
    pub bytes: u64,
    /// Messages that became rows of `source_errors`, and offsets that Kafka no longer had, since the relation was created.
    pub bad: u64,
    pub lost: u64,
    /// Event times in microseconds since 1970, where the source has a watermark: the partition's and the source's.
    pub watermark: Option<i64>,
    pub source_watermark: Option<i64>,
    /// Whether the source's watermark waits for it no more.
    pub idle: Option<bool>,
    /// Rows that were below the partition's watermark when they came.
    pub late: Option<u64>,
    pub error: Option<String>,
}

/// A run-time setting, as `pg_settings` shows it.
#[derive(Clone, Debug)]
pub struct Setting {
    pub name: &'static str,
    pub value: String,
    pub description: &'static str,
}

/// The settings of a session.
pub trait SettingValues: Send + Sync {
    /// Every setting with its value, but for those that clients made up.
    fn all(&self) -> Vec<Setting>;

    /// The value of a setting; None when there is none of that name.
    fn get(&self, name: &str) -> Option<String>;

    /// Changes a setting once the statement is done, None to its default; for the transaction only if `local`. Returns
    /// the value that it will have.
    ///
    /// # Errors
    /// As SET gives them.
    fn change(&self, name: &str, value: Option<&str>, local: bool) -> Result<String>;
}

/// What system relations and functions about the catalog are computed from: all as one statement sees it.
pub struct System {
    pub catalog: Arc<Catalog>,
    pub user: String,
    /// The schemas searched for unqualified names, `pg_catalog` among them.
    pub search_path: Vec<String>,
    pub settings: Arc<dyn SettingValues>,
    pub sessions: Arc<dyn Sessions>,
    pub statistics: Arc<dyn Statistics>,
    /// Gone when the statement has ended: what runs for long looks whether it is still wanted.
    pub statement: Weak<()>,
}

impl fmt::Debug for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("System").field("user", &self.user).field("search_path", &self.search_path).finish()
    }
}

/// Makes the rows of a relation.
type Build = fn(&System, &mut Rows);

struct Relations {
    all: Vec<SystemRelation>,
    by_id: HashMap<ObjectId, usize>,
    by_name: HashMap<(&'static str, &'static str), usize>,
}

static RELATIONS: LazyLock<Relations> = LazyLock::new(|| {
    let shapes: [(&'static str, &[Shape]); 4] = [
        ("pg_catalog", pg_tables::TABLES),
        ("pg_catalog", pg_views::VIEWS),
        ("information_schema", information_columns::VIEWS),
        ("levada_catalog", levada::VIEWS),
    ];
    let shapes = shapes.iter().flat_map(|(schema, shapes)| shapes.iter().map(|shape| (*schema, shape)));
    // A shape that does not read is left out; a test finds it.
    let all: Vec<SystemRelation> =
        shapes.filter_map(|(schema, shape)| SystemRelation::new(schema, shape).ok()).collect();
    let by_id = all.iter().enumerate().map(|(at, relation)| (relation.id, at)).collect();
    let by_name = all.iter().enumerate().map(|(at, relation)| ((relation.schema_name, relation.name), at)).collect();
    Relations { all, by_id, by_name }
});

/// All system relations.
pub fn relations() -> impl Iterator<Item = &'static SystemRelation> {
    RELATIONS.all.iter()
}

/// The system relation of this name.
pub fn relation(schema: &str, name: &str) -> Option<&'static SystemRelation> {
    RELATIONS.by_name.get(&(schema, name)).and_then(|at| RELATIONS.all.get(*at))
}

/// The system relation with this OID.
pub fn relation_by_id(id: ObjectId) -> Option<&'static SystemRelation> {
    RELATIONS.by_id.get(&id).and_then(|at| RELATIONS.all.get(*at))
}

/// Whether a schema is one of the system's.
pub fn is_system_schema(name: &str) -> bool {
    matches!(name, "pg_catalog" | "information_schema" | "levada_catalog")
}

impl System {
    /// A setting's value; names are found in any case.
    pub fn setting(&self, name: &str) -> Option<String> {
        self.settings.get(name)
    }

    /// The rows of a system relation.
    ///
    /// # Errors
    /// XX000 for rows that do not fit their columns.
    pub fn rows(&self, relation: &SystemRelation) -> Result<RecordBatch> {
        let mut rows = Rows::new(relation);
        if let Some(build) = builder(relation.schema_name, relation.name) {
            build(self, &mut rows);
        }
        rows.finish()
    }
}

/// What makes the rows of a relation; None for those that are always empty.
fn builder(schema: &str, name: &str) -> Option<Build> {
    Some(match (schema, name) {
        ("pg_catalog", "pg_class") => pg_class::classes,
        ("pg_catalog", "pg_attribute") => pg_class::attributes,
        ("pg_catalog", "pg_attrdef") => pg_class::defaults,
        ("pg_catalog", "pg_index") => pg_class::indexes,
        ("pg_catalog", "pg_constraint") => pg_class::constraints,
        ("pg_catalog", "pg_tables") => pg_class::tables,
        ("pg_catalog", "pg_views") => pg_class::views,
        ("pg_catalog", "pg_matviews") => pg_class::matviews,
        ("pg_catalog", "pg_indexes") => pg_class::index_definitions,
        ("pg_catalog", "pg_stat_user_tables") => pg_class::table_statistics,
        ("pg_catalog", "pg_type") => pg_type::types,
        ("pg_catalog", "pg_proc") => pg_type::functions,
        ("pg_catalog", "pg_rewrite") => pg_dependencies::rules,
        ("pg_catalog", "pg_depend") => pg_dependencies::dependencies,
        ("pg_catalog", "pg_namespace") => pg_cluster::namespaces,
        ("pg_catalog", "pg_database") => pg_cluster::databases,
        ("pg_catalog", "pg_authid") => pg_cluster::roles,
        ("pg_catalog", "pg_roles") => pg_cluster::roles_view,
        ("pg_catalog", "pg_user") => pg_cluster::users,
        ("pg_catalog", "pg_settings") => pg_cluster::settings,
        ("pg_catalog", "pg_am") => pg_cluster::access_methods,
        ("pg_catalog", "pg_collation") => pg_cluster::collations,
        ("pg_catalog", "pg_stat_activity") => sessions::activity,
        ("pg_catalog", "pg_prepared_statements") => sessions::prepared_statements,
        ("pg_catalog", "pg_foreign_data_wrapper") => foreign::wrappers,
        ("pg_catalog", "pg_foreign_server") => foreign::servers,
        ("pg_catalog", "pg_foreign_table") => foreign::tables,
        ("pg_catalog", "pg_language") => pg_cluster::languages,
        ("pg_catalog", "pg_tablespace") => pg_cluster::tablespaces,
        ("information_schema", name) => return information::builder(name),
        ("levada_catalog", name) => return levada::builder(name),
        _ => return None,
    })
}
