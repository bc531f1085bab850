//! `json_object_agg`: the object of all keys and values.

use arrow::array::{Array, AsArray};
use datafusion::functions::core::expr_fn::named_struct;
use datafusion::logical_expr::{Expr, lit};

use super::aggregate::AggregateCall;
use super::gathered::gathered;
use super::json::{key_texts, write};
use super::signature::{Kernel, Volatility};
use super::udf::PgScalar;
use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::adt::json::{self, quote};
use crate::sql::rows::{Call, map_rows};

/// The aggregate over its two arguments.
pub fn aggregate(call: AggregateCall, result: SqlType) -> Result<Expr> {
    let ([key, value], [key_type, value_type]) = (call.args.as_slice(), call.types.as_slice()) else {
        return Err(Error::internal("json_object_agg() takes two arguments"));
    };
    let fields = vec![("key".to_owned(), key_type.clone()), ("value".to_owned(), value_type.clone())];
    let pair = SqlType::Record(fields);
    let list = pair.clone().array();
    let expr = named_struct(vec![lit("key"), key.clone(), lit("value"), value.clone()]);
    let call = AggregateCall { args: vec![expr], types: vec![pair], ..call };
    let pairs = gathered(&call, &list)?;
    let kernel: Kernel = match result {
        SqlType::Jsonb => |call| map_rows(call, |row| object(call, row, true)),
        _ => |call| map_rows(call, |row| object(call, row, false)),
    };
    let name = if result == SqlType::Jsonb { "jsonb_object_agg_final" } else { "json_object_agg_final" };
    Ok(PgScalar::new(name, vec![list], result, call.zone, Volatility::Immutable, kernel).call(vec![pairs]))
}

fn object(call: &Call, row: usize, binary: bool) -> Result<Option<String>> {
    if call.is_null(0, row) {
        return Ok(None);
    }
    let SqlType::Array(element) = &call.types[0] else { return Err(Error::internal("an array expected")) };
    let SqlType::Record(fields) = &**element else { return Err(Error::internal("pairs expected")) };
    let pairs = call.args[0].as_list::<i32>().value(call.row(0, row));
    let pairs = pairs.as_struct();
    let (keys, values) = (pairs.column(0), pairs.column(1));
    let names = key_texts(keys, &fields[0].1, call.zone)?;
    let mut out = String::from(if binary { "{" } else { "{ " });
    for at in 0..pairs.len() {
        if keys.is_null(at) {
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, "field name must not be null"));
        }
        out.push_str(if at > 0 { ", " } else { "" });
        quote(names.value(at), &mut out);
        out.push_str(" : ");
        write(values, &fields[1].1, at, call.zone, &mut out)?;
    }
    out.push_str(if binary { "}" } else { " }" });
    if binary { json::normalize(&out).map(Some) } else { Ok(Some(out)) }
}
