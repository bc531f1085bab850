//! `= <> < <= > >=`: expressions of DataFusion's own, so that its optimizer sees joins, ranges and keys in them.
//!
//! Where Arrow's order is not PostgreSQL's (intervals, jsonb, -0.0), the operands are mapped to something whose is.

use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use crate::data::SqlType;
use crate::error::{Error, Result};
use crate::sql::adt::interval::Interval;
use crate::sql::adt::json;
use crate::sql::adt::json_order::order_key;
use crate::sql::adt::time_zone::TimeZone;
use crate::sql::functions::array;
use crate::sql::functions::signature::{Function, Kernel, T, Volatility, plan};
use crate::sql::functions::udf::PgScalar;
use crate::sql::rows::{Call, Clock, Uuid, map1};

/// The types that compare with themselves; any other pair is coerced to one of these.
pub const SIGNATURES: &[Function] = &[
    same(&[T::Bool, T::Bool]),
    same(&[T::Int2, T::Int2]),
    same(&[T::Int4, T::Int4]),
    same(&[T::Int8, T::Int8]),
    same(&[T::Float4, T::Float4]),
    same(&[T::Float8, T::Float8]),
    same(&[T::Float4, T::Float8]),
    same(&[T::Float8, T::Float4]),
    same(&[T::Numeric, T::Numeric]),
    same(&[T::Text, T::Text]),
    same(&[T::Bpchar, T::Bpchar]),
    same(&[T::Name, T::Name]),
    same(&[T::Char, T::Char]),
    same(&[T::Bytea, T::Bytea]),
    same(&[T::Date, T::Date]),
    same(&[T::Time, T::Time]),
    same(&[T::Timestamp, T::Timestamp]),
    same(&[T::Timestamptz, T::Timestamptz]),
    same(&[T::Interval, T::Interval]),
    same(&[T::Uuid, T::Uuid]),
    same(&[T::Jsonb, T::Jsonb]),
    same(&[T::Oid, T::Oid]),
    same(&[T::AnyArray, T::AnyArray]),
];

const fn same(args: &'static [T]) -> Function {
    plan("=", args, T::Bool, not_a_call)
}

/// Comparisons are built by [`compare`], which knows the operator.
fn not_a_call(_: Vec<Expr>) -> Result<Expr> {
    Err(Error::internal("a comparison is not called"))
}

/// Whether Arrow orders values of a type as PostgreSQL does.
pub fn plain_order(ty: &SqlType) -> bool {
    match ty {
        SqlType::Interval | SqlType::Jsonb | SqlType::Json | SqlType::Record(_) => false,
        SqlType::Array(element) => plain_order(element),
        _ => true,
    }
}

/// The comparison a symbol means.
pub fn operator(symbol: &str) -> Option<Operator> {
    Some(match symbol {
        "=" => Operator::Eq,
        "<>" | "!=" => Operator::NotEq,
        "<" => Operator::Lt,
        "<=" => Operator::LtEq,
        ">" => Operator::Gt,
        ">=" => Operator::GtEq,
        _ => return None,
    })
}

/// Compares two expressions of type `ty`.
pub fn compare(left: Expr, operator: Operator, right: Expr, ty: &SqlType) -> Result<Expr> {
    if let SqlType::Array(element) = ty
        && !plain_order(element)
    {
        return Err(Error::unsupported(format!("comparison of {ty}")));
    }
    let (left, right) = match ty {
        // Arrow takes an element that is NULL for the least.
        SqlType::Array(_) if !is_equality(operator) => (array_key(left, ty), array_key(right, ty)),
        _ => (sort_key(left, ty), sort_key(right, ty)),
    };
    Ok(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), operator, Box::new(right))))
}

fn is_equality(operator: Operator) -> bool {
    matches!(operator, Operator::Eq | Operator::NotEq | Operator::IsDistinctFrom | Operator::IsNotDistinctFrom)
}

/// Whether values that are equal for PostgreSQL can differ in Arrow, so that [`sort_key`] is another expression.
pub fn has_sort_key(ty: &SqlType) -> bool {
    matches!(ty, SqlType::Float4 | SqlType::Float8 | SqlType::Interval | SqlType::Jsonb)
}

/// The same of values within lists and rows.
pub fn written_apart(ty: &SqlType) -> bool {
    match ty {
        SqlType::Array(element) => written_apart(element),
        SqlType::Record(fields) => fields.iter().any(|(_, field)| written_apart(field)),
        _ => has_sort_key(ty),
    }
}

/// A `double precision` as a whole number that is less or greater where PostgreSQL says so: NaN is the greatest, -0 is 0.
pub fn float_key(expr: Expr) -> Expr {
    let kernel: Kernel = |c| {
        map1(c, |value: f64| {
            let bits = if value.is_nan() { f64::NAN } else { value + 0.0 }.to_bits() as i64;
            Ok(turned(bits))
        })
    };
    let types = vec![SqlType::Float8];
    PgScalar::new("float_key", types, SqlType::Int8, TimeZone::UTC, Volatility::Immutable, kernel).call(vec![expr])
}

