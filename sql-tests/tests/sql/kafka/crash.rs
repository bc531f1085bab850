//! The process dies at every stage of checkpoints that are brought in as files, while views are filled and dropped, rows go by
//! their age, and messages come: what was acknowledged is there, nothing is there twice, and views fit what they are of.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use levada_engine::{CheckpointSizes, EngineOptions, ManualClock};

use super::Broker;
use super::database::Database;
use super::tables::send;

/// Where the child works, and the statement at which it goes on; set for children only.
const DIRECTORY: &str = "LEVADA_TEST_DIRECTORY";
const FIRST: &str = "LEVADA_TEST_FIRST";

/// Statements after which a child must have died.
const MOST: u64 = 120;
/// Messages that come in each round.
const ROUND: i64 = 300;
/// When the first statement is run; each takes a second.
const START: u64 = 1_700_000_000;

fn schema(broker: &str) -> Vec<String> {
    let with = |options: &str| {
        format!("WITH (connector = 'kafka', topic = 'crashes', {options} properties.bootstrap.server = '{broker}')")
    };
    vec![
        "CREATE TABLE entry (id int PRIMARY KEY, kind int, amount bigint)".to_owned(),
        "CREATE TABLE many (id int PRIMARY KEY, kind int)".to_owned(),
        // So many that views over them are filled aside.
        "INSERT INTO many SELECT n, n % 7 FROM generate_series(1, 9000) AS g(n)".to_owned(),
        format!(
            "CREATE SOURCE live (n bigint, k int) INCLUDE partition AS p INCLUDE offset AS o {} FORMAT PLAIN ENCODE JSON",
            with("")
        ),
        format!("CREATE TABLE recent (n bigint, k int) {} FORMAT PLAIN ENCODE JSON", with("retention = '20 seconds',")),
        format!("CREATE TABLE latest (k int PRIMARY KEY, n bigint) {} FORMAT UPSERT ENCODE JSON", with("")),
        format!("CREATE MATERIALIZED VIEW per_kind AS {PER_KIND}"),
        format!("CREATE MATERIALIZED VIEW ages AS {AGES}"),
        "CREATE MATERIALIZED VIEW places AS SELECT n, p, o FROM live".to_owned(),
        format!("CREATE MATERIALIZED VIEW joined AS {JOINED}"),
    ]
}

const PER_KIND: &str = "SELECT kind, count(*) AS c, sum(amount) AS s, max(amount) AS m FROM entry GROUP BY kind";
const AGES: &str = "SELECT k, count(*) AS c, min(n) AS least FROM recent GROUP BY k";
const JOINED: &str = "SELECT e.id, l.n FROM entry e JOIN latest l ON l.k = e.kind";
const FILLED: &str =
    "SELECT m.kind, count(*) AS c, sum(e.amount) AS s FROM many m LEFT JOIN entry e ON e.id = m.id GROUP BY m.kind";

/// What the statements so far have made: rows of `entry`, and views that come and go.
#[derive(Clone, Default, Debug, PartialEq)]
struct Model {
    rows: BTreeMap<u64, (u64, u64)>,
    views: BTreeSet<u64>,
}

/// Statement `n`, which it also does to the model.
fn statement(n: u64, model: &mut Model) -> String {
    let random = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    let old = model.rows.keys().nth(random as usize % model.rows.len().max(1)).copied();
    let (kind, amount) = (random % 5, random % 1000);
    match (n % 10, old) {
        (3, _) => {
            model.views.insert(n);
            format!("CREATE MATERIALIZED VIEW filled_{n} AS {FILLED}")
        }
        (8, _) if model.views.len() > 1 => {
            let gone = model.views.pop_first().unwrap_or_default();
            format!("DROP MATERIALIZED VIEW filled_{gone}")
        }
        (4 | 9, _) => "FLUSH".to_owned(),
        (1, Some(id)) => {
            model.rows.remove(&id);
            format!("DELETE FROM entry WHERE id = {id}")
        }
        (2 | 6, Some(id)) => {
            model.rows.insert(id, (kind, amount));
            format!("UPDATE entry SET kind = {kind}, amount = {amount} WHERE id = {id}")
        }
        _ => {
            model.rows.insert(n, (kind, amount));
            format!("INSERT INTO entry VALUES ({n}, {kind}, {amount})")
        }
    }
}

fn model_after(n: u64) -> Model {
    let mut model = Model::default();
    (0..n).for_each(|n| drop(statement(n, &mut model)));
    model
}

/// The database as it is at a statement, with every checkpoint as files.
fn open(directory: &Path, n: u64) -> (Database, ManualClock) {
    let clock = ManualClock::new(((START + n) * 1_000_000) as i64);
    let checkpoints = CheckpointSizes { batch_bytes: 0, batch_writes: 0, file_bytes: 8 << 10 };
    let options = EngineOptions { step_threads: 2, query_threads: 1, checkpoints, ..EngineOptions::new(directory) };
    (Database::open_with(options, &clock), clock)
}

