//! `levada_catalog`: what PostgreSQL has no place for.

use super::objects::Object;
use super::rows::{Datum, Rows};
use super::shape::{Shape, view};
use super::{Build, Freshness, SinkStatus, System};
use crate::catalog::{DEFAULT_SCHEMA, Item, ItemKind, Partial};
use crate::data::ObjectId;

/// Its relations. OIDs are never given to another one.
pub const VIEWS: &[Shape] = &[
    view(
        "tables",
        15_001,
        "\
        id oid, schema_name name, name name, rows int8, state_bytes int8, retention interval, create_sql text",
    ),
    view(
        "views",
        15_002,
        "\
        id oid, schema_name name, name name, materialized bool, strict bool, rows int8, state_rows int8, \
        state_bytes int8, errors int8, inherited_errors int8, late_rows int8, missing_messages int8, \
        freshness_p50_ms float8, \
        freshness_p99_ms float8, freshness_messages int8, definition text, create_sql text, hydration text, \
        hydrated_rows int8, hydration_total int8, hydration_error text, time_zone text",
    ),
    view("view_errors", 15_005, "view_id oid, view_name name, sqlstate text, error text, failing_row text, count int8"),
    view("late_rows", 15_008, "view_id oid, view_name name, reason text, late_row text, count int8"),
    view(
        "sources",
        15_004,
        "\
        id oid, name name, stored bool, partition int4, status text, next_offset int8, lag int8, messages int8, \
        bytes int8, bad_messages int8, lost_messages int8, watermark timestamptz, source_watermark timestamptz, \
        idle bool, late_rows int8, error text",
    ),
    view(
        "sinks",
        15_020,
        "\
        id oid, schema_name name, name name, connector text, inserted int8, deleted int8, late_rows int8, \
        state_bytes int8, \
        definition text, create_sql text, hydration text, hydrated_rows int8, hydration_total int8, \
        hydration_error text, time_zone text",
    ),
    view(
        "checkpoints",
        15_006,
        "\
        epoch int8, status text, began_at timestamptz, finished_at timestamptz, duration_ms float8, bytes int8, \
        entries int8, log_position int8, error text",
    ),
    view(
        "engine",
        15_007,
        "\
        opened_at timestamptz, epoch int8, durable_epoch int8, steps int8, state_rows int8, state_bytes int8, \
        resident_bytes int8, memory_used int8, memory_limit int8, waiting_bytes int8, \
        waiting_limit int8, sources_paused int8",
    ),
    view("dependencies", 15_003, "object_id oid, object_name name, depends_on_id oid, depends_on_name name"),
];

/// What makes the rows of a relation.
pub fn builder(name: &str) -> Option<Build> {
    Some(match name {
        "tables" => tables,
        "views" => views,
        "view_errors" => view_errors,
        "late_rows" => late_rows,
        "sources" => sources,
        "sinks" => sinks,
        "checkpoints" => checkpoints,
        "engine" => engine,
        "dependencies" => dependencies,
        _ => return None,
    })
}

fn stored_rows(system: &System, object: &Object) -> Datum {
    system.statistics.rows(object.id()).map(|rows| rows as i64).into()
}

fn state_bytes(system: &System, object: &Object) -> Datum {
    system.statistics.bytes(object.id()).map(|bytes| bytes as i64).into()
}

/// Messages of its sources that were gone when a materialized view was made; NULL where a topic was made anew since the
/// source was created, with who knows how many gone.
fn missing_messages(object: &Object) -> Datum {
    let missing = match object.item.map(|item| &item.kind) {
        Some(ItemKind::MaterializedView { partial, .. }) => {
            let known = |partial: &Partial| partial.topic.is_none().then_some(partial.missing);
            partial.values().map(known).sum::<Option<u64>>().map(|missing| missing as i64)
        }
        _ => None,
    };
    missing.into()
}

fn tables(system: &System, rows: &mut Rows) {
    for object in system.user_objects().filter(|object| object.kind == 'r') {
        rows.add([
            ("id", object.oid.into()),
            ("schema_name", object.schema_name.into()),
            ("name", object.name.into()),
            ("rows", stored_rows(system, &object)),
            ("state_bytes", state_bytes(system, &object)),
            ("retention", object.item.and_then(Item::retention).into()),
            ("create_sql", object.item.map(|item| item.create_sql.as_str()).into()),
        ]);
    }
}

