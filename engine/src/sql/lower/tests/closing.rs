//! `EMIT ON WINDOW CLOSE`: what is emitted is the answer over all rows that came while their window was open, once, and
//! never another; whatever the order of rows, the number of threads, and the restarts between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
use levada_testing::Dice;

use super::durable::load;
use super::oracle::{catalog, no_history, sorted, view_schema};
use crate::catalog::RelationSource;
use crate::data::{Column, Epoch, ObjectId, OperatorId, RelationSchema, SqlType, ZSet};
use crate::dataflow::{Fingerprint, Graph, NodeId, StateSize, Watermarks};
use crate::error::Result;
use crate::sql::bind::tests::fixture::query_of;
use crate::sql::bind::{BindSettings, Binder, NameResolver, Parameters, Purpose, Relation};
use crate::sql::lower::{add_table, follow_time, lower_closing_view, lower_view};
use crate::sql::optimize_view;
use crate::state::{KeyKind, Meta, StateStore};

const SECOND: i64 = 1_000_000;
const TABLE: ObjectId = ObjectId(ObjectId::FIRST.0);
const VIEW: ObjectId = ObjectId(ObjectId::FIRST.0 + 10);

const GROUPS: &str = "count(*), sum(v)::bigint, max(v), count(DISTINCT v)";

/// A row: time, key, value.
type Row = (Option<i64>, i32, i64);

struct Names(Arc<RelationSource>);

impl NameResolver for Names {
    fn relation(&self, _: Option<&str>, name: &str) -> Result<Option<Relation>> {
        Ok((name == self.0.name).then(|| Relation::Stored(self.0.clone())))
    }
}

fn source() -> Arc<RelationSource> {
    let columns = vec![
        Column::new("at", SqlType::Timestamp, true),
        Column::new("k", SqlType::Int4, true),
        Column::new("v", SqlType::Int8, true),
    ];
    RelationSource::new(TABLE, "e", RelationSchema { columns, primary_key: None })
}

/// A view over hopping windows, and what it should have.
struct Closing {
    sql: String,
    slide: i64,
    size: i64,
    graph: Graph,
    table: NodeId,
    epoch: Epoch,
    /// By window's end and key, the values that came while the window was open.
    open: BTreeMap<(i64, i32), Vec<i64>>,
    emitted: Vec<String>,
    late: u64,
    closed: i64,
}

impl Closing {
    fn new(sql: &str, slide: i64, size: i64, append_only: bool, threads: usize) -> Closing {
        let (graph, table) = graph(append_only, threads, BTreeMap::new());
        let (open, emitted) = Default::default();
        let sql = sql.to_owned();
        let mut closing =
            Closing { sql, slide, size, graph, table, epoch: Epoch(1), open, emitted, late: 0, closed: i64::MIN };
        closing.epoch = closing.graph.hydrate(closing.epoch, &mut no_history).unwrap();
        closing
    }

    fn create(&mut self) {
        lower(&mut self.graph, &self.sql, BTreeMap::new()).unwrap();
        self.epoch = self.graph.hydrate(self.epoch, &mut no_history).unwrap();
    }

    fn step(&mut self, rows: &[(Row, i64)], watermark: Option<i64>) {
        if let Some(watermark) = watermark {
            self.graph.set_watermarks([(TABLE, watermark)].into_iter().collect::<Watermarks>());
        }
        self.epoch = self.epoch.next();
        self.graph.step(self.epoch, vec![(self.table, zset(rows))]).unwrap();
    }

