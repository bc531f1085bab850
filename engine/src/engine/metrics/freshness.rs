//! How old messages are when their effect is published.
//!
//! All views over a source publish a message at once, so an age is recorded once for each source, whatever the number of
//! its views. The window of a source is a row of slices; a new one begins when a relation becomes readable, so that a
//! view's figures begin where the view does.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::catalog::Catalog;
use crate::catalog::system::Freshness;
use crate::data::ObjectId;
use crate::engine::dataflows::Stores;
use crate::source::{Delivery, Times};

/// How far back the figures go, and the part of it that is forgotten at once.
const WINDOW: Duration = Duration::from_secs(60);
const SLICE: Duration = Duration::from_secs(5);

/// Slices of a source at most: many relations made within a minute make many.
const MOST_SLICES: usize = 48;

/// Units of a histogram in a millisecond, its largest value (an hour), and the digits that it tells apart.
const UNITS: f64 = 10.0;
const LARGEST: u64 = 36_000_000;
const DIGITS: u8 = 2;

/// A point in time, by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub instant: Instant,
    /// Microseconds since 1970.
    pub micros: i64,
}

impl Moment {
    pub fn now() -> Moment {
        Moment { instant: Instant::now(), micros: super::now() }
    }
}

/// The ages of what all sources have published lately.
#[derive(Default)]
pub struct Ages {
    windows: HashMap<ObjectId, Window>,
    /// Times at which relations became readable, and which of those each relation did at.
    cuts: u64,
    readable: HashMap<ObjectId, u64>,
    /// The catalog when that was last looked at.
    catalog: Option<Arc<Catalog>>,
}

/// What one source has published.
struct Window {
    /// Microseconds since 1970. Messages from before are history: nobody has waited for them.
    since: i64,
    slices: VecDeque<Slice>,
}

struct Slice {
    began: Instant,
    /// Microseconds since 1970, when a relation became readable last: it has no part in messages from before, which it read
    /// with its history or waited for them to be read.
    since: i64,
    /// How many cuts there were when it began.
    cuts: u64,
    ages: Histogram<u32>,
}

impl Ages {
    /// Takes note of the relations that there are and of those, the ones with a store, that can be read.
    pub fn follow(&mut self, catalog: &Arc<Catalog>, stores: &Stores, now: Moment) {
        let same = self.catalog.as_ref().is_some_and(|last| Arc::ptr_eq(last, catalog));
        if same && self.readable.len() == stores.len() {
            return;
        }
        self.catalog = Some(catalog.clone());
        self.readable.retain(|relation, _| stores.contains_key(relation));
        if self.readable.len() < stores.len() {
            self.cuts += 1;
            stores.keys().for_each(|relation| _ = self.readable.entry(*relation).or_insert(self.cuts));
            self.windows.values_mut().for_each(|window| window.cut(now, self.cuts));
        }
        self.windows.retain(|source, _| catalog.by_id(*source).is_some());
        for item in catalog.items().filter(|item| item.connector().is_some()) {
            self.windows.entry(item.id).or_insert_with(|| Window { since: now.micros, slices: VecDeque::new() });
        }
    }

    /// Deliveries are published.
    pub fn record(&mut self, deliveries: &[Delivery], now: Moment) {
        for delivery in deliveries {
            if let Some(window) = self.windows.get_mut(&delivery.relation) {
                window.record(&delivery.times, now, self.cuts);
            }
        }
    }

    /// The figures of a view over these sources; None over none.
    pub fn figures(&self, view: ObjectId, sources: impl Iterator<Item = ObjectId>, now: Moment) -> Option<Freshness> {
        let mut windows = sources.filter_map(|source| self.windows.get(&source)).peekable();
        windows.peek()?;
        let since = self.readable.get(&view).copied();
        let mut all = histogram()?;
        for slice in windows.flat_map(|window| &window.slices) {
            let counts = since.is_some_and(|since| slice.cuts >= since);
            if counts && now.instant.saturating_duration_since(slice.began) < WINDOW + SLICE {
                // Both are of one layout, which is all that can be wrong.
                _ = all.add(&slice.ages);
            }
        }
        let quantile = |quantile| (!all.is_empty()).then(|| all.value_at_quantile(quantile) as f64 / UNITS);
        Some(Freshness { p50_ms: quantile(0.5), p99_ms: quantile(0.99), messages: all.len() })
    }
}

impl Window {
    fn record(&mut self, times: &Times, now: Moment, cuts: u64) {
        let last = self.slices.back().map(|slice| (slice.began, slice.since));
        if last.is_none_or(|(began, _)| now.instant.saturating_duration_since(began) >= SLICE) {
            self.begin(now.instant, last.map_or(self.since, |(_, since)| since), cuts);
        }
        for (millis, count) in times.runs() {
            let made = millis.saturating_mul(1000);
            let slice = self.slices.iter_mut().rev().find(|slice| slice.since <= made);
            if let Some(slice) = slice.filter(|_| made >= self.since) {
                // A clock of a producer may be ahead of ours.
                let age = now.micros.saturating_sub(made).max(0) as f64 / 1000.0;
                slice.ages.saturating_record_n((age * UNITS) as u64, count);
            }
        }
    }

    /// A relation has become readable.
    fn cut(&mut self, now: Moment, cuts: u64) {
        if self.slices.is_empty() {
            // For messages that are on their way to those that were readable before.
            self.begin(now.instant, self.since, cuts.saturating_sub(1));
        }
        self.begin(now.instant, now.micros, cuts);
    }

