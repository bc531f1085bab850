//! Aggregates: PostgreSQL's result types from DataFusion's accumulators.
//!
//! Only a few accumulators are needed (sum, count, min, max, …): `avg` of exact numbers is their quotient, so it rounds
//! as numeric division does.

use std::sync::Arc;

use arrow::compute::SortOptions;
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::functions_aggregate::bit_and_or_xor::{bit_and_udaf, bit_or_udaf, bit_xor_udaf};
use datafusion::functions_aggregate::bool_and_or::{bool_and_udaf, bool_or_udaf};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::functions_aggregate::{correlation, covariance, stddev, string_agg, variance};
use datafusion::logical_expr::expr::{
    AggregateFunction, AggregateFunctionParams, WindowFunction, WindowFunctionParams,
};
use datafusion::logical_expr::{AggregateUDF, Cast, Expr, SortExpr, WindowFrame, WindowFunctionDefinition, WindowUDF};

use super::cast;
use super::comparison::{array_key, exact_float_key, float_of_key, sort_key, written_apart};
use super::gathered::{gathered, joined};
use super::numeric_spread::numeric_spread;
use super::numeric_sum::numeric_sum;
use super::signature::T::{
    Any, AnyNonArray, Bool, Bpchar, Date, Float4, Float8, Int2, Int4, Int8, Json, Jsonb, Numeric, Oid, Text, Time,
    Timestamp, Timestamptz,
};
use super::signature::{Function, T, Volatility, aggregate};
use super::sliding::sliding;
use super::udf::PgScalar;
use crate::data::SqlType;
use crate::dataflow::aggregates::Spread;
use crate::error::{Error, Result};
use crate::sql::adt::decimal;
use crate::sql::adt::time_zone::TimeZone;
use crate::sql::rows::{map2, retype, scalar};

/// The window of a call.
#[derive(Clone, Debug)]
pub struct Window {
    pub partition_by: Vec<Expr>,
    pub order_by: Vec<SortExpr>,
    pub frame: WindowFrame,
}

/// A call of an aggregate or window function, its arguments coerced.
#[derive(Clone, Debug)]
pub struct AggregateCall {
    pub args: Vec<Expr>,
    pub types: Vec<SqlType>,
    pub result: SqlType,
    pub distinct: bool,
    pub filter: Option<Expr>,
    pub order_by: Vec<SortExpr>,
    /// How DISTINCT values are ordered where they stay.
    pub distinct_order: Option<SortOptions>,
    /// In which values become text.
    pub zone: TimeZone,
    /// For window functions, and for aggregates over a window.
    pub over: Option<Window>,
}

impl AggregateCall {
    /// A call with nothing but arguments.
    pub fn plain(args: Vec<Expr>, result: SqlType) -> AggregateCall {
        let (types, order_by) = (Vec::new(), Vec::new());
        AggregateCall {
            args,
            types,
            result,
            distinct: false,
            filter: None,
            order_by,
            distinct_order: None,
            zone: TimeZone::UTC,
            over: None,
        }
    }

    /// This call of DataFusion's aggregate.
    pub fn of(&self, function: Arc<AggregateUDF>, args: Vec<Expr>) -> Expr {
        match &self.over {
            Some(window) => {
                let moves = !window.frame.start_bound.is_unbounded();
                let function = if moves { sliding(function) } else { function };
                self.windowed(WindowFunctionDefinition::AggregateUDF(function), args, window)
            }
            None => Expr::AggregateFunction(AggregateFunction {
                func: function,
                params: AggregateFunctionParams {
                    args,
                    distinct: self.distinct,
                    filter: self.filter.clone().map(Box::new),
                    order_by: self.order_by.clone(),
                    null_treatment: None,
                },
            }),
        }
    }

    /// This call of DataFusion's window function. It makes constants of its values, and of lists those lose the metadata of
    /// their elements.
    pub fn of_window(&self, function: Arc<WindowUDF>, args: Vec<Expr>) -> Result<Expr> {
        let window = self.over.as_ref().ok_or_else(|| Error::internal("a window function without window"))?;
        let args = args.into_iter().enumerate().map(|(at, arg)| match self.types.get(at).and_then(plain_list) {
            Some(plain) => relabeled(arg, &plain),
            None => Ok(arg),
        });
        let call = self.windowed(WindowFunctionDefinition::WindowUDF(function), args.collect::<Result<_>>()?, window);
        Ok(if plain_list(&self.result).is_some() { relabel(call, &self.result) } else { call })
    }

