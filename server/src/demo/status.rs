//! How the demo is doing, as `levada_catalog` has it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use levada_engine::error::Result;

use super::database::{Database, Row};
use super::figures::{bytes, clock, count};

/// Rates are averages over so much time.
const AVERAGE_OVER: Duration = Duration::from_secs(5);
/// Tables and views shown; those that the user added come last.
const MOST_SHOWN: usize = 24;
const SIZES: &str = "SELECT name, rows, state_bytes FROM (
     SELECT id, name, rows, state_bytes FROM levada_catalog.tables
     UNION ALL
     SELECT id, name, rows, state_bytes FROM levada_catalog.views WHERE materialized) AS r
 ORDER BY id";
const SOURCES: &str = "SELECT name, sum(next_offset)::bigint, sum(messages)::bigint, \
     max(CASE WHEN status IN ('gap', 'failed', 'reconnecting') THEN status || coalesce(': ' || error, '') END) \
     FROM levada_catalog.sources GROUP BY name";

/// One look at everything.
#[derive(Clone, Debug, Default)]
pub struct Status {
    pub running: Duration,
    /// Messages read since the start.
    pub events: u64,
    /// Messages read per second, lately.
    pub event_rate: f64,
    /// Tables and materialized views in the order of their creation.
    pub relations: Vec<Relation>,
    /// What is wrong with a topic.
    pub problems: Vec<String>,
    /// Bytes that the process has in memory, where the system tells.
    pub memory: Option<u64>,
}

/// A table or a materialized view.
#[derive(Clone, Debug, Default)]
pub struct Relation {
    pub name: String,
    pub rows: u64,
    pub state_bytes: u64,
}

/// How far a table has read its topic.
pub struct Progress {
    pub table: String,
    /// Messages before the next one to read, of all partitions.
    pub offsets: u64,
    messages: u64,
    problem: Option<String>,
}

/// How far the topics are read.
pub async fn progress(database: &mut Database) -> Result<Vec<Progress>> {
    let rows = database.run(SOURCES).await?;
    let progress = rows.into_iter().map(|row| Progress {
        table: text(&row, 0).to_owned(),
        offsets: number(&row, 1),
        messages: number(&row, 2),
        problem: row.get(3).cloned().flatten(),
    });
    Ok(progress.collect())
}

/// Looks again and again.
pub struct Observer {
    started: Instant,
    /// When how many messages had been read.
    samples: VecDeque<(Instant, u64)>,
}

impl Observer {
    pub fn new() -> Observer {
        let started = Instant::now();
        Observer { started, samples: [(started, 0)].into() }
    }

    pub async fn look(&mut self, database: &mut Database, progress: &[Progress]) -> Result<Status> {
        let rows = database.run(SIZES).await?;
        let relations = rows.iter().map(|row| Relation {
            name: text(row, 0).to_owned(),
            rows: number(row, 1),
            state_bytes: number(row, 2),
        });
        let problems = progress.iter().filter_map(|source| {
            let problem = source.problem.as_ref()?;
            Some(format!("{}: {problem}", source.table))
        });
        let events = progress.iter().map(|source| source.messages).sum();
        Ok(Status {
            running: self.started.elapsed(),
            events,
            event_rate: self.rate(Instant::now(), events),
            relations: relations.collect(),
            problems: problems.collect(),
            memory: resident_memory(),
        })
    }

    /// Messages per second since the oldest sample that counts.
    fn rate(&mut self, now: Instant, events: u64) -> f64 {
        self.samples.push_back((now, events));
        while self.samples.len() > 2 && now - self.samples[1].0 >= AVERAGE_OVER {
            self.samples.pop_front();
        }
        let (then, before) = self.samples[0];
        // A table that was dropped takes its messages with it.
        events.saturating_sub(before) as f64 / (now - then).as_secs_f64().max(0.001)
    }
}

