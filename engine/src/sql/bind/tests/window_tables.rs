//! TUMBLE and HOP.

use super::fixture::answer;

#[tokio::test]
async fn each_row_is_in_one_window_of_tumble() {
    let answer = answer("SELECT n, window_start, w.window_end FROM TUMBLE(e, ts, interval '1 minute') w ORDER BY n")
        .await
        .unwrap();
    assert_eq!(answer.columns[1], "window_start timestamp without time zone");
    let expected = [
        "1|1970-01-01 00:00:00|1970-01-01 00:01:00",
        "2|1970-01-01 00:00:00|1970-01-01 00:01:00",
        "3|1970-01-01 00:01:00|1970-01-01 00:02:00",
    ];
    assert_eq!(answer.rows, expected);
}

#[tokio::test]
async fn each_row_is_in_every_window_of_hop_that_holds_it() {
    let sql = "SELECT window_start, count(*), sum(n) FROM HOP(e, ts, interval '1 minute', interval '2 minutes') \
               GROUP BY window_start ORDER BY 1";
    let expected = ["1969-12-31 23:59:00|2|3", "1970-01-01 00:00:00|3|6", "1970-01-01 00:01:00|1|3"];
    assert_eq!(answer(sql).await.unwrap().rows, expected);
}

#[tokio::test]
async fn windows_are_checked() {
    for (sql, state) in [
        ("SELECT * FROM HOP(e, ts, interval '2 minutes', interval '3 minutes')", "22023"),
        ("SELECT * FROM TUMBLE(e, n, interval '1 minute')", "42804"),
        ("SELECT * FROM TUMBLE(e, ts, interval '1 month')", "22023"),
        ("SELECT * FROM TUMBLE(e, ts)", "42883"),
        ("SELECT * FROM TUMBLE(missing, ts, interval '1 minute')", "42P01"),
    ] {
        assert_eq!(answer(sql).await.err().unwrap().sqlstate().code(), state, "{sql}");
    }
}
