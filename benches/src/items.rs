//! The view in which rows are looked up by their key, on Levada or on PostgreSQL.

use tokio_postgres::Client;

use crate::Outcome;
use crate::server::rows;

/// Rows of one INSERT.
const BATCH: i64 = 100_000;

/// Keys are 1 to the number of rows.
pub const LOOK_UP: &str = "SELECT id, amount, note FROM item_view WHERE id = $1";

/// Makes the table, with so many rows, and the view over it.
pub async fn fill(client: &Client, count: i64) -> Outcome<()> {
    rows(client, "CREATE TABLE item (id bigint PRIMARY KEY, amount int, note text)").await?;
    for first in (1..=count).step_by(BATCH as usize) {
        let last = count.min(first + BATCH - 1);
        let series = format!("generate_series({first}, {last}) AS g(n)");
        rows(client, &format!("INSERT INTO item SELECT n, (n % 1000)::int, 'note ' || n FROM {series}")).await?;
    }
    rows(client, "CREATE MATERIALIZED VIEW item_view AS SELECT id, amount, note FROM item").await?;
    Ok(())
}
