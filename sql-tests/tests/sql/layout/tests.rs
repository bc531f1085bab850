//! The rules do find what breaks them.

use super::code;
use super::rules::{LINES_AT_MOST, Source, manifest_violations};

fn violations(path: &str, text: &str) -> Vec<String> {
    Source::new(path, text).violations()
}

#[track_caller]
fn assert_broken(path: &str, text: &str, violation: &str) {
    let found = violations(path, text);
    assert!(found.iter().any(|found| found.contains(violation)), "{violation:?} is not among {found:?}");
}

#[track_caller]
fn assert_kept(path: &str, text: &str) {
    assert_eq!(violations(path, text), Vec::<String>::new());
}

#[test]
fn comments_and_literals_are_no_code() {
    let text = r##"a /* b /* c */ d */ "e \" f" r#"g " h"# 'i' '\'' b'j' b"k" x<'l> br"m" // n
        o r#type"##;
    let code = code::without_comments_and_literals(text);
    let names: Vec<&str> = code::identifiers(&code).map(|(_, name)| name).collect();
    assert_eq!(names, ["a", "x", "l", "o", "r", "type"]);
    assert_eq!(code::line(&code, code.find('o').unwrap()), 2);
}

#[test]
fn names_below_a_root_are_found_in_groups_and_paths() {
    let code = "use crate::{data::{Epoch, ZSet}, state, view::RowStore as Rows}; crate::sql::bind(x); other::crate::y";
    let names: Vec<&str> = code::named_below(code, "crate").into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["data", "state", "view", "sql"]);
}

#[test]
fn folders_import_only_what_lies_before_them() {
    assert_broken("engine/src/state/store.rs", "use crate::view::RowStore;", "'state' may not import 'view'");
    assert_broken("engine/src/view/mod.rs", "fn f() { crate::dataflow::g() }", ":1: 'view' may not import 'dataflow'");
    assert_broken("engine/src/data/zset.rs", "use crate::{error::Result, state::X};", "'data' may not import 'state'");
    assert_broken("engine/src/source/kafka.rs", "use crate::state::Log;", "'source' may not import 'state'");
    assert_broken("engine/src/query/mod.rs", "use crate::Engine;", "'query' may not import 'Engine'");
    assert_broken("engine/src/cache/mod.rs", "", "'cache' is no folder of the engine");
    assert_kept("engine/src/source/table_log.rs", "use crate::state::Log;");
    assert_kept("engine/src/dataflow/graph.rs", "use crate::{data::ZSet, error::Result, state, view::RowStore};");
    assert_kept("engine/src/engine/mod.rs", "use crate::{catalog, dataflow, query, sql, state};");
    assert_kept("engine/src/view/tests/rows.rs", "use crate::query::Query;");
    assert_kept("engine/src/state/store.rs", "//! Read by crate::view.\nlet text = \"crate::view\";");
}

#[test]
fn super_does_not_leave_the_folder() {
    let climbs = "is named by 'crate::'";
    assert_broken("engine/src/view/index.rs", "use super::super::state::StateStore;", climbs);
    assert_broken("engine/src/view/mod.rs", "use super::state::StateStore;", climbs);
    assert_broken("engine/src/sql/bind/mod.rs", "use super::super::state::StateStore;", climbs);
    assert_broken("engine/src/view/mod.rs", "mod a {} mod b { use super::super::state; }", climbs);
    assert_kept("engine/src/view/mod.rs", "mod a; mod tests { use super::*; fn f() {} }");
    assert_kept("engine/src/sql/bind/expr.rs", "use super::super::relation::RelationSource; use super::Scope;");
}

#[test]
fn the_server_sees_the_facade_only() {
    assert_broken("server/src/pgwire/mod.rs", "use levada_engine::{Engine, query::Plan};", "not 'query'");
    assert_kept("server/src/pgwire/mod.rs", "use levada_engine::{Engine, Session, data::SqlType, error::Error};");
}

#[test]
fn crates_stay_in_their_folders() {
    assert_broken("engine/src/view/rows.rs", "use rocksdb::DB;", "the crate 'rocksdb' is named only in");
    assert_broken("server/src/main.rs", "fn f() -> rdkafka::Message {}", "the crate 'rdkafka' is named only in");
    assert_broken("engine/src/session.rs", "use pgwire::api::Type;", "the crate 'pgwire' is named only in");
    assert_kept("engine/src/state/store.rs", "use rocksdb::DB;");
    assert_kept("server/src/demo/broker.rs", "use rdkafka::mocking::MockCluster;");
    assert_kept("server/src/main.rs", "use crate::http::serve; mod pgwire; use pgwire as wire;");
}

#[test]
fn the_data_plane_is_synchronous() {
    assert_broken("engine/src/dataflow/step.rs", "\npub async fn step() {}", ":2: 'dataflow' is synchronous");
    assert_kept("engine/src/query/run.rs", "pub async fn run() {}");
}

#[test]
fn the_data_plane_has_no_clock_and_no_dice() {
    assert_broken("engine/src/dataflow/step.rs", "let now = std::time::Instant::now();", "no 'Instant'");
    assert_broken("engine/src/view/rows.rs", "let x: u8 = rand::random();", "no 'rand'");
    assert_kept("engine/src/dataflow/tests/step.rs", "let now = std::time::Instant::now();");
    assert_kept("engine/src/engine/checkpointer.rs", "let now = std::time::Instant::now();");
}

#[test]
fn nothing_is_left_undone_hidden_or_nameless() {
    assert_broken("server/src/main.rs", "fn f() { todo!() }", "'todo!'");
    assert_broken("server/src/main.rs", "fn f() { unimplemented!(\"x\") }", "'unimplemented!'");
    assert_broken("server/tests/a.rs", "#[ignore = \"slow\"] fn f() {}", "no '#[ignore]'");
    assert_broken("server/tests/a.rs", "#[ignore = \"run by nobody\"]\nfn f() {}", "no '#[ignore]'");
    assert_kept("server/tests/a.rs", "fn parent() {}\n#[ignore = \"run by parent\"]\nfn child() {}");
    assert_broken("server/src/main.rs", "#[cfg(feature = \"x\")] fn f() {}", "no cargo features");
    assert_broken("engine/src/sql/util.rs", "", "no module is called 'util'");
    assert_broken("engine/src/common/mod.rs", "", "no module is called 'common'");
    assert_broken("engine/src/sql/long.rs", &"\n".repeat(LINES_AT_MOST + 1), "801 lines");
    assert_kept("engine/src/data/types.rs", "");
    assert_kept("engine/src/sql/long.rs", &"\n".repeat(LINES_AT_MOST));
    assert_eq!(manifest_violations("engine/Cargo.toml", "[package]\n[features]\nx = []").len(), 1);
    assert_eq!(manifest_violations("Cargo.toml", "[workspace]\nfoo = { features = [\"x\"] }").len(), 0);
}