fn views(system: &System, rows: &mut Rows) {
    for object in system.user_objects().filter(|object| matches!(object.kind, 'v' | 'm')) {
        let kept = if object.kind == 'm' { system.statistics.kept(object.id()) } else { None };
        let freshness = if object.kind == 'm' { system.statistics.freshness(object.id()) } else { None };
        let millis =
            |figure: fn(Freshness) -> Option<f64>| freshness.and_then(figure).map_or(Datum::Null, Datum::Float);
        let [state, hydrated_rows, total, error] = hydration(system, object.id(), object.kind == 'm');
        rows.add([
            ("id", object.oid.into()),
            ("schema_name", object.schema_name.into()),
            ("name", object.name.into()),
            ("materialized", (object.kind == 'm').into()),
            ("strict", object.item.is_some_and(Item::is_strict).into()),
            ("rows", stored_rows(system, &object)),
            ("state_rows", kept.map(|kept| kept.rows as i64).into()),
            ("state_bytes", kept.map(|kept| kept.bytes as i64).into()),
            ("late_rows", (system.statistics.late_count(object.id()) as i64).into()),
            ("errors", (system.statistics.error_count(object.id()) as i64).into()),
            ("inherited_errors", inherited_errors(system, object.id()).into()),
            ("missing_messages", missing_messages(&object)),
            ("freshness_p50_ms", millis(|freshness| freshness.p50_ms)),
            ("freshness_p99_ms", millis(|freshness| freshness.p99_ms)),
            ("freshness_messages", freshness.map(|freshness| freshness.messages as i64).into()),
            ("definition", object.definition().into()),
            ("create_sql", object.item.map(|item| item.create_sql.as_str()).into()),
            ("hydration", state),
            ("hydrated_rows", hydrated_rows),
            ("hydration_total", total),
            ("hydration_error", error),
            ("time_zone", object.item.and_then(Item::time_zone).into()),
        ]);
    }
}

/// How a relation that is `maintained` is being filled: state, rows so far, rows in all, and what went wrong.
fn hydration(system: &System, relation: ObjectId, maintained: bool) -> [Datum; 4] {
    let Some(hydration) = system.statistics.hydration(relation) else {
        return [maintained.then_some("hydrated").into(), Datum::Null, Datum::Null, Datum::Null];
    };
    let total = hydration.expected.map(|rows| rows as i64);
    [hydration.state.into(), (hydration.rows as i64).into(), total.into(), hydration.error.into()]
}

/// The rows that the views behind a view lack.
fn inherited_errors(system: &System, view: ObjectId) -> i64 {
    let behind = system.catalog.foundations(view);
    behind.into_iter().map(|view| system.statistics.error_count(view) as i64).sum()
}

fn view_errors(system: &System, rows: &mut Rows) {
    // Of sinks too.
    for item in system.catalog.items() {
        for error in system.statistics.errors(item.id) {
            rows.add([
                ("view_id", item.id.0.into()),
                ("view_name", item.name.as_str().into()),
                ("sqlstate", error.sqlstate.into()),
                ("error", error.message.into()),
                ("failing_row", error.row.into()),
                ("count", error.count.into()),
            ]);
        }
    }
}

fn sources(system: &System, rows: &mut Rows) {
    for item in system.catalog.items() {
        for partition in system.statistics.partitions(item.id) {
            rows.add([
                ("id", item.id.0.into()),
                ("name", item.name.as_str().into()),
                ("stored", (!item.is_source()).into()),
                ("partition", partition.partition.into()),
                ("status", partition.state.into()),
                ("next_offset", partition.next_offset.into()),
                ("lag", partition.lag.into()),
                ("messages", (partition.messages as i64).into()),
                ("bytes", (partition.bytes as i64).into()),
                ("bad_messages", (partition.bad as i64).into()),
                ("lost_messages", (partition.lost as i64).into()),
                ("watermark", partition.watermark.map_or(Datum::Null, Datum::Time)),
                ("source_watermark", partition.source_watermark.map_or(Datum::Null, Datum::Time)),
                ("idle", partition.idle.into()),
                ("late_rows", partition.late.map(|rows| rows as i64).into()),
                ("error", partition.error.into()),
            ]);
        }
    }
}