    fn windowed(&self, fun: WindowFunctionDefinition, args: Vec<Expr>, window: &Window) -> Expr {
        Expr::WindowFunction(Box::new(WindowFunction {
            fun,
            params: WindowFunctionParams {
                args,
                partition_by: window.partition_by.clone(),
                order_by: window.order_by.clone(),
                window_frame: window.frame.clone(),
                filter: self.filter.clone().map(Box::new),
                null_treatment: None,
                distinct: self.distinct,
            },
        }))
    }

    /// The first argument.
    pub fn first(&self) -> Result<Expr> {
        self.args.first().cloned().ok_or_else(|| Error::internal("an aggregate without argument"))
    }

    /// Of DISTINCT values those are one that are equal for PostgreSQL, however they are written.
    fn same(&self, function: Arc<AggregateUDF>) -> Result<Expr> {
        let args = self.args.iter().enumerate().map(|(at, arg)| match self.types.get(at) {
            Some(ty) if self.distinct => distinct_key(arg.clone(), ty),
            _ => Ok(arg.clone()),
        });
        Ok(self.of(function, args.collect::<Result<_>>()?))
    }
}

/// What is the same of equal values.
fn distinct_key(expr: Expr, ty: &SqlType) -> Result<Expr> {
    match ty {
        SqlType::Array(_) if written_apart(ty) => Ok(array_key(expr, ty)),
        SqlType::Record(_) if written_apart(ty) => Err(Error::unsupported("an aggregate of DISTINCT rows like these")
            .with_hint("Aggregate over SELECT DISTINCT … in a subquery of FROM.")),
        _ => Ok(sort_key(expr, ty)),
    }
}

fn arrow_cast(expr: Expr, ty: &SqlType) -> Expr {
    Expr::Cast(Cast::new(Box::new(expr), ty.arrow()))
}

/// A conversion by our own kernel.
fn pg_cast(expr: Expr, from: SqlType, to: SqlType) -> Expr {
    PgScalar::new(to.to_string(), vec![from], to, TimeZone::UTC, Volatility::Immutable, cast::explicit).call(vec![expr])
}

/// A list under the exact Arrow type of `ty`: DataFusion's drop the metadata of elements.
pub fn relabel(expr: Expr, ty: &SqlType) -> Expr {
    let name = format!("relabel {ty}");
    PgScalar::new(name, vec![ty.clone()], ty.clone(), TimeZone::UTC, Volatility::Immutable, |call| {
        Ok(call.args[0].clone())
    })
    .call(vec![expr])
}

/// The type of the same lists without metadata of elements, if these have any.
fn plain_list(ty: &SqlType) -> Option<SqlType> {
    let SqlType::Array(element) = ty else { return None };
    SqlType::plain(&element.arrow()).filter(|plain| *plain != **element).map(SqlType::array)
}

/// The same of a constant, which stays one.
fn relabeled(expr: Expr, ty: &SqlType) -> Result<Expr> {
    match expr {
        Expr::Literal(value, _) => Ok(Expr::Literal(scalar(&retype(value.to_array()?, &ty.arrow())?, 0)?, None)),
        expr => Ok(relabel(expr, ty)),
    }
}

fn sum_as(call: &AggregateCall, ty: SqlType) -> Result<Expr> {
    let first = call.first()?;
    let arg = if call.types.first() == Some(&ty) { first } else { arrow_cast(first, &ty) };
    Ok(call.of(sum_udaf(), vec![arg]))
}

fn sum_numeric(call: &AggregateCall) -> Result<Expr> {
    let first = call.first()?;
    let exact = call.types.first() == Some(&SqlType::NUMERIC);
    let arg = if exact { first } else { arrow_cast(first, &SqlType::NUMERIC) };
    Ok(call.of(numeric_sum(), vec![arg]))
}

/// min() and max() of floats by PostgreSQL's order, which is not that of the library's groups: NaN is the greatest. What is
/// shown is a value that is there.
fn extreme_float(call: AggregateCall, extreme: Arc<AggregateUDF>, ty: &SqlType) -> Result<Expr> {
    let wide = arrow_cast(call.first()?, &SqlType::Float8);
    Ok(arrow_cast(float_of_key(call.of(extreme, vec![exact_float_key(wide)])), ty))
}

fn avg_numeric(call: AggregateCall) -> Result<Expr> {
    let sum = sum_numeric(&call)?;
    let count = arrow_cast(call.of(count_udaf(), vec![call.first()?]), &SqlType::NUMERIC);
    let numeric = SqlType::NUMERIC;
    // No rows: the sum is NULL, and so is the quotient.
    let divide = PgScalar::new(
        "/",
        vec![numeric.clone(), numeric.clone()],
        numeric,
        TimeZone::UTC,
        Volatility::Immutable,
        |call| map2(call, decimal::div),
    );
    Ok(divide.call(vec![sum, count]))
}

