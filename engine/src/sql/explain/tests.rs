//! Texts read back.

use super::expression::Reader;

fn shown(text: &str) -> String {
    let columns = ["a", "b"].map(str::to_owned);
    let mut reader = Reader::new(text);
    let shown = reader.expression(&columns).unwrap_or_else(|| panic!("{text}"));
    assert!(reader.eat("]").is_some() || reader.until(&['x']).is_none(), "{text}");
    shown
}

#[test]
fn expressions_are_sql_again() {
    for (text, expected) in [
        ("$1", "b"),
        ("gt($0,10:i32)", "a > 10"),
        ("and(gt($0,-1:i64),not(is_null($1)))", "(a > -1) AND (NOT (b IS NULL))"),
        ("f:+($0,f:*($1,2:i32))", "a + (b * 2)"),
        ("f:-($0)", "-a"),
        ("f:lower($1)", "lower(b)"),
        ("f:numeric(10,2)($0)", "a::numeric(10,2)"),
        ("f:assign text($0)", "a"),
        ("f:~~($1,'4'a;]%)", "b LIKE 'a;]%'"),
        ("'4'it's", "'it''s'"),
        ("cast($0,dec(38,18)<numeric>)", "a::numeric"),
        ("12500:dec(10,3)", "12.5"),
        ("-5:dec(10,3)", "-0.005"),
        ("3ff8000000000000:f64", "1.5"),
        ("0:date", "'1970-01-01'::date"),
        ("86400000000:timestamp(us)", "'1970-01-02 00:00:00'::timestamp"),
        ("1/2/3000000000:interval", "'1 months 2 days 3 seconds'::interval"),
        ("null:i32", "NULL"),
        ("in($0,1:i32,2:i32)", "a IN (1, 2)"),
        ("between($0,1:i32,2:i32)", "a BETWEEN 1 AND 2"),
        ("case(;eq($0,1:i32):'1'x;else:'1'y)", "CASE WHEN a = 1 THEN 'x' ELSE 'y' END"),
        ("case($0;1:i32:true)", "CASE a WHEN 1 THEN true END"),
    ] {
        assert_eq!(shown(text), expected, "{text}");
    }
}

#[test]
fn what_is_no_expression_is_not_read() {
    for text in ["$7", "gt($0", "'9'abc", "case(1"] {
        assert_eq!(Reader::new(text).expression(&["a".to_owned()]), None, "{text}");
    }
}
