//! Every system relation, over a catalog with one of each kind.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use arrow::array::{Array, AsArray};
use arrow::datatypes::UInt32Type;

use super::*;
use crate::catalog::{Item, ItemKind};
use crate::data::{Column, RelationSchema, SqlType};

struct NoStatistics;

struct OneSetting;

impl SettingValues for OneSetting {
    fn all(&self) -> Vec<Setting> {
        vec![Setting { name: "TimeZone", value: "UTC".into(), description: "zone" }]
    }

    fn get(&self, name: &str) -> Option<String> {
        (name == "TimeZone").then(|| "UTC".to_owned())
    }

    fn change(&self, _: &str, value: Option<&str>, _: bool) -> Result<String> {
        Ok(value.unwrap_or_default().to_owned())
    }
}

struct OneSession;

impl Sessions for OneSession {
    fn all(&self) -> Vec<SessionSummary> {
        vec![SessionSummary {
            process: 7,
            user: "ada".into(),
            application: String::new(),
            client: None,
            began_at: 1,
            transaction_began_at: None,
            query_began_at: Some(2),
            changed_at: 3,
            is_active: true,
            state: "active",
            query: "SELECT 1".into(),
        }]
    }

    fn cancel(&self, process: i32) -> bool {
        process == 7
    }

    fn terminate(&self, process: i32) -> bool {
        process == 7
    }

    fn prepared(&self) -> Vec<PreparedSummary> {
        let types = vec![SqlType::Int4];
        vec![PreparedSummary { name: "p".into(), statement: "PREPARE p".into(), prepared_at: 1, types, by_sql: true }]
    }
}

impl Statistics for NoStatistics {
    fn error_count(&self, _: ObjectId) -> u64 {
        1
    }

    fn errors(&self, _: ObjectId) -> Vec<ViewError> {
        let (sqlstate, message) = ("22012".to_owned(), Some("division by zero".to_owned()));
        vec![ViewError { sqlstate, message, row: None, count: 1 }]
    }

    fn hydration(&self, _: ObjectId) -> Option<super::Hydration> {
        Some(super::Hydration { state: "reading", rows: 1, expected: None, error: None })
    }

    fn kept(&self, _: ObjectId) -> Option<Kept> {
        Some(Kept { rows: 4, bytes: 5 })
    }

    fn freshness(&self, _: ObjectId) -> Option<Freshness> {
        Some(Freshness { p50_ms: Some(1.5), p99_ms: None, messages: 2 })
    }

    fn checkpoints(&self) -> Vec<CheckpointRecord> {
        vec![CheckpointRecord {
            epoch: 7,
            state: CheckpointState::Durable,
            began_at: 1,
            finished_at: Some(2),
            duration: Some(std::time::Duration::from_micros(1)),
            bytes: 3,
            entries: 4,
            log_position: 5,
            error: None,
        }]
    }

    fn engine(&self) -> EngineStatus {
        EngineStatus { epoch: 9, ..EngineStatus::default() }
    }

    fn late_count(&self, _: ObjectId) -> u64 {
        1
    }

    fn late(&self, view: ObjectId) -> Vec<ViewError> {
        self.errors(view)
    }

    fn partitions(&self, _: ObjectId) -> Vec<super::Partition> {
        Vec::new()
    }

    fn sink(&self, _: ObjectId) -> Option<super::SinkStatus> {
        None
    }

    fn rows(&self, _: ObjectId) -> Option<u64> {
        Some(3)
    }

    fn bytes(&self, _: ObjectId) -> Option<u64> {
        None
    }
}

fn item(id: u32, name: &str, kind: ItemKind, depends_on: &[u32]) -> Item {
    let columns = vec![
        Column::new("id", SqlType::Int4, false),
        Column::new("Name", SqlType::Varchar(Some(10)), true),
        Column::new("tags", SqlType::Text.array(), true),
    ];
    let schema = RelationSchema { columns, primary_key: Some(vec![0]) };
    let depends_on = depends_on.iter().copied().map(ObjectId).collect();
    Item {
        id: ObjectId(id),
        name: name.into(),
        kind,
        schema,
        create_sql: format!("CREATE {name}"),
        depends_on,
        suspended: None,
    }
}

