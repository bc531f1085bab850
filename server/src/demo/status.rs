//! How the demo is doing, as `levada_catalog` has it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use levada_engine::error::Result;

use super::database::{Database, Row};
use super::figures::{bytes, clock, count, milliseconds};

/// Rates are averages over so much time.
const AVERAGE_OVER: Duration = Duration::from_secs(5);
/// Tables and views shown; those that the user added come last.
const MOST_SHOWN: usize = 24;
const RELATIONS: &str = "SELECT name, rows, state_bytes, freshness_p50_ms, freshness_p99_ms FROM (
     SELECT id, name, rows, state_bytes, NULL::float8 AS freshness_p50_ms, NULL::float8 AS freshness_p99_ms
     FROM levada_catalog.tables
     UNION ALL
     SELECT id, name, rows, state_bytes, freshness_p50_ms, freshness_p99_ms
     FROM levada_catalog.views WHERE materialized) AS relations
 ORDER BY id";
const ENGINE: &str = "SELECT steps, resident_bytes FROM levada_catalog.engine";
const SOURCES: &str = "SELECT name, sum(next_offset)::bigint, sum(messages)::bigint, \
     max(CASE WHEN status IN ('gap', 'failed', 'reconnecting') THEN status || coalesce(': ' || error, '') END) \
     FROM levada_catalog.sources GROUP BY name";

/// One look at everything.
#[derive(Clone, Debug, Default)]
pub struct Status {
    pub running: Duration,
    /// Messages read per second, lately.
    pub event_rate: f64,
    /// Steps per second, lately: each is an epoch.
    pub epoch_rate: f64,
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
    /// Of a view, in milliseconds.
    pub freshness: Option<Freshness>,
}

/// How long messages took from their arrival in Kafka to their effect in a view, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Freshness {
    pub p50: f64,
    pub p99: f64,
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
    samples: VecDeque<Sample>,
}

/// What had happened by then.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    events: u64,
    epochs: u64,
}

impl Observer {
    pub fn new() -> Observer {
        Observer { started: Instant::now(), samples: VecDeque::new() }
    }

    pub async fn look(&mut self, database: &mut Database, progress: &[Progress]) -> Result<Status> {
        let relations = database.run(RELATIONS).await?;
        let engine = database.run(ENGINE).await?.into_iter().next().unwrap_or_default();
        let problems = progress.iter().filter_map(|source| {
            let problem = source.problem.as_ref()?;
            Some(format!("{}: {problem}", source.table))
        });
        let events = progress.iter().map(|source| source.messages).sum();
        let (event_rate, epoch_rate) = self.rates(Sample { at: Instant::now(), events, epochs: number(&engine, 0) });
        Ok(Status {
            running: self.started.elapsed(),
            event_rate,
            epoch_rate,
            relations: relations.iter().map(relation).collect(),
            problems: problems.collect(),
            memory: text(&engine, 1).parse().ok(),
        })
    }

    /// Events and epochs per second since the oldest sample that counts.
    fn rates(&mut self, now: Sample) -> (f64, f64) {
        self.samples.push_back(now);
        while self.samples.len() > 2 && now.at - self.samples[1].at >= AVERAGE_OVER {
            self.samples.pop_front();
        }
        let then = self.samples[0];
        let seconds = (now.at - then.at).as_secs_f64().max(0.001);
        // A table that was dropped takes its messages with it.
        let events = now.events.saturating_sub(then.events);
        (events as f64 / seconds, now.epochs.saturating_sub(then.epochs) as f64 / seconds)
    }
}

fn relation(row: &Row) -> Relation {
    let figure = |column| text(row, column).parse::<f64>().ok();
    Relation {
        name: text(row, 0).to_owned(),
        rows: number(row, 1),
        state_bytes: number(row, 2),
        freshness: figure(3).zip(figure(4)).map(|(p50, p99)| Freshness { p50, p99 }),
    }
}

impl Status {
    /// The worst of the views.
    fn freshness(&self) -> Option<Freshness> {
        let all = self.relations.iter().filter_map(|relation| relation.freshness);
        all.reduce(|one, other| Freshness { p50: one.p50.max(other.p50), p99: one.p99.max(other.p99) })
    }