fn count(call: AggregateCall) -> Result<Expr> {
    call.same(count_udaf())
}

fn min(call: AggregateCall) -> Result<Expr> {
    call.same(min_udaf())
}

fn max(call: AggregateCall) -> Result<Expr> {
    call.same(max_udaf())
}

fn boolean_and(call: AggregateCall) -> Result<Expr> {
    call.same(bool_and_udaf())
}

fn array(call: AggregateCall) -> Result<Expr> {
    gathered(&call, &call.result)
}

fn strings(call: AggregateCall) -> Result<Expr> {
    if !matches!(call.args.get(1), Some(Expr::Literal(..))) {
        return Err(Error::unsupported("string_agg() with a delimiter that is not a constant"));
    }
    if call.distinct {
        return joined(call);
    }
    Ok(arrow_cast(call.same(string_agg::string_agg_udaf())?, &SqlType::Text))
}

/// Of integers and numerics exactly, of floats in double precision.
fn statistic(call: &AggregateCall, function: Arc<AggregateUDF>, spread: Spread) -> Result<Expr> {
    match call.result == SqlType::NUMERIC {
        true => Ok(call.of(numeric_spread(spread), vec![call.first()?])),
        false => call.same(function),
    }
}

fn stddev_samp(call: AggregateCall) -> Result<Expr> {
    statistic(&call, stddev::stddev_udaf(), Spread { sample: true, root: true })
}

fn stddev_pop(call: AggregateCall) -> Result<Expr> {
    statistic(&call, stddev::stddev_pop_udaf(), Spread { sample: false, root: true })
}

fn var_samp(call: AggregateCall) -> Result<Expr> {
    statistic(&call, variance::var_samp_udaf(), Spread { sample: true, root: false })
}

fn var_pop(call: AggregateCall) -> Result<Expr> {
    statistic(&call, variance::var_pop_udaf(), Spread { sample: false, root: false })
}

pub const FUNCTIONS: &[Function] = &[
    aggregate("count", &[Any], Int8, count),
    aggregate("sum", &[Int2], Int8, |call| sum_as(&call, SqlType::Int8)),
    aggregate("sum", &[Int4], Int8, |call| sum_as(&call, SqlType::Int8)),
    aggregate("sum", &[Int8], Numeric, |call| sum_numeric(&call)),
    aggregate("sum", &[Numeric], Numeric, |call| sum_numeric(&call)),
    aggregate("sum", &[Float4], Float4, |call| {
        Ok(pg_cast(sum_as(&call, SqlType::Float8)?, SqlType::Float8, SqlType::Float4))
    }),
    aggregate("sum", &[Float8], Float8, |call| call.same(sum_udaf())),
    aggregate("avg", &[Int2], Numeric, avg_numeric),
    aggregate("avg", &[Int4], Numeric, avg_numeric),
    aggregate("avg", &[Int8], Numeric, avg_numeric),
    aggregate("avg", &[Numeric], Numeric, avg_numeric),
    aggregate("avg", &[Float4], Float8, |call| {
        Ok(call.of(avg_udaf(), vec![arrow_cast(call.first()?, &SqlType::Float8)]))
    }),
    aggregate("avg", &[Float8], Float8, |call| call.same(avg_udaf())),
    aggregate("min", &[Int2], Int2, min),
    aggregate("min", &[Int4], Int4, min),
    aggregate("min", &[Int8], Int8, min),
    aggregate("min", &[Float4], Float4, |call| extreme_float(call, min_udaf(), &SqlType::Float4)),
    aggregate("min", &[Float8], Float8, |call| extreme_float(call, min_udaf(), &SqlType::Float8)),
    aggregate("min", &[Numeric], Numeric, min),
    aggregate("min", &[Text], Text, min),
    aggregate("min", &[Bpchar], Bpchar, min),
    aggregate("min", &[Date], Date, min),
    aggregate("min", &[Time], Time, min),
    aggregate("min", &[Timestamp], Timestamp, min),
    aggregate("min", &[Timestamptz], Timestamptz, min),
    aggregate("min", &[Oid], Oid, min),
    aggregate("max", &[Int2], Int2, max),
    aggregate("max", &[Int4], Int4, max),
    aggregate("max", &[Int8], Int8, max),
    aggregate("max", &[Float4], Float4, |call| extreme_float(call, max_udaf(), &SqlType::Float4)),
    aggregate("max", &[Float8], Float8, |call| extreme_float(call, max_udaf(), &SqlType::Float8)),
    aggregate("max", &[Numeric], Numeric, max),
    aggregate("max", &[Text], Text, max),
    aggregate("max", &[Bpchar], Bpchar, max),
    aggregate("max", &[Date], Date, max),
    aggregate("max", &[Time], Time, max),
    aggregate("max", &[Timestamp], Timestamp, max),
    aggregate("max", &[Timestamptz], Timestamptz, max),
    aggregate("max", &[Oid], Oid, max),
    aggregate("bool_and", &[Bool], Bool, boolean_and),
    aggregate("every", &[Bool], Bool, boolean_and),
    aggregate("bool_or", &[Bool], Bool, |call| call.same(bool_or_udaf())),
    aggregate("bit_and", &[Int2], Int2, |call| call.same(bit_and_udaf())),
    aggregate("bit_and", &[Int4], Int4, |call| call.same(bit_and_udaf())),
    aggregate("bit_and", &[Int8], Int8, |call| call.same(bit_and_udaf())),
    aggregate("bit_or", &[Int2], Int2, |call| call.same(bit_or_udaf())),
    aggregate("bit_or", &[Int4], Int4, |call| call.same(bit_or_udaf())),
    aggregate("bit_or", &[Int8], Int8, |call| call.same(bit_or_udaf())),
    aggregate("bit_xor", &[Int2], Int2, |call| call.same(bit_xor_udaf())),
    aggregate("bit_xor", &[Int4], Int4, |call| call.same(bit_xor_udaf())),
    aggregate("bit_xor", &[Int8], Int8, |call| call.same(bit_xor_udaf())),
    aggregate("string_agg", &[Text, Text], Text, strings),
    aggregate("array_agg", &[AnyNonArray], T::AnyArray, array),
    aggregate("json_object_agg", &[Any, Any], Json, |call| super::json_object::aggregate(call, SqlType::Json)),
    aggregate("jsonb_object_agg", &[Any, Any], Jsonb, |call| super::json_object::aggregate(call, SqlType::Jsonb)),
    aggregate("json_agg", &[Any], Json, |call| super::json::aggregate(call, SqlType::Json)),
    aggregate("jsonb_agg", &[Any], Jsonb, |call| super::json::aggregate(call, SqlType::Jsonb)),
];