fn system() -> System {
    let mut catalog = Catalog::default();
    let defaults = vec![None, Some("'x'".to_owned()), None];
    let view = || "SELECT id, \"Name\", tags FROM t".to_owned();
    catalog.insert(item(16384, "t", ItemKind::Table { defaults, connector: None }, &[])).unwrap();
    catalog.insert(item(16385, "v", ItemKind::View { query: view() }, &[16384])).unwrap();
    let (time_zone, strict, emit_on_window_close) = ("UTC".into(), false, false);
    let partial = BTreeMap::new();
    let kind = ItemKind::MaterializedView { query: view(), time_zone, strict, emit_on_window_close, partial };
    catalog.insert(item(16386, "m", kind, &[16384])).unwrap();
    System {
        catalog: Arc::new(catalog),
        user: "ada".into(),
        search_path: vec!["pg_catalog".into(), "public".into()],
        settings: Arc::new(OneSetting),
        sessions: Arc::new(OneSession),
        statistics: Arc::new(NoStatistics),
        statement: Weak::new(),
    }
}

fn texts(schema: &str, name: &str, column: &str) -> Vec<String> {
    let relation = relation(schema, name).unwrap();
    let batch = system().rows(relation).unwrap();
    let array = batch.column_by_name(column).unwrap().as_string::<i32>().clone();
    (0..array.len()).map(|row| array.value(row).to_owned()).collect()
}

#[test]
fn every_shape_reads_and_every_relation_has_rows_that_fit() {
    let shapes = [pg_tables::TABLES, pg_views::VIEWS, information_columns::VIEWS, levada::VIEWS];
    assert_eq!(relations().count(), shapes.iter().map(|shapes| shapes.len()).sum::<usize>());
    let system = system();
    for relation in relations() {
        assert!(relation.id < ObjectId::FIRST, "{}", relation.name);
        system.rows(relation).unwrap_or_else(|error| panic!("{}: {error}", relation.name));
    }
    assert_eq!(RELATIONS.by_id.len(), RELATIONS.all.len());
}

#[test]
fn oids_of_a_catalog_are_unique() {
    let system = system();
    for name in ["pg_class", "pg_type", "pg_proc", "pg_attrdef", "pg_constraint", "pg_rewrite", "pg_namespace"] {
        let batch = system.rows(relation("pg_catalog", name).unwrap()).unwrap();
        let oids = batch.column_by_name("oid").unwrap().as_primitive::<UInt32Type>().values().to_vec();
        let distinct: std::collections::HashSet<u32> = oids.iter().copied().collect();
        assert_eq!(distinct.len(), oids.len(), "{name}");
    }
}

#[test]
fn views_are_listed_by_their_kind() {
    assert!(texts("pg_catalog", "pg_matviews", "matviewname").contains(&"m".to_owned()));
    assert!(texts("pg_catalog", "pg_views", "viewname").contains(&"v".to_owned()));
    assert!(texts("pg_catalog", "pg_tables", "tablename").contains(&"t".to_owned()));
    assert_eq!(texts("levada_catalog", "dependencies", "object_name"), ["v", "m"]);
    assert!(texts("information_schema", "tables", "table_name").contains(&"m".to_owned()));
}

#[test]
fn definitions_are_quoted_where_they_have_to_be() {
    let system = system();
    let index = system.indexes().next().unwrap();
    assert_eq!(index.definition(), "CREATE UNIQUE INDEX t_pkey ON public.t USING btree (id)");
    assert_eq!(index.constraint_definition(), "PRIMARY KEY (id)");
    assert_eq!(system.object(16385).unwrap().definition().unwrap(), " SELECT id, \"Name\", tags FROM t;");
}