impl Status {
    /// A block of lines, none longer than 80 characters.
    pub fn block(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "  {:>9}  {:>10} events/s  {:>15} events  memory {:>7}",
            clock(self.running),
            count(self.event_rate.round() as u64),
            count(self.events),
            self.memory.map_or_else(|| "?".to_owned(), bytes),
        )];
        lines.push(String::new());
        lines.push(format!("  {:<32} {:>15} {:>10}", "table or view", "rows", "state"));
        for relation in self.relations.iter().take(MOST_SHOWN) {
            let Relation { name, rows, state_bytes } = relation;
            lines.push(format!("  {:<32} {:>15} {:>10}", shortened(name, 32), count(*rows), bytes(*state_bytes)));
        }
        if let Some(more @ 1..) = self.relations.len().checked_sub(MOST_SHOWN) {
            lines.push(format!("  and {} more", count(more as u64)));
        }
        lines.extend(self.problems.iter().map(|problem| format!("  ! {}", shortened(problem, 76))));
        lines
    }

    /// All of it in one line, for those who keep what is printed.
    pub fn line(&self) -> String {
        let rows: u64 = self.relations.iter().map(|relation| relation.rows).sum();
        let state: u64 = self.relations.iter().map(|relation| relation.state_bytes).sum();
        let mut line = format!(
            "{} {} events/s, {} rows, state {}",
            clock(self.running),
            count(self.event_rate.round() as u64),
            count(rows),
            bytes(state)
        );
        if let Some(memory) = self.memory {
            line.push_str(&format!(", memory {}", bytes(memory)));
        }
        for problem in &self.problems {
            line.push_str(&format!("; {problem}"));
        }
        line
    }
}

/// At most so many characters, on one line.
fn shortened(text: &str, most: usize) -> String {
    let text: String = text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    match text.chars().count() <= most {
        true => text,
        false => text.chars().take(most - 1).chain(['…']).collect(),
    }
}

fn text(row: &Row, column: usize) -> &str {
    row.get(column).and_then(Option::as_deref).unwrap_or_default()
}

fn number(row: &Row, column: usize) -> u64 {
    text(row, column).parse().unwrap_or(0)
}

/// What Linux tells of this process, in bytes.
fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        let relation = |name: &str, rows| Relation { name: name.to_owned(), rows, state_bytes: rows * 100 };
        Status {
            running: Duration::from_secs(86_399),
            events: 864_000_000,
            event_rate: 9_999.6,
            relations: vec![relation("bid", 5_520_000), relation(&"x".repeat(63), 12)],
            problems: vec![format!("bid: gap: {}\nmore", "y".repeat(100))],
            memory: Some(1_987_000_000),
        }
    }

    #[test]
    fn a_block_fits_80_columns() {
        let block = status().block();
        assert!(block.iter().all(|line| line.chars().count() <= 80 && !line.contains('\n')), "{block:#?}");
        let expected = "   23:59:59      10,000 events/s      864,000,000 events  memory  2.0 GB";
        assert_eq!(block[0], expected);
        assert_eq!(block[3], format!("  {:<32} {:>15} {:>10}", "bid", "5,520,000", "552 MB"));
        assert!(block[4].contains("xxx… "), "{}", block[4]);
        assert!(block[5].starts_with("  ! bid: gap: yyy") && block[5].ends_with("y…"), "{}", block[5]);
    }

    #[test]
    fn many_views_are_counted() {
        let relations = vec![Relation::default(); MOST_SHOWN + 3];
        let block = Status { relations, ..Status::default() }.block();
        assert_eq!(block.last().map(String::as_str), Some("  and 3 more"));
    }

    #[test]
    fn a_line_says_the_same_in_short() {
        let line = status().line();
        assert!(line.starts_with("23:59:59 10,000 events/s, 5,520,012 rows, state 552 MB, memory 2.0 GB; bid: gap"));
    }

    #[test]
    fn rates_are_of_late() {
        let mut observer = Observer::new();
        let start = observer.started;
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert_eq!(observer.rate(at(1), 1000), 1000.0);
        for seconds in 2..20 {
            observer.rate(at(seconds), 1000);
        }
        assert_eq!(observer.rate(at(20), 1000), 0.0);
        assert_eq!(observer.rate(at(21), 500), 0.0, "a table was dropped");
    }
}