    /// Begins a slice, and forgets what is too old.
    fn begin(&mut self, now: Instant, since: i64, cuts: u64) {
        if let Some(ages) = histogram() {
            self.slices.push_back(Slice { began: now, since, cuts, ages });
        }
        let is_old = |slice: &Slice| now.saturating_duration_since(slice.began) >= WINDOW + SLICE;
        while self.slices.len() > MOST_SLICES || self.slices.front().is_some_and(is_old) {
            self.slices.pop_front();
        }
    }
}

/// An empty histogram; the bounds are ones that it takes.
fn histogram() -> Option<Histogram<u32>> {
    Histogram::new_with_bounds(1, LARGEST, DIGITS).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Item, ItemKind};
    use crate::data::RelationSchema;

    const SOURCE: ObjectId = ObjectId(20_000);
    const VIEW: ObjectId = ObjectId(20_001);
    const LATER: ObjectId = ObjectId(20_002);

    fn stores(relations: &[ObjectId]) -> Stores {
        let schema = Arc::new(arrow::datatypes::Schema::empty());
        let store = || crate::view::RowStore::new(schema.clone(), crate::view::Identity::FullRow);
        relations.iter().map(|relation| (*relation, Arc::new(store()))).collect()
    }

    fn catalog() -> Arc<Catalog> {
        let mut catalog = Catalog::default();
        let kind = ItemKind::Table { defaults: Vec::new(), connector: Some(serde_json::Value::Null) };
        let schema = RelationSchema { columns: Vec::new(), primary_key: None };
        let (name, create_sql, depends_on) = ("source".into(), String::new(), Vec::new());
        catalog.insert(Item { id: SOURCE, name, kind, schema, create_sql, depends_on, suspended: None }).unwrap();
        Arc::new(catalog)
    }

    fn record(ages: &mut Ages, times: impl Iterator<Item = i64>, now: Moment) {
        let times: Times = times.collect();
        let cuts = ages.cuts;
        ages.windows.get_mut(&SOURCE).unwrap().record(&times, now, cuts);
    }

    #[test]
    fn figures_are_of_the_last_minute_and_of_messages_that_were_waited_for() {
        let start = Moment { instant: Instant::now(), micros: 1_000_000_000_000 };
        let after = |seconds: u64| Moment {
            instant: start.instant + Duration::from_secs(seconds),
            micros: start.micros + seconds as i64 * 1_000_000,
        };
        let mut ages = Ages::default();
        let catalog = catalog();
        ages.follow(&catalog, &stores(&[SOURCE, VIEW]), start);
        let figures = |ages: &Ages, view, now| ages.figures(view, [SOURCE].into_iter(), now).unwrap();
        let none = Freshness { p50_ms: None, p99_ms: None, messages: 0 };
        assert_eq!(figures(&ages, VIEW, start), none);
        assert_eq!(ages.figures(VIEW, [VIEW].into_iter(), start), None);

        // History, and messages of 0 to 99 ms.
        let now = after(10);
        let ms = now.micros / 1000;
        record(&mut ages, (0..100).map(|age| ms - 20_000 - age), now);
        record(&mut ages, (0..100).map(|age| ms - age), now);
        // From a clock that is ahead.
        record(&mut ages, [ms + 5].into_iter(), now);
        let found = figures(&ages, VIEW, now);
        assert_eq!(found.messages, 101);
        let (p50, p99) = (found.p50_ms.unwrap(), found.p99_ms.unwrap());
        assert!((49.0..51.0).contains(&p50) && (97.0..100.0).contains(&p99), "{p50} {p99}");

        // A view that comes later begins with nothing; the figures of the other go on.
        ages.follow(&catalog, &stores(&[SOURCE, VIEW, LATER]), now);
        assert_eq!(figures(&ages, LATER, now), none);
        // A message that was on its way is of the other's only.
        record(&mut ages, [ms - 7].into_iter(), now);
        assert_eq!((figures(&ages, LATER, now).messages, figures(&ages, VIEW, now).messages), (0, 102));
        let soon = Moment { instant: now.instant + Duration::from_millis(10), micros: now.micros + 10_000 };
        record(&mut ages, [ms - 7, ms + 3].into_iter(), soon);
        assert_eq!((figures(&ages, LATER, soon).messages, figures(&ages, VIEW, soon).messages), (1, 104));
        assert!((figures(&ages, LATER, soon).p99_ms.unwrap() - 7.0).abs() < 0.2);

        assert_eq!(figures(&ages, VIEW, after(60)).messages, 104);
        assert_eq!(figures(&ages, VIEW, after(80)), none);
        record(&mut ages, [ms + 69_990].into_iter(), after(80));
        assert_eq!(figures(&ages, VIEW, after(80)).messages, 1);
        assert!(ages.windows[&SOURCE].slices.len() <= 2);
    }

    #[test]
    fn many_new_relations_do_not_make_many_slices() {
        let now = Moment::now();
        let mut ages = Ages::default();
        let mut relations = vec![SOURCE];
        for id in 0..200 {
            relations.push(ObjectId(30_000 + id));
            ages.follow(&catalog(), &stores(&relations), now);
        }
        assert_eq!(ages.windows[&SOURCE].slices.len(), MOST_SLICES);
        assert_eq!(ages.readable.len(), 201);
    }
}
