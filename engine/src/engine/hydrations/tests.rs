//! Hydrations that fail, stall or are called off, over a source whose history a test makes up.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use arrow::array::{Int32Array, RecordBatch};
use rayon::prelude::*;

use super::*;
use crate::data::{Column, Epoch, ObjectId, OperatorId, Parts, RelationSchema, SqlType, ZSet};
use crate::dataflow::{Graph, Input, NodeSpec, Properties, Rows};
use crate::engine::memory::MemoryGauge;
use crate::sql::add_source;

const SOURCE: ObjectId = ObjectId(1);
const VIEW: ObjectId = ObjectId(2);

/// A graph with a source, and a view that is new.
fn graph() -> Graph {
    let mut graph = Graph::new(OperatorId(0), OperatorId(u32::MAX), 1).unwrap();
    let mut next = 0;
    let mut ids = |_| {
        next += 1;
        Ok(OperatorId(next))
    };
    let schema = RelationSchema { columns: vec![Column::new("n", SqlType::Int4, true)], primary_key: None };
    let source = add_source(&mut graph, SOURCE, &schema, true, &mut ids).unwrap();
    graph.hydrate(Epoch(1), &mut |_, _| Err(Error::internal("asked for a history"))).unwrap();
    let stored = |_: &Graph| Ok(NodeSpec::stored(schema.arrow(), Properties::unknown()));
    let view = graph.intern("view", vec![Input::plain(source)], &mut ids, stored).unwrap();
    graph.pin(view, VIEW).unwrap();
    graph.claim(VIEW).unwrap();
    graph
}

fn part(graph: &Graph, n: i32) -> ZSet {
    let schema = graph.schema(graph.relation(SOURCE).unwrap()).unwrap().clone();
    ZSet::inserts(RecordBatch::try_new(schema, vec![Arc::new(Int32Array::from(vec![n]))]).unwrap())
}

fn memory(gauge: MemoryGauge) -> Arc<Memory> {
    Arc::new(Memory::new(1 << 30, gauge))
}

fn hydrations() -> (Hydrations, Receiver<Request>) {
    let (reports, inbox) = channel();
    let mut hydrations = Hydrations::new(reports, HydrationLimit::new(1), memory(MemoryGauge::default()));
    hydrations.add(VIEW);
    (hydrations, inbox)
}

/// Begins to fill the view from a history.
fn start(graph: &mut Graph, hydrations: &mut Hydrations, rows: Rows) {
    let mut rows = Some(rows);
    let mut history =
        |_: ObjectId, _: &Parts| rows.take().map(|rows| (rows, 1)).ok_or_else(|| Error::internal("asked twice"));
    let hydration = graph.set_aside(VIEW, Epoch(1), &mut history, hydrations.progress(VIEW)).unwrap();
    assert!(hydrations.start(hydration).unwrap().is_none());
}

fn report(inbox: &Receiver<Request>) -> u64 {
    match inbox.recv_timeout(Duration::from_secs(60)).expect("a report") {
        Request::Hydration(VIEW, run) => run,
        _ => panic!("another report"),
    }
}

fn failed(hydrations: &mut Hydrations, inbox: &Receiver<Request>) -> Error {
    let run = report(inbox);
    match hydrations.outcome(VIEW, run).expect("an outcome") {
        Outcome::Failed(error) => error,
        _ => panic!("it did not fail"),
    }
}

