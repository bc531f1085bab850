//! `levada demo` on a Kafka of the user's.

use super::Broker;
use super::tables::{connect, rows, until};
use crate::server::Server;

/// Whether all that is in the topics is in the tables; people and auctions are replaced by those of the same id.
const COMPLETE: &str = "SELECT count(*) FROM (
    SELECT 'person' AS name, count(*) AS rows FROM person UNION ALL
    SELECT 'auction', count(*) FROM auction UNION ALL
    SELECT 'bid', count(*) FROM bid) AS tables
  JOIN (SELECT name, sum(next_offset) AS messages, sum(lag) AS lag FROM levada_catalog.sources GROUP BY name) AS sources
    USING (name) WHERE messages = rows AND lag = 0";

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_goes_on_where_it_was() {
    let broker = Broker::shared().address();
    let data = tempfile::tempdir().expect("a temporary folder");
    let mut people = 0;
    for _ in 0..2 {
        let server = Server::run(&["demo", "--rate", "500", "--brokers", &broker], data.path());
        let client = connect(&server).await;
        // Of 500 events ten are people.
        let more = format!("SELECT count(*) > {people} + 5 FROM person");
        until(&client, &more, &["t"]).await;
        until(&client, COMPLETE, &["3"]).await;
        people = rows(&client, "SELECT count(*) FROM person").await[0].parse().expect("a count");
        assert_eq!(rows(&client, "SELECT count(*) FROM levada_catalog.source_errors").await, ["0"]);
    }
    assert!(people > 10, "{people} people");
}