/// The same of the values themselves: -0 is less than 0.
pub fn exact_float_key(expr: Expr) -> Expr {
    let kernel: Kernel =
        |c| map1(c, |value: f64| Ok(turned(if value.is_nan() { f64::NAN } else { value }.to_bits() as i64)));
    let types = vec![SqlType::Float8];
    PgScalar::new("exact_float_key", types, SqlType::Int8, TimeZone::UTC, Volatility::Immutable, kernel)
        .call(vec![expr])
}

/// The number that such a function made a key of.
pub fn float_of_key(expr: Expr) -> Expr {
    let kernel: Kernel = |c| map1(c, |key: i64| Ok(f64::from_bits(turned(key) as u64)));
    let types = vec![SqlType::Int8];
    PgScalar::new("float_of_key", types, SqlType::Float8, TimeZone::UTC, Volatility::Immutable, kernel).call(vec![expr])
}

/// Negative floats order backwards by their bits: all of these but the sign are turned. Its own inverse.
fn turned(bits: i64) -> i64 {
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

/// A float whose NaN is the one that is greater than all: what computes one may set its sign.
pub fn plain_nan(expr: Expr, ty: &SqlType) -> Expr {
    let kernel: Kernel = match ty {
        SqlType::Float4 => |c| map1(c, |v: f32| Ok(if v.is_nan() { f32::NAN } else { v })),
        SqlType::Float8 => |c| map1(c, |v: f64| Ok(if v.is_nan() { f64::NAN } else { v })),
        _ => return expr,
    };
    let types = vec![ty.clone()];
    PgScalar::new("plain_nan", types, ty.clone(), TimeZone::UTC, Volatility::Immutable, kernel).call(vec![expr])
}

/// What stands inside of an expression that compares equal only where its operand does: a [`sort_key`], or a conversion
/// that keeps different values apart. The same expression where there is nothing around it.
pub fn key_operand(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast(cast) => &cast.expr,
        Expr::ScalarFunction(call) if matches!(call.name(), "zero_sign" | "assign numeric") && call.args.len() == 1 => {
            &call.args[0]
        }
        _ => expr,
    }
}

/// The same for windows, of which DataFusion has none that are ordered by times of day or bytes.
pub fn window_key(expr: Expr, ty: &SqlType) -> Expr {
    let (name, result, kernel): (_, _, Kernel) = match ty {
        SqlType::Time => ("time_key", SqlType::Int8, |c| map1(c, |time: Clock| Ok(time.0))),
        SqlType::Uuid => ("bytes_key", SqlType::Text, |c| map1(c, |value: Uuid| Ok(text_key(&value.0)))),
        SqlType::Bytea => ("bytes_key", SqlType::Text, |c| map1(c, |bytes: &[u8]| Ok(text_key(bytes)))),
        _ => return expr,
    };
    PgScalar::new(name, vec![ty.clone()], result, TimeZone::UTC, Volatility::Immutable, kernel).call(vec![expr])
}

/// A text that orders as bytes do: DataFusion has no windows that are ordered by bytes.
pub fn text_key(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// What is less or greater where an array is: an element that is NULL is the greatest.
pub fn array_key(expr: Expr, ty: &SqlType) -> Expr {
    let types = vec![ty.clone()];
    PgScalar::new("array_key", types, SqlType::Text, TimeZone::UTC, Volatility::Immutable, array::order_keys)
        .call(vec![expr])
}

/// An expression that is equal, less or greater exactly where `expr` of type `ty` is for PostgreSQL: what to compare,
/// group, join and order by.
pub fn sort_key(expr: Expr, ty: &SqlType) -> Expr {
    let key = |name: &str, result: SqlType, kernel: Kernel| {
        let types = vec![ty.clone()];
        PgScalar::new(name, types, result, TimeZone::UTC, Volatility::Immutable, kernel)
    };
    match (ty, &expr) {
        (SqlType::Float4 | SqlType::Float8, Expr::Literal(..)) => expr,
        (SqlType::Float4, _) => {
            let kernel = |c: &Call| map1(c, |v: f32| Ok(if v.is_nan() { f32::NAN } else { v + 0.0 }));
            key("zero_sign", SqlType::Float4, kernel).call(vec![expr])
        }
        (SqlType::Float8, _) => {
            let kernel = |c: &Call| map1(c, |v: f64| Ok(if v.is_nan() { f64::NAN } else { v + 0.0 }));
            key("zero_sign", SqlType::Float8, kernel).call(vec![expr])
        }
        (SqlType::Interval, _) => {
            let wide = SqlType::Numeric(Some((38, 0)));
            key("interval_key", wide, |c| map1(c, |v: Interval| Ok(v.sort_key()))).call(vec![expr])
        }
        (SqlType::Jsonb, _) => {
            let kernel = |c: &Call| map1(c, |text: &str| Ok(text_key(&order_key(&json::parse(text)?))));
            key("jsonb_key", SqlType::Text, kernel).call(vec![expr])
        }
        _ => expr,
    }
}