    /// The same for the model of a view that is there.
    fn model(&mut self, rows: &[(Row, i64)], watermark: Option<i64>) {
        for ((at, k, v), weight) in rows {
            let Some(at) = at else { continue };
            let last = at.div_euclid(self.slide) * self.slide;
            for back in 0..self.size / self.slide {
                let end = last - back * self.slide + self.size;
                if end <= self.closed {
                    self.late += u64::from(*weight > 0);
                    continue;
                }
                let values = self.open.entry((end, *k)).or_default();
                match weight {
                    1 => values.push(*v),
                    _ => drop(values.swap_remove(values.iter().position(|value| value == v).unwrap())),
                }
            }
        }
        let Some(watermark) = watermark.filter(|watermark| *watermark > self.closed) else { return };
        self.closed = watermark;
        let later = self.open.split_off(&(watermark + 1, i32::MIN));
        for ((end, k), values) in std::mem::replace(&mut self.open, later) {
            if values.is_empty() {
                continue;
            }
            let distinct: BTreeSet<&i64> = values.iter().collect();
            let (sum, max) = (values.iter().sum::<i64>(), values.iter().max().unwrap());
            let end = arrow::temporal_conversions::timestamp_us_to_datetime(end).unwrap();
            let end = end.format("%Y-%m-%dT%H:%M:%S%.f");
            self.emitted.push(format!("{end}|{k}|{}|{sum}|{max}|{}", values.len(), distinct.len()));
        }
        self.emitted.sort_unstable();
    }

    fn check(&mut self, situation: &str) {
        let rows = self.graph.rows(VIEW).unwrap().snapshot(self.epoch);
        let rows = sorted(&rows.batches().collect::<Result<Vec<_>>>().unwrap());
        assert_eq!(rows, self.emitted, "{situation}: {}", self.sql);
        assert_eq!(self.graph.late_rows().count(VIEW), self.late, "{situation}: {}", self.sql);
    }
}

fn graph(append_only: bool, threads: usize, known: BTreeMap<Fingerprint, OperatorId>) -> (Graph, NodeId) {
    let mut ids = catalog(known);
    let mut graph = Graph::new(OperatorId(u32::MAX - 1), OperatorId(u32::MAX), threads).unwrap();
    let table = add_table(&mut graph, TABLE, &source().schema, append_only, &mut ids).unwrap();
    follow_time(&mut graph, TABLE, 0).unwrap();
    (graph, table)
}

fn lower(graph: &mut Graph, sql: &str, known: BTreeMap<Fingerprint, OperatorId>) -> Result<()> {
    let (names, settings) = (Names(source()), BindSettings::default());
    let mut binder = Binder::new(&names, &settings, Purpose::View, Parameters::none(), sql);
    let plan = binder.bind_query(&query_of(sql)?)?.plan;
    let mut taken: BTreeMap<Fingerprint, OperatorId> = graph.operators().collect();
    taken.extend(known);
    let mut ids = catalog(taken);
    lower_closing_view(&optimize_view(plan.clone())?, VIEW, view_schema(&plan), graph, &mut ids).map(|_| ())
}

fn zset(rows: &[(Row, i64)]) -> ZSet {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|((at, ..), _)| *at).collect::<TimestampMicrosecondArray>()),
        Arc::new(rows.iter().map(|((_, k, _), _)| Some(*k)).collect::<Int32Array>()),
        Arc::new(rows.iter().map(|((.., v), _)| Some(*v)).collect::<Int64Array>()),
    ];
    let batch = RecordBatch::try_new(source().schema.arrow(), columns).unwrap();
    ZSet::new(batch, Int64Array::from_iter_values(rows.iter().map(|(_, weight)| *weight)))
}

/// Rows of three partitions, out of order, with the watermark that they make.
struct Stream {
    random: Dice,
    partitions: [i64; 3],
    rows: Vec<Row>,
    deletes: bool,
}

impl Stream {
    fn new(seed: u64, deletes: bool) -> Stream {
        Stream { random: Dice::new(seed), partitions: [i64::MIN; 3], rows: Vec::new(), deletes }
    }

    fn next(&mut self) -> (Vec<(Row, i64)>, Option<i64>) {
        let mut rows = Vec::new();
        for _ in 0..self.random.below(12) {
            if self.deletes && self.random.below(4) == 0 && !self.rows.is_empty() {
                let gone = self.random.below(self.rows.len());
                rows.push((self.rows.swap_remove(gone), -1));
                continue;
            }
            let partition = self.random.below(3);
            let now = self.partitions[partition].max(-30 * SECOND);
            let at = now + (self.random.below(14) as i64 - 5) * SECOND;
            self.partitions[partition] = now.max(at);
            let at = (self.random.below(15) > 0).then_some(at);
            let row = (at, self.random.below(3) as i32, self.random.below(4) as i64);
            self.rows.push(row);
            rows.push((row, 1));
        }
        let least = *self.partitions.iter().min().unwrap();
        (rows, (least > i64::MIN).then(|| least - 2 * SECOND))
    }
}

