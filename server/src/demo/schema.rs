//! The tables and views of the demo, and what to try on them.

use levada_engine::nexmark::Kind;

use super::broker::{Broker, topic};

/// The tables: their names, the events they are read from, and those of their members that the views need.
pub const TABLES: &[(&str, Kind, &str)] = &[
    ("person", Kind::Person, "id bigint PRIMARY KEY, name text, city text, state text, datetime timestamptz"),
    (
        "auction",
        Kind::Auction,
        "id bigint PRIMARY KEY, itemname text, category bigint, seller bigint, reserve bigint, datetime timestamptz",
    ),
    (
        "bid",
        Kind::Bid,
        "auction bigint, bidder bigint, price bigint, channel text, datetime timestamptz,
    WATERMARK FOR datetime AS datetime - INTERVAL '5 seconds'",
    ),
];

/// How long rows stay in the tables.
const RETENTION: &str = "10 minutes";

/// The materialized views: name and query. Prices are in cents.
const VIEWS: &[(&str, &str)] = &[
    // Running counts.
    (
        "activity",
        "SELECT 'people' AS what, count(*) AS rows FROM person
         UNION ALL SELECT 'auctions', count(*) FROM auction
         UNION ALL SELECT 'bids', count(*) FROM bid",
    ),
    (
        "channels",
        "SELECT CASE WHEN channel IN ('Apple', 'Baidu', 'Facebook', 'Google') THEN channel ELSE 'others' END AS channel,
                count(*) AS bids, round(avg(price) / 100, 2) AS average_price
         FROM bid GROUP BY 1",
    ),
    // An average per category.
    (
        "category_prices",
        "SELECT a.category, count(*) AS bids, round(avg(b.price) / 100, 2) AS average_price
         FROM bid b JOIN auction a ON a.id = b.auction GROUP BY a.category",
    ),
    // A top 10.
    (
        "top_auctions",
        "SELECT auction, count(*) AS bids, round(sum(price) / 100, 2) AS total
         FROM bid GROUP BY auction ORDER BY bids DESC, auction LIMIT 10",
    ),
    // Bids with their auctions and bidders.
    (
        "high_bids",
        "SELECT b.datetime, p.name AS bidder, p.city, a.itemname, a.category, b.price / 100 AS price
         FROM bid b JOIN auction a ON a.id = b.auction JOIN person p ON p.id = b.bidder
         WHERE b.price >= 90000000",
    ),
    // A tumbling and a hopping window over the column with the watermark: each ten seconds, and each minute that ends with
    // one of them. They follow the table's retention; with EMIT ON WINDOW CLOSE they would stay as they were.
    (
        "bids_per_10_seconds",
        "SELECT window_start, count(*) AS bids, round(avg(price) / 100, 2) AS average_price
         FROM TUMBLE(bid, datetime, INTERVAL '10 seconds') GROUP BY window_start",
    ),
    (
        "high_bids_per_minute",
        "WITH high AS (SELECT datetime, price FROM bid WHERE price >= 90000000)
         SELECT window_start, window_end, count(*) AS bids, max(price) AS highest
         FROM HOP(high, datetime, INTERVAL '10 seconds', INTERVAL '1 minute')
         GROUP BY window_start, window_end",
    ),
    (
        "sellers_by_state",
        "SELECT p.state, count(*) AS auctions, count(DISTINCT a.seller) AS sellers
         FROM auction a JOIN person p ON p.id = a.seller GROUP BY p.state",
    ),
];

/// What a newcomer may want to see first.
pub const QUERIES: [&str; 4] = [
    "SELECT * FROM activity;",
    "SELECT * FROM category_prices ORDER BY category;",
    "SELECT * FROM top_auctions ORDER BY bids DESC;",
    "SELECT * FROM high_bids ORDER BY datetime DESC LIMIT 5;",
];

/// The statements that make it all, each as a user would type it.
pub fn statements(broker: &Broker) -> Vec<String> {
    let mut options: Vec<(&str, &str)> = vec![
        ("properties.bootstrap.server", broker.servers()),
        ("scan.startup.mode", "latest"),
        ("retention", RETENTION),
    ];
    options.extend(broker.table_options());
    let option = |(name, value): &(&str, &str)| format!(",\n    {name} = '{}'", value.replace('\'', "''"));
    let options: String = options.iter().map(option).collect();
    let tables = TABLES.iter().map(|(name, kind, columns)| {
        let topic = topic(*kind).0;
        format!(
            "CREATE TABLE IF NOT EXISTS {name} ({columns})\nWITH (\n    connector = 'kafka',\n    \
             topic = '{topic}'{options}\n)\nFORMAT PLAIN ENCODE JSON"
        )
    });
    let views = VIEWS
        .iter()
        .map(|(name, query)| format!("CREATE MATERIALIZED VIEW IF NOT EXISTS {name} AS\n{}", aligned(query)));
    tables.chain(views).collect()
}

/// A query without the blanks that it has in front of its lines here.
fn aligned(query: &str) -> String {
    query.lines().map(str::trim_start).collect::<Vec<_>>().join("\n")
}
