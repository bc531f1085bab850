//! GREATEST and LEAST of what Arrow does not order as PostgreSQL does.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, ListArray, UInt32Array, new_null_array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{concat, take};
use arrow::datatypes::Field;
use datafusion::logical_expr::Expr;
use std::sync::Arc;

use super::gathered::element_keys;
use super::signature::{Kernel, Volatility};
use super::udf::PgScalar;
use crate::data::SqlType;
use crate::error::Result;
use crate::sql::adt::time_zone::TimeZone;
use crate::sql::rows::Call;

/// The greatest or the least of values of one type, the first of equal ones; NULLs do not count.
pub fn extreme(values: Vec<Expr>, ty: &SqlType, greatest: bool) -> Expr {
    let kernel: Kernel = match greatest {
        true => |call| pick(call, Ordering::Greater),
        false => |call| pick(call, Ordering::Less),
    };
    let name = if greatest { "greatest" } else { "least" };
    let types = vec![ty.clone(); values.len()];
    PgScalar::new(name, types, ty.clone(), TimeZone::UTC, Volatility::Immutable, kernel).call(values)
}

fn pick(call: &Call, which: Ordering) -> Result<ArrayRef> {
    let parts: Vec<&dyn Array> = call.args.iter().map(|array| array.as_ref()).collect();
    if parts.is_empty() {
        return Ok(new_null_array(&call.result.arrow(), call.rows));
    }
    let all = concat(&parts)?;
    let starts: Vec<usize> =
        parts.iter().scan(0, |next, part| Some(std::mem::replace(next, *next + part.len()))).collect();
    let field = Arc::new(Field::new_list_field(all.data_type().clone(), true));
    let list = ListArray::try_new(field, OffsetBuffer::from_lengths([all.len()]), all.clone(), None)?;
    let keys = element_keys(&list, &call.result.clone().array())?;
    let best = |row: usize| {
        let there = (0..parts.len()).filter(|at| !call.is_null(*at, row));
        let places = there.map(|at| starts[at] + call.row(at, row));
        places.reduce(|best, next| if keys.row(next).cmp(&keys.row(best)) == which { next } else { best })
    };
    let picks: UInt32Array = (0..call.rows).map(|row| best(row).map(|place| place as u32)).collect();
    Ok(take(&all, &picks, None)?)
}