const TUMBLE: &str =
    "SELECT window_end, k, {} FROM TUMBLE(e, at, interval '5 seconds') GROUP BY window_start, window_end, k";
const HOP: &str = "SELECT x.e, x.key, {} FROM \
    (SELECT window_end AS e, k AS key, v FROM HOP(e, at, interval '5 seconds', interval '15 seconds') WHERE k >= 0) x GROUP BY x.e, x.key";

fn run(seed: u64, threads: usize) {
    for (sql, size) in [(TUMBLE, 5), (HOP, 15)] {
        let deletes = seed.is_multiple_of(2);
        let mut stream = Stream::new(seed, deletes);
        let sql = sql.replace("{}", GROUPS);
        let mut closing = Closing::new(&sql, 5 * SECOND, size * SECOND, !deletes, threads);
        closing.create();
        for step in 0..60 {
            let (rows, watermark) = stream.next();
            closing.step(&rows, watermark);
            closing.model(&rows, watermark);
            closing.check(&format!("step {step} of seed {seed}"));
        }
        assert!(closing.emitted.len() > 20 && closing.late > 0, "{} {}", closing.emitted.len(), closing.late);
    }
}

#[test]
fn windows_are_emitted_once_when_they_close() {
    for seed in 1..=4 {
        run(seed, 1);
    }
    run(5, 2);
    run(6, 7);
}

#[test]
fn a_view_that_comes_later_takes_what_is_there_for_in_time() {
    let sql = TUMBLE.replace("{}", GROUPS);
    let mut stream = Stream::new(31, true);
    let mut closing = Closing::new(&sql, 5 * SECOND, 5 * SECOND, false, 1);
    for _ in 0..25 {
        let (rows, watermark) = stream.next();
        closing.step(&rows, watermark);
    }
    let history: Vec<(Row, i64)> = stream.rows.iter().map(|row| (*row, 1)).collect();
    closing.create();
    // Before its first step it has no rows, and then those of all windows that are closed.
    closing.check("before the first step");
    assert!(closing.graph.is_due());
    let (rows, watermark) = stream.next();
    closing.step(&rows, watermark);
    closing.model(&[history, rows].concat(), watermark);
    assert!(!closing.emitted.is_empty() && !closing.graph.is_due());
    closing.check("at the first step");
}

#[test]
fn a_restart_emits_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    for seed in 41..44 {
        let store = Arc::new(StateStore::open(&dir.path().join(seed.to_string())).unwrap());
        let sql = HOP.replace("{}", GROUPS);
        let mut stream = Stream::new(seed, true);
        let mut closing = Closing::new(&sql, 5 * SECOND, 15 * SECOND, false, 1);
        closing.create();
        let mut durable = Epoch::ZERO;
        for step in 0..40 {
            let (rows, watermark) = stream.next();
            closing.step(&rows, watermark);
            closing.model(&rows, watermark);
            if step % 3 == 0 {
                let mut checkpoint = store.checkpoint();
                closing.graph.save(durable, &mut checkpoint).unwrap();
                checkpoint.set_meta(Meta { epoch: closing.epoch, ..Meta::default() });
                store.commit(checkpoint).unwrap();
                durable = closing.epoch;
            }
            if step % 6 == 3 {
                let known: BTreeMap<_, _> = closing.graph.operators().collect();
                let (mut graph, table) = graph(false, 1, known.clone());
                lower(&mut graph, &sql, known.clone()).unwrap();
                let saved: BTreeSet<_> = known.into_values().collect();
                load(&mut graph, &store, &|id| saved.contains(&id));
                (closing.graph, closing.table) = (graph, table);
            }
            closing.check(&format!("step {step} of seed {seed}"));
        }
        // Once all windows are closed, only the watermark is left of them.
        closing.step(&[], Some(1 << 50));
        closing.model(&[], Some(1 << 50));
        closing.check("at the end");
        let lines = closing.graph.explain(VIEW).unwrap();
        let windows = lines.iter().find(|line| line.operator.contains(" closing view=")).unwrap();
        assert_eq!((windows.stateful, windows.size), (true, StateSize::default()));
        let mut checkpoint = store.checkpoint();
        closing.graph.save(durable, &mut checkpoint).unwrap();
        store.commit(checkpoint).unwrap();
        let kept = |id: OperatorId| store.scan(KeyKind::Keyed, id).unwrap().count();
        assert_eq!(closing.graph.operators().map(|(_, id)| kept(id)).sum::<usize>(), 1);
    }
}

