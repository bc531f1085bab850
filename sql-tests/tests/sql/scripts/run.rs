//! Runs one script, or all of a folder, and says all that is wrong, not only the first thing.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::FutureExt;
use sqllogictest::{AsyncDB, DefaultColumnType, MakeConnection, Normalizer, Record, Runner};

/// A record that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Script {
    pub path: PathBuf,
    pub records: Vec<Record<DefaultColumnType>>,
    /// Whether errors are to say where in the query string they are.
    pub with_positions: bool,
}

/// The scripts of a folder of `sql-tests/scripts`, by name.
pub fn scripts(folder: &str) -> Vec<Script> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(folder);
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(&folder).expect("a folder of scripts").map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "slt"));
    paths.sort();
    assert!(!paths.is_empty(), "no scripts in {}", folder.display());
    paths.into_iter().map(Script::read).collect()
}

impl Script {
    fn read(path: PathBuf) -> Script {
        let records = sqllogictest::parse_file(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let text = std::fs::read_to_string(&path).expect("a script");
        let with_positions = text.lines().next().is_some_and(|line| line.trim() == "# with positions");
        Script { path, records, with_positions }
    }

    fn name(&self) -> String {
        let parts: Vec<_> = self.path.iter().rev().take(2).map(|part| part.to_string_lossy()).collect();
        parts.iter().rev().map(|part| part.as_ref()).collect::<Vec<_>>().join("/")
    }
}

/// Makes a runner whose answers are compared to the letter.
pub fn runner<D, M>(connections: M, labels: &[&str]) -> Runner<D, M>
where
    D: AsyncDB<ColumnType = DefaultColumnType>,
    M: MakeConnection<Conn = D>,
{
    let mut runner = Runner::new(connections);
    runner.with_validator(|_: Normalizer, actual: &[Vec<String>], expected: &[String]| {
        actual.iter().map(|row| row.join("|")).eq(expected.iter().cloned())
    });
    for label in labels {
        runner.add_label(label);
    }
    runner
}

/// What went wrong over many scripts.
#[derive(Default)]
pub struct Report {
    scripts: usize,
    records: usize,
    failures: Vec<String>,
}

impl Report {
    /// Runs every record of the script, whatever happened to those before.
    pub async fn run<D, M>(&mut self, script: &Script, runner: &mut Runner<D, M>)
    where
        D: AsyncDB<ColumnType = DefaultColumnType>,
        M: MakeConnection<Conn = D>,
    {
        self.scripts += 1;
        for record in &script.records {
            let is_test = matches!(record, Record::Statement { .. } | Record::Query { .. });
            self.records += usize::from(is_test);
            let answer = tokio::time::timeout(PATIENCE, runner.run_async(record.clone()));
            let failure = match AssertUnwindSafe(answer).catch_unwind().await {
                Ok(Ok(Ok(_))) => continue,
                Ok(Ok(Err(error))) => {
                    self.failures.push(error.display(false).to_string());
                    continue;
                }
                Ok(Err(_)) => format!("no answer within {PATIENCE:?}"),
                Err(_) => "a panic".to_owned(),
            };
            // Nothing can be said of what follows.
            self.failures.push(format!("{}: {failure}: {record}", script.name()));
            break;
        }
        runner.shutdown_async().await;
    }

    /// Fails the test, with everything that differs, if anything does.
    pub fn finish(self, backend: &str) {
        let Report { scripts, records, failures } = self;
        assert!(
            failures.is_empty(),
            "{backend}: {} of {records} statements in {scripts} scripts differ:\n\n{}",
            failures.len(),
            failures.join("\n")
        );
        println!("{backend}: {records} statements in {scripts} scripts agree");
    }
}