    /// A block of lines, none longer than 80 characters.
    pub fn block(&self) -> Vec<String> {
        let rate = |rate: f64| count(rate.round() as u64);
        let mut lines = vec![
            format!(
                "  {:<21} {:>9} events/s  {:>7} epochs/s  {:>8} memory",
                format!("{} running", clock(self.running)),
                rate(self.event_rate),
                rate(self.epoch_rate),
                self.memory.map_or_else(|| "?".to_owned(), bytes),
            ),
            String::new(),
            line("table or view", ["rows", "state", "fresh p50", "fresh p99"]),
        ];
        for relation in self.relations.iter().take(MOST_SHOWN) {
            let [p50, p99] = match relation.freshness {
                Some(Freshness { p50, p99 }) => [p50, p99].map(milliseconds),
                None => [const { String::new() }; 2],
            };
            lines.push(line(&relation.name, [&count(relation.rows), &bytes(relation.state_bytes), &p50, &p99]));
        }
        if let Some(more @ 1..) = self.relations.len().checked_sub(MOST_SHOWN) {
            lines.push(format!("  and {} more", count(more as u64)));
        }
        lines.extend(self.problems.iter().map(|problem| format!("  ! {}", shortened(problem, 76))));
        lines
    }

    /// All of it in one line, for those who keep what is printed.
    pub fn summary(&self) -> String {
        let rows: u64 = self.relations.iter().map(|relation| relation.rows).sum();
        let state: u64 = self.relations.iter().map(|relation| relation.state_bytes).sum();
        let mut line = format!(
            "{} {} events/s, {} epochs/s, ",
            clock(self.running),
            count(self.event_rate.round() as u64),
            count(self.epoch_rate.round() as u64),
        );
        if let Some(Freshness { p50, p99 }) = self.freshness() {
            line.push_str(&format!("freshness p50 {} p99 {}, ", milliseconds(p50), milliseconds(p99)));
        }
        line.push_str(&format!("{} rows, state {}", count(rows), bytes(state)));
        if let Some(memory) = self.memory {
            line.push_str(&format!(", memory {}", bytes(memory)));
        }
        for problem in &self.problems {
            line.push_str(&format!("; {problem}"));
        }
        line
    }
}

/// A line of the list.
fn line(name: &str, [rows, state, p50, p99]: [&str; 4]) -> String {
    let name = shortened(name, 28);
    format!("  {name:<28} {rows:>13} {state:>9} {p50:>10} {p99:>10}").trim_end().to_owned()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        let view = |name: &str, rows, freshness: Option<(f64, f64)>| Relation {
            name: name.to_owned(),
            rows,
            state_bytes: rows * 100,
            freshness: freshness.map(|(p50, p99)| Freshness { p50, p99 }),
        };
        Status {
            running: Duration::from_secs(86_399),
            event_rate: 9_999.6,
            epoch_rate: 123.4,
            relations: vec![
                view("bid", 5_520_000, None),
                view(&"x".repeat(63), 12, Some((1.26, 1234.0))),
                view("fast", 1, Some((2.0, 9.0))),
            ],
            problems: vec![format!("bid: gap: {}\nmore", "y".repeat(100))],
            memory: Some(1_987_000_000),
        }
    }

    #[test]
    fn a_block_fits_80_columns() {
        let block = status().block();
        assert!(block.iter().all(|line| line.chars().count() <= 80 && !line.contains('\n')), "{block:#?}");
        let expected = [
            "  23:59:59 running         10,000 events/s      123 epochs/s    2.0 GB memory",
            "",
            "  table or view                         rows     state  fresh p50  fresh p99",
            "  bid                              5,520,000    552 MB",
            "  xxxxxxxxxxxxxxxxxxxxxxxxxxx…            12    1.2 kB     1.3 ms      1.2 s",
            "  fast                                     1     100 B     2.0 ms     9.0 ms",
        ];
        assert_eq!(block[..6], expected);
        assert!(block[6].starts_with("  ! bid: gap: yyy") && block[6].ends_with("y…"), "{}", block[6]);
    }

    #[test]
    fn many_views_are_counted() {
        let relations = vec![Relation::default(); MOST_SHOWN + 3];
        let block = Status { relations, ..Status::default() }.block();
        assert_eq!(block.last().map(String::as_str), Some("  and 3 more"));
    }

    #[test]
    fn a_line_says_the_same_in_short() {
        let line = status().summary();
        let expected = "23:59:59 10,000 events/s, 123 epochs/s, freshness p50 2.0 ms p99 1.2 s, 5,520,013 rows, \
             state 552 MB, memory 2.0 GB; bid: gap";
        assert!(line.starts_with(expected), "{line}");
    }

    #[test]
    fn rates_are_of_late() {
        let mut observer = Observer::new();
        let start = Instant::now();
        let mut rates = |seconds, events, epochs| {
            observer.rates(Sample { at: start + Duration::from_secs(seconds), events, epochs })
        };
        assert_eq!(rates(0, 0, 100), (0.0, 0.0));
        assert_eq!(rates(1, 1000, 150), (1000.0, 50.0));
        for seconds in 2..20 {
            rates(seconds, 1000, 150);
        }
        assert_eq!(rates(20, 1000, 150), (0.0, 0.0));
        assert_eq!(rates(21, 500, 155).0, 0.0, "a table was dropped");
    }
}