#[test]
fn what_is_not_grouped_by_a_window_is_refused() {
    let refused = |sql: &str| {
        let (mut graph, _) = graph(true, 1, BTreeMap::new());
        graph.hydrate(Epoch(1), &mut no_history).unwrap();
        let error = lower(&mut graph, sql, BTreeMap::new()).unwrap_err();
        assert_eq!((error.sqlstate().code(), error.hint().is_some()), ("0A000", true), "{sql}: {error}");
        assert_eq!(graph.len(), 1, "{sql}");
        error.message().to_owned()
    };
    let window = "TUMBLE(e, at, interval '5 seconds')";
    for sql in [
        "SELECT k, count(*) FROM e GROUP BY k".to_owned(),
        "SELECT count(*) FROM e".to_owned(),
        "SELECT at + interval '1 second', count(*) FROM e GROUP BY 1".to_owned(),
        format!("SELECT l.window_end, count(*) FROM {window} l JOIN e ON l.k = e.k GROUP BY 1"),
        format!(
            "SELECT n, count(*) FROM (SELECT window_end AS w, count(*) AS n FROM {window} GROUP BY 1) x GROUP BY 1"
        ),
    ] {
        assert_eq!(refused(&sql), "EMIT ON WINDOW CLOSE without a watermark is not supported", "{sql}");
    }
    for sql in [
        "SELECT at, k FROM e".to_owned(),
        format!("SELECT window_end, k FROM {window}"),
        format!("SELECT window_end, count(*) AS n FROM {window} GROUP BY 1 ORDER BY n LIMIT 3"),
        format!("SELECT window_end, count(*) FROM {window} GROUP BY 1 UNION ALL SELECT window_end, 1 FROM {window}"),
    ] {
        assert_eq!(refused(&sql), "EMIT ON WINDOW CLOSE of this query is not supported", "{sql}");
    }
}

#[test]
fn event_time_goes_through_what_leaves_rows_as_they_are() {
    let times = |sql: &str| {
        let (mut graph, _) = graph(true, 1, BTreeMap::new());
        graph.hydrate(Epoch(1), &mut no_history).unwrap();
        let (names, settings) = (Names(source()), BindSettings::default());
        let mut binder = Binder::new(&names, &settings, Purpose::View, Parameters::none(), sql);
        let plan = binder.bind_query(&query_of(sql).unwrap()).unwrap().plan;
        let mut ids = catalog(graph.operators().collect());
        let optimized = optimize_view(plan.clone()).unwrap();
        let view = lower_view(&optimized, VIEW, view_schema(&plan), &mut graph, &mut ids).unwrap();
        let times = &graph.properties(view.node).unwrap().event_times;
        times.iter().map(|(column, time)| (*column, time.lag)).collect::<Vec<_>>()
    };
    assert_eq!(times("SELECT k, at FROM e WHERE v > 1"), [(1, 1)]);
    let tumble = "SELECT window_start, at, window_end FROM TUMBLE(e, at, interval '5 seconds', interval '1 second')";
    assert_eq!(times(tumble), [(0, 5 * SECOND), (1, 1), (2, 0)]);
    let hop = "SELECT window_end, window_start FROM HOP(e, at, interval '5 seconds', interval '15 seconds')";
    assert_eq!(times(hop), [(0, 0), (1, 15 * SECOND)]);
    assert_eq!(times("SELECT at FROM e WHERE k = 1 UNION ALL SELECT at FROM e WHERE k = 2"), [(0, 1)]);
    let different = "SELECT at, k FROM e UNION ALL SELECT window_start, k FROM TUMBLE(e, at, interval '5 seconds')";
    assert_eq!(times(different), [(0, 5 * SECOND)]);
    assert_eq!(times("SELECT DISTINCT at FROM e"), []);
    assert_eq!(times("SELECT l.at FROM e l JOIN e r ON l.k = r.k"), []);
}
