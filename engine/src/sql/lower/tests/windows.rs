//! TUMBLE and HOP in views: rows come, change and go, and so do their windows.

use std::collections::BTreeMap;
use std::sync::Arc;

use levada_testing::Dice;

use super::oracle::Oracle;
use super::random::Table;
use crate::catalog::RelationSource;
use crate::data::ObjectId;
use crate::error::Result;
use crate::sql::bind::tests::fixture::query_of;
use crate::sql::bind::{BindSettings, Binder, NameResolver, Parameters, Purpose, Relation};

/// `e`: rows of a table with a time that may be NULL, before 1970, or the same for many.
const TIMES: &str = "WITH e AS (SELECT id, k, v, s, timestamptz '1970-01-01 00:00:00+00' + (v * 7 - k) * interval '1 second' AS at FROM a)";

const VIEWS: &[&str] = &[
    "SELECT id, k, window_start, window_end FROM TUMBLE(e, at, interval '5 seconds')",
    "SELECT id, k, window_start, window_end FROM TUMBLE(e, at, interval '5 seconds', interval '-3 seconds')",
    "SELECT window_start, window_end, count(*), sum(k), count(DISTINCT s) FROM TUMBLE(e, at, interval '10 seconds') \
     GROUP BY window_start, window_end",
    "SELECT id, window_start, window_end FROM HOP(e, at, interval '2 seconds', interval '10 seconds')",
    "SELECT window_end, s, count(*), max(k) FROM HOP(e, at, interval '5 seconds', interval '15 seconds', interval '1 second') \
     GROUP BY window_end, s HAVING count(*) > 1",
    "SELECT l.id, r.id, l.window_start FROM TUMBLE(e, at, interval '5 seconds') l \
     JOIN HOP(e, at, interval '5 seconds', interval '10 seconds') r ON l.k = r.k AND l.window_start = r.window_start",
    "SELECT x.s, x.window_start, y.n FROM TUMBLE(e, at, interval '4 seconds') x LEFT JOIN \
     (SELECT window_start, count(*) AS n FROM TUMBLE(e, at, interval '4 seconds') WHERE k > 1 GROUP BY window_start) y \
     ON x.window_start = y.window_start",
    "SELECT DISTINCT window_start FROM HOP(e, at, interval '1 second', interval '3 seconds') WHERE id % 2 = 0",
    "SELECT id, window_start, count(*) FROM HOP(e, at, interval '2 seconds', interval '6 seconds') GROUP BY 1, 2",
    "SELECT count(*) FROM HOP(e, at, interval '1 second', interval '1 second')",
];

struct Names(Arc<RelationSource>);

impl NameResolver for Names {
    fn relation(&self, _: Option<&str>, name: &str) -> Result<Option<Relation>> {
        Ok((name == self.0.name).then(|| Relation::Stored(self.0.clone())))
    }
}

fn run(seed: u64, threads: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut random = Dice::new(seed);
    let table = Table::new(ObjectId::FIRST.0, "a", true);
    let mut oracle = Oracle::over(vec![table], threads, BTreeMap::new());
    oracle.next_view = ObjectId::FIRST.0 + 1;
    oracle.hydrate();
    let names = Names(oracle.source(0).clone());
    let settings = BindSettings::default();
    for (at, view) in VIEWS.iter().enumerate() {
        let sql = format!("{TIMES} {view}");
        let mut binder = Binder::new(&names, &settings, Purpose::View, Parameters::none(), &sql);
        let plan = binder.bind_query(&query_of(&sql).unwrap()).unwrap().plan;
        oracle.create(&sql, plan);
        // Some views find rows when they come.
        (0..at % 3).for_each(|_| oracle.change(&mut random));
    }
    for step in 0..30 {
        oracle.change(&mut random);
        oracle.check(&runtime, &format!("after step {step} of seed {seed}"));
    }
}

#[test]
fn windows_follow_their_rows() {
    run(21, 1);
    run(22, 3);
}
