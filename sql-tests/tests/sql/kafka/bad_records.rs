//! More messages that are no rows than are kept.

use super::Broker;
use super::tables::{connect, rows, send, until};
use crate::server::Server;

/// So many are kept.
const KEPT: i64 = 100_000;

fn send_bad(broker: &Broker, count: usize) {
    // A producer takes so many at once.
    for first in (0..count).step_by(50_000) {
        let count = (count - first).min(50_000);
        send(broker, "hopeless", std::iter::repeat_n(("k".to_owned(), Some("{".to_owned())), count));
    }
}

/// Each counts once, whoever reads them and whatever there is room for, and the last ones are kept.
#[tokio::test(flavor = "multi_thread")]
async fn bad_records_count_once_however_many_there_are() {
    const ALL: i64 = 130_000;
    let broker = Broker::shared();
    broker.create_topic("hopeless", 1).await;
    send_bad(broker, ALL as usize);
    let data = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::start(data.path());
    let mut client = connect(&server).await;
    let address = broker.address();
    let source = format!(
        "CREATE SOURCE hopeless (n int) WITH (connector = 'kafka', topic = 'hopeless', \
         properties.bootstrap.server = '{address}') FORMAT PLAIN ENCODE JSON"
    );
    rows(&client, &source).await;
    let view = |name: &str| format!("CREATE MATERIALIZED VIEW {name} AS SELECT count(*) AS c FROM hopeless");
    let filling = "SELECT name FROM levada_catalog.views WHERE hydration <> 'hydrated'";
    let counted = "SELECT sum(bad_messages) FROM levada_catalog.sources";
    let last = |all: i64| {
        format!(
            "SELECT count(DISTINCT \"offset\") FROM levada_catalog.source_errors WHERE \"offset\" >= {}",
            all - KEPT
        )
    };
    let all = "SELECT count(*), min(\"offset\"), max(\"offset\"), sum(\"offset\") FROM levada_catalog.source_errors";

    rows(&client, &view("first")).await;
    until(&client, filling, &[]).await;
    assert_eq!(rows(&client, counted).await, [ALL.to_string()]);
    assert_eq!(rows(&client, &last(ALL)).await, [KEPT.to_string()]);
    let before = rows(&client, all).await;
    rows(&client, &view("second")).await;
    until(&client, filling, &[]).await;
    assert_eq!((rows(&client, counted).await, rows(&client, all).await), (vec![ALL.to_string()], before));

    send_bad(broker, 5);
    until(&client, counted, &[&(ALL + 5).to_string()]).await;
    rows(&client, "FLUSH").await;
    let before = rows(&client, all).await;
    server.kill();
    server = Server::start(data.path());
    client = connect(&server).await;
    rows(&client, &view("third")).await;
    until(&client, filling, &[]).await;
    assert_eq!((rows(&client, counted).await, rows(&client, all).await), (vec![(ALL + 5).to_string()], before));

    // While nobody reads the source.
    rows(&client, "DROP MATERIALIZED VIEW first, second, third").await;
    send_bad(broker, 5);
    rows(&client, &view("fourth")).await;
    until(&client, filling, &[]).await;
    assert_eq!(rows(&client, counted).await, [(ALL + 10).to_string()]);
    assert_eq!(rows(&client, &last(ALL + 10)).await, [KEPT.to_string()]);
}