pub const STATISTICS: &[Function] = &[
    aggregate("stddev", &[Int2], Numeric, stddev_samp),
    aggregate("stddev", &[Int4], Numeric, stddev_samp),
    aggregate("stddev", &[Int8], Numeric, stddev_samp),
    aggregate("stddev_samp", &[Int2], Numeric, stddev_samp),
    aggregate("stddev_samp", &[Int4], Numeric, stddev_samp),
    aggregate("stddev_samp", &[Int8], Numeric, stddev_samp),
    aggregate("stddev_pop", &[Int2], Numeric, stddev_pop),
    aggregate("stddev_pop", &[Int4], Numeric, stddev_pop),
    aggregate("stddev_pop", &[Int8], Numeric, stddev_pop),
    aggregate("variance", &[Int2], Numeric, var_samp),
    aggregate("variance", &[Int4], Numeric, var_samp),
    aggregate("variance", &[Int8], Numeric, var_samp),
    aggregate("var_samp", &[Int2], Numeric, var_samp),
    aggregate("var_samp", &[Int4], Numeric, var_samp),
    aggregate("var_samp", &[Int8], Numeric, var_samp),
    aggregate("var_pop", &[Int2], Numeric, var_pop),
    aggregate("var_pop", &[Int4], Numeric, var_pop),
    aggregate("var_pop", &[Int8], Numeric, var_pop),
    aggregate("stddev", &[Numeric], Numeric, stddev_samp),
    aggregate("stddev", &[Float8], Float8, stddev_samp),
    aggregate("stddev_samp", &[Numeric], Numeric, stddev_samp),
    aggregate("stddev_samp", &[Float8], Float8, stddev_samp),
    aggregate("stddev_pop", &[Numeric], Numeric, stddev_pop),
    aggregate("stddev_pop", &[Float8], Float8, stddev_pop),
    aggregate("variance", &[Numeric], Numeric, var_samp),
    aggregate("variance", &[Float8], Float8, var_samp),
    aggregate("var_samp", &[Numeric], Numeric, var_samp),
    aggregate("var_samp", &[Float8], Float8, var_samp),
    aggregate("var_pop", &[Numeric], Numeric, var_pop),
    aggregate("var_pop", &[Float8], Float8, var_pop),
    aggregate("corr", &[Float8, Float8], Float8, |call| call.same(correlation::corr_udaf())),
    aggregate("covar_pop", &[Float8, Float8], Float8, |call| call.same(covariance::covar_pop_udaf())),
    aggregate("covar_samp", &[Float8, Float8], Float8, |call| call.same(covariance::covar_samp_udaf())),
];