/// Not a test of its own: what the parent below runs in another process, where the variables are set.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let (Ok(directory), Ok(first)) = (std::env::var(DIRECTORY), std::env::var(FIRST)) else { return };
    let first: u64 = first.parse().expect("a number");
    let (mut database, clock) = open(Path::new(&directory), first);
    let mut model = model_after(first);
    for n in first..first + MOST {
        database.rows(&statement(n, &mut model)).await;
        clock.advance(Duration::from_secs(1));
        println!("acknowledged {}", n + 1);
        std::io::stdout().flush().expect("somebody listens");
    }
}

/// Runs a child until it dies at a point. Returns how many statements it acknowledged in all.
fn run_child(directory: &Path, first: u64, point: &str) -> u64 {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["kafka::crash::child", "--exact", "--nocapture"]).stdout(Stdio::piped()).stderr(Stdio::null());
    command.env(DIRECTORY, directory).env(FIRST, first.to_string());
    let mut child = command.env("LEVADA_CRASH_AT", point).spawn().expect("a child");
    let mut acknowledged = first;
    for line in BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok) {
        if let Some(count) = line.strip_prefix("acknowledged ") {
            acknowledged = count.parse().expect("a number");
        }
    }
    assert!(!child.wait().expect("its end").success(), "the child was to die at {point}");
    acknowledged
}

/// Views that say something else than their query does.
async fn check_views(database: &mut Database, model: &Model) {
    database.rows("SET wait_for_hydration = on").await;
    let filled = model.views.iter().map(|n| (format!("filled_{n}"), FILLED));
    let others = [("per_kind", PER_KIND), ("ages", AGES), ("joined", JOINED)];
    for (view, query) in filled.chain(others.map(|(view, query)| (view.to_owned(), query))) {
        let differences = format!(
            "(SELECT * FROM {view} EXCEPT ALL ({query})) UNION ALL (({query}) EXCEPT ALL SELECT * FROM {view})"
        );
        assert_eq!(database.rows(&differences).await, Vec::<String>::new(), "{view}");
    }
}

/// Opens what a dead child left; it must be what was acknowledged, or one statement more that was on its way. Returns how
/// many statements it has.
async fn check(directory: &Path, acknowledged: u64) -> u64 {
    let (mut database, _clock) = open(directory, acknowledged);
    let rows = database.rows("SELECT id, kind, amount FROM entry ORDER BY id").await;
    let views = database.rows("SELECT name FROM levada_catalog.views WHERE name LIKE 'filled%' ORDER BY 1").await;
    let fits = |n: &u64| {
        let model = model_after(*n);
        let lines = model.rows.iter().map(|(id, (kind, amount))| format!("{id}|{kind}|{amount}"));
        let names: BTreeSet<String> = model.views.iter().map(|n| format!("filled_{n}")).collect();
        lines.eq(rows.iter().cloned()) && names.into_iter().eq(views.iter().cloned())
    };
    let found = (acknowledged..=acknowledged + 1).find(fits);
    let found = found.unwrap_or_else(|| panic!("after {acknowledged} statements there are {rows:?} and {views:?}"));
    check_views(&mut database, &model_after(found)).await;
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_in_a_large_checkpoint_loses_nothing() {
    let broker = Broker::shared();
    broker.create_topic("crashes", 2).await;
    let directory = tempfile::tempdir().expect("a temporary folder");
    let (mut database, _) = open(directory.path(), 0);
    for sql in schema(&broker.address()) {
        database.rows(&sql).await;
    }
    drop(database);
    let (mut done, mut sent) = (0, 0);
    for point in [
        "checkpoint.sst:40",
        "checkpoint.ingest:6",
        "checkpoint.durable:9",
        "checkpoint.reclaim:2",
        "checkpoint.begin:4",
        "checkpoint.sst:7",
        "log.trimmed:5",
        "checkpoint.ingest:11",
    ] {
        let messages = (sent..sent + ROUND).map(|n| {
            let key = format!(r#"{{"k":{}}}"#, n % 10);
            (key, Some(format!(r#"{{"n":{n},"k":{}}}"#, n % 10)))
        });
        let acknowledged = std::thread::scope(|scope| {
            scope.spawn(|| send(broker, "crashes", messages));
            run_child(directory.path(), done, point)
        });
        sent += ROUND;
        done = check(directory.path(), acknowledged).await;
    }
    // In the end each message is there once, the last of its key as well; and what is old goes.
    let (mut database, clock) = open(directory.path(), done);
    let all = "SELECT count(*), count(DISTINCT n), count(DISTINCT (p, o)), sum(n) FROM places";
    database.until(all, &[&format!("{sent}|{sent}|{sent}|{}", sent * (sent - 1) / 2)]).await;
    let last = (sent - 10..sent).map(|n| format!("{}|{n}", n % 10)).collect::<Vec<_>>();
    let last: Vec<&str> = last.iter().map(String::as_str).collect();
    database.until("SELECT k, n FROM latest ORDER BY k", &last).await;
    check_views(&mut database, &model_after(done)).await;
    clock.advance(Duration::from_secs(60));
    database.until("SELECT count(*) FROM recent", &["0"]).await;
    check_views(&mut database, &model_after(done)).await;
}