#[test]
fn what_fails_is_tried_again() {
    let (mut graph, (mut hydrations, inbox)) = (graph(), hydrations());
    let (rows, broken) = (part(&graph, 1), Error::new(SqlState::IO_ERROR, "the broker is away"));
    start(&mut graph, &mut hydrations, Box::new([Ok(rows), Err(broken)].into_iter()));
    let error = failed(&mut hydrations, &inbox);
    assert_eq!(error.message(), "the broker is away");
    hydrations.fail(VIEW, &error).unwrap();
    let status = hydrations.progress(VIEW).status();
    assert_eq!((status.state, status.error.as_deref()), (HydrationState::Failed, Some("the broker is away")));
    let error = not_readable(&Catalog::default(), VIEW, &status);
    assert_eq!(error.sqlstate(), SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
    assert!(error.message().ends_with("could not be filled: the broker is away"), "{error}");
    // The graph steps on; what would have been recorded for it is not.
    let change = part(&graph, 2);
    graph.step(Epoch(2), vec![(graph.relation(SOURCE).unwrap(), change)]).unwrap();
    assert_eq!(graph.recorded(), 0);
    let again = report(&inbox);
    assert!(matches!(hydrations.outcome(VIEW, again), Some(Outcome::Again)));
    // An old thread's report says nothing any more.
    hydrations.add(VIEW);
    assert!(hydrations.outcome(VIEW, again).is_none());
}

#[test]
fn a_panic_stays_with_its_view() {
    let (mut graph, (mut hydrations, inbox)) = (graph(), hydrations());
    start(&mut graph, &mut hydrations, Box::new(std::iter::from_fn(|| panic!("no more rows"))));
    assert_eq!(failed(&mut hydrations, &inbox).message(), "hydration panicked: no more rows");
}

/// A history that blocks until the test lets it go on.
#[test]
fn what_is_called_off_frees_what_it_holds() {
    let (mut graph, (mut hydrations, inbox)) = (graph(), hydrations());
    let (gate, history) = channel::<ZSet>();
    let token = Arc::new(());
    let held = Arc::downgrade(&token);
    let rows = history.into_iter().map(move |rows| {
        let _token = &token;
        Ok(rows)
    });
    start(&mut graph, &mut hydrations, Box::new(rows));
    gate.send(part(&graph, 1)).unwrap();
    let progress = hydrations.progress(VIEW);
    let deadline = Instant::now() + Duration::from_secs(60);
    while progress.status().rows < 1 {
        assert!(Instant::now() < deadline, "no progress");
        std::thread::yield_now();
    }
    let change = part(&graph, 2);
    graph.step(Epoch(2), vec![(graph.relation(SOURCE).unwrap(), change)]).unwrap();
    assert!(graph.recorded() > 0);
    hydrations.remove(VIEW);
    graph.remove(VIEW).unwrap();
    assert_eq!(graph.len(), 1);
    drop(gate);
    while held.strong_count() > 0 {
        assert!(Instant::now() < deadline, "the thread holds on");
        std::thread::yield_now();
    }
    assert!(inbox.try_recv().is_err());
}

#[test]
fn what_comes_meanwhile_is_in_it() {
    let (mut graph, (mut hydrations, inbox)) = (graph(), hydrations());
    let (gate, history) = channel::<ZSet>();
    start(&mut graph, &mut hydrations, Box::new(history.into_iter().map(Ok)));
    gate.send(part(&graph, 1)).unwrap();
    let change = part(&graph, 2);
    graph.step(Epoch(2), vec![(graph.relation(SOURCE).unwrap(), change)]).unwrap();
    drop(gate);
    let run = report(&inbox);
    let Some(Outcome::Level(hydration)) = hydrations.outcome(VIEW, run) else { panic!("it is not level") };
    let change = part(&graph, 3);
    graph.step(Epoch(3), vec![(graph.relation(SOURCE).unwrap(), change)]).unwrap();
    let last = graph.splice(*hydration).unwrap();
    assert!(graph.is_hydrated(VIEW));
    assert_eq!(graph.rows(VIEW).unwrap().snapshot(last).row_count().unwrap(), 3);
    assert_eq!(graph.recorded(), 0);
}

/// What uses several threads elsewhere, such as the index of a store, keeps to the one that gives way.
#[test]
fn a_hydration_has_one_thread() {
    let (mut graph, (mut hydrations, inbox)) = (graph(), hydrations());
    let (tell, told) = channel();
    let rows = std::iter::once_with(move || {
        let threads = (0..1000).into_par_iter().map(|_| std::thread::current().name().map(str::to_owned));
        tell.send(threads.collect::<BTreeSet<_>>()).unwrap();
        Err(Error::internal("no rows"))
    });
    start(&mut graph, &mut hydrations, Box::new(rows));
    failed(&mut hydrations, &inbox);
    assert_eq!(told.recv().unwrap(), [Some("levada-hydrate".to_owned())].into());
}