fn sinks(system: &System, rows: &mut Rows) {
    for item in system.catalog.items() {
        let ItemKind::Sink { query, connector, .. } = &item.kind else { continue };
        let status = system.statistics.sink(item.id);
        let count = |count: fn(SinkStatus) -> u64| Datum::from(status.map(|status| count(status) as i64));
        let [state, hydrated_rows, total, error] = hydration(system, item.id, true);
        rows.add([
            ("id", item.id.0.into()),
            ("schema_name", DEFAULT_SCHEMA.into()),
            ("name", item.name.as_str().into()),
            ("connector", connector.as_str().into()),
            ("inserted", count(|status| status.inserted)),
            ("deleted", count(|status| status.deleted)),
            ("late_rows", (system.statistics.late_count(item.id) as i64).into()),
            ("state_bytes", count(|status| status.state_bytes)),
            ("definition", format!(" {query};").into()),
            ("create_sql", item.create_sql.as_str().into()),
            ("hydration", state),
            ("hydrated_rows", hydrated_rows),
            ("hydration_total", total),
            ("hydration_error", error),
            ("time_zone", item.time_zone().into()),
        ]);
    }
}

fn checkpoints(system: &System, rows: &mut Rows) {
    for checkpoint in system.statistics.checkpoints() {
        let duration = checkpoint.duration.map(|duration| Datum::Float(duration.as_secs_f64() * 1e3));
        rows.add([
            ("epoch", (checkpoint.epoch as i64).into()),
            ("status", checkpoint.state.name().into()),
            ("began_at", Datum::Time(checkpoint.began_at)),
            ("finished_at", checkpoint.finished_at.map_or(Datum::Null, Datum::Time)),
            ("duration_ms", duration.unwrap_or(Datum::Null)),
            ("bytes", (checkpoint.bytes as i64).into()),
            ("entries", (checkpoint.entries as i64).into()),
            ("log_position", (checkpoint.log_position as i64).into()),
            ("error", checkpoint.error.into()),
        ]);
    }
}

fn engine(system: &System, rows: &mut Rows) {
    let engine = system.statistics.engine();
    rows.add([
        ("opened_at", Datum::Time(engine.opened_at)),
        ("epoch", (engine.epoch as i64).into()),
        ("durable_epoch", (engine.durable_epoch as i64).into()),
        ("steps", (engine.steps as i64).into()),
        ("state_rows", (engine.kept.rows as i64).into()),
        ("state_bytes", (engine.kept.bytes as i64).into()),
        ("resident_bytes", engine.resident_bytes.map(|bytes| bytes as i64).into()),
        ("memory_used", engine.memory_used.map(|bytes| bytes as i64).into()),
        ("memory_limit", i64::try_from(engine.memory_limit).ok().into()),
        ("waiting_bytes", (engine.waiting_bytes as i64).into()),
        ("waiting_limit", (engine.waiting_limit as i64).into()),
        ("sources_paused", (engine.sources_paused as i64).into()),
    ]);
}

fn late_rows(system: &System, rows: &mut Rows) {
    // Of sinks too.
    for item in system.catalog.items() {
        for late in system.statistics.late(item.id) {
            rows.add([
                ("view_id", item.id.0.into()),
                ("view_name", item.name.as_str().into()),
                ("reason", late.message.into()),
                ("late_row", late.row.into()),
                ("count", late.count.into()),
            ]);
        }
    }
}

fn dependencies(system: &System, rows: &mut Rows) {
    for item in system.catalog.items() {
        for used in item.depends_on.iter().filter_map(|id| system.catalog.by_id(*id)) {
            rows.add([
                ("object_id", item.id.0.into()),
                ("object_name", item.name.as_str().into()),
                ("depends_on_id", used.id.0.into()),
                ("depends_on_name", used.name.as_str().into()),
            ]);
        }
    }
}
