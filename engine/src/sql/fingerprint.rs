//! Expressions written out canonically: the text that a node's [`Fingerprint`](crate::dataflow::Fingerprint) is made of.
//!
//! Columns are positions, not names, so that views which name things differently share nodes. A function is told by its
//! name and the types around it: one that depends on anything else (a time zone, say) takes it as an argument or says it
//! in its name. Nothing here is what DataFusion or Arrow print.

use std::fmt::Write;

use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::{Case, InList, Like};
use datafusion::logical_expr::{Expr, Operator};

use crate::data::TYPE_KEY;
use crate::data::hash::hash_columns;
use crate::error::{Error, Result};

/// Writes expressions over the columns of one plan node.
pub struct Canonical<'a> {
    schema: &'a DFSchema,
    /// What stands for each column.
    columns: &'a [String],
}

impl<'a> Canonical<'a> {
    /// `columns` has a text for each column of the schema.
    pub fn new(schema: &'a DFSchema, columns: &'a [String]) -> Canonical<'a> {
        Canonical { schema, columns }
    }

    /// The text of a scalar expression.
    ///
    /// # Errors
    /// 0A000 for what no operator can evaluate by itself: subqueries, outer references, parameters.
    pub fn text(&self, expr: &Expr) -> Result<String> {
        let all = |name: &str, arguments: &[&Expr]| self.call(name, arguments);
        Ok(match expr {
            Expr::Alias(alias) => self.text(&alias.expr)?,
            Expr::Column(column) => {
                let at = self.schema.index_of_column(column)?;
                self.columns.get(at).cloned().ok_or_else(|| Error::internal("a column outside of its schema"))?
            }
            Expr::Literal(value, _) => literal(value)?,
            Expr::BinaryExpr(binary) => all(operator(binary.op), &[&binary.left, &binary.right])?,
            Expr::Like(like) => self.like("like", like)?,
            Expr::SimilarTo(like) => self.like("similar", like)?,
            Expr::Not(inner) => all("not", &[inner])?,
            Expr::IsNotNull(inner) => all("is_not_null", &[inner])?,
            Expr::IsNull(inner) => all("is_null", &[inner])?,
            Expr::IsTrue(inner) => all("is_true", &[inner])?,
            Expr::IsFalse(inner) => all("is_false", &[inner])?,
            Expr::IsUnknown(inner) => all("is_unknown", &[inner])?,
            Expr::IsNotTrue(inner) => all("is_not_true", &[inner])?,
            Expr::IsNotFalse(inner) => all("is_not_false", &[inner])?,
            Expr::IsNotUnknown(inner) => all("is_not_unknown", &[inner])?,
            Expr::Negative(inner) => all("negative", &[inner])?,
            Expr::Between(between) => {
                let name = if between.negated { "not_between" } else { "between" };
                all(name, &[&between.expr, &between.low, &between.high])?
            }
            Expr::Case(case) => self.case(case)?,
            Expr::Cast(cast) => format!("cast({},{})", self.text(&cast.expr)?, field_type(&cast.field)),
            Expr::TryCast(cast) => format!("try_cast({},{})", self.text(&cast.expr)?, field_type(&cast.field)),
            Expr::ScalarFunction(function) => {
                let arguments: Vec<&Expr> = function.args.iter().collect();
                all(&format!("f:{}", function.name()), &arguments)?
            }
            Expr::InList(list) => self.in_list(list)?,
            other => return Err(Error::unsupported(format!("{} here in a materialized view", kind(other)))),
        })
    }

    fn call(&self, name: &str, arguments: &[&Expr]) -> Result<String> {
        let arguments = arguments.iter().map(|argument| self.text(argument)).collect::<Result<Vec<_>>>()?;
        Ok(format!("{name}({})", arguments.join(",")))
    }

    fn like(&self, name: &str, like: &Like) -> Result<String> {
        let negated = if like.negated { "not_" } else { "" };
        let insensitive = if like.case_insensitive { "i" } else { "" };
        let escape = like.escape_char.map_or(String::new(), |escape| format!(" escape {}", u32::from(escape)));
        Ok(format!("{}{escape}", self.call(&format!("{negated}{insensitive}{name}"), &[&like.expr, &like.pattern])?))
    }

    fn case(&self, case: &Case) -> Result<String> {
        let mut text = String::from("case(");
        if let Some(expr) = &case.expr {
            text.push_str(&self.text(expr)?);
        }
        for (when, then) in &case.when_then_expr {
            write!(text, ";{}:{}", self.text(when)?, self.text(then)?).map_err(unwritable)?;
        }
        if let Some(otherwise) = &case.else_expr {
            write!(text, ";else:{}", self.text(otherwise)?).map_err(unwritable)?;
        }
        text.push(')');
        Ok(text)
    }

    fn in_list(&self, list: &InList) -> Result<String> {
        let name = if list.negated { "not_in" } else { "in" };
        let items: Vec<&Expr> = std::iter::once(&*list.expr).chain(&list.list).collect();
        self.call(name, &items)
    }
}

fn unwritable(_: std::fmt::Error) -> Error {
    Error::internal("a plan cannot be written out")
}

/// What the expression is called in SQL, for errors.
fn kind(expr: &Expr) -> &'static str {
    match expr {
        Expr::ScalarSubquery(_) => "a scalar subquery",
        Expr::Exists(_) => "EXISTS",
        Expr::InSubquery(_) | Expr::SetComparison(_) => "IN, ANY or ALL over a subquery",
        Expr::OuterReferenceColumn(..) => "a reference to an outer query",
        Expr::Placeholder(_) => "a parameter",
        Expr::AggregateFunction(_) => "an aggregate function",
        Expr::WindowFunction(_) => "a window function",
        Expr::GroupingSet(_) => "GROUPING SETS, ROLLUP or CUBE",
        Expr::Unnest(_) => "a set-returning function",
        Expr::HigherOrderFunction(_) | Expr::Lambda(_) | Expr::LambdaVariable(_) => "a lambda function",
        _ => "this expression",
    }
}

/// A value and its type. Strings are quoted with their length, so no text can pass for another.
fn literal(value: &ScalarValue) -> Result<String> {
    let ty = data_type(&value.data_type());
    if value.is_null() {
        return Ok(format!("null:{ty}"));
    }
    Ok(match value {
        ScalarValue::Boolean(Some(value)) => format!("{value}"),
        ScalarValue::Int16(Some(value)) => format!("{value}:{ty}"),
        ScalarValue::Int32(Some(value)) => format!("{value}:{ty}"),
        ScalarValue::Int64(Some(value)) => format!("{value}:{ty}"),
        ScalarValue::UInt32(Some(value)) => format!("{value}:{ty}"),
        ScalarValue::UInt64(Some(value)) => format!("{value}:{ty}"),
        ScalarValue::Float32(Some(value)) => format!("{:x}:{ty}", value.to_bits()),
        ScalarValue::Float64(Some(value)) => format!("{:x}:{ty}", value.to_bits()),
        ScalarValue::Decimal128(Some(value), ..) => format!("{value}:{ty}"),
        ScalarValue::Date32(Some(value)) => format!("{value}:{ty}"),
        ScalarValue::Time64Microsecond(Some(value)) => format!("{value}:{ty}"),
        ScalarValue::TimestampMicrosecond(Some(value), _) => format!("{value}:{ty}"),
        ScalarValue::IntervalMonthDayNano(Some(value)) => {
            format!("{}/{}/{}:{ty}", value.months, value.days, value.nanoseconds)
        }
        ScalarValue::Utf8(Some(value)) => format!("'{}'{value}", value.len()),
        // Nested and binary values: by their hash.
        other => format!("#{:x}:{ty}", hash_columns(&[other.to_array()?], 1)?[0]),
    })
}

/// A column's type: Arrow's, and the one of PostgreSQL's that it carries.
pub fn field_type(field: &Field) -> String {
    match field.metadata().get(TYPE_KEY) {
        Some(declared) => format!("{}<{declared}>", data_type(field.data_type())),
        None => data_type(field.data_type()),
    }
}

fn data_type(ty: &DataType) -> String {
    match ty {
        DataType::Null => "null".into(),
        DataType::Boolean => "bool".into(),
        DataType::Int8 => "i8".into(),
        DataType::Int16 => "i16".into(),
        DataType::Int32 => "i32".into(),
        DataType::Int64 => "i64".into(),
        DataType::UInt8 => "u8".into(),
        DataType::UInt16 => "u16".into(),
        DataType::UInt32 => "u32".into(),
        DataType::UInt64 => "u64".into(),
        DataType::Float32 => "f32".into(),
        DataType::Float64 => "f64".into(),
        DataType::Decimal128(precision, scale) => format!("dec({precision},{scale})"),
        DataType::Utf8 => "utf8".into(),
        DataType::Binary => "bytes".into(),
        DataType::FixedSizeBinary(width) => format!("bytes({width})"),
        DataType::Date32 => "date".into(),
        DataType::Time64(unit) => format!("time({})", time_unit(*unit)),
        DataType::Timestamp(unit, None) => format!("timestamp({})", time_unit(*unit)),
        DataType::Timestamp(unit, Some(zone)) => format!("timestamp({},{zone})", time_unit(*unit)),
        DataType::Duration(unit) => format!("duration({})", time_unit(*unit)),
        DataType::Interval(IntervalUnit::MonthDayNano) => "interval".into(),
        DataType::List(item) => format!("list({})", field_type(item)),
        DataType::Struct(fields) => {
            let fields: Vec<String> = fields.iter().map(|f| format!("{} {}", f.name(), field_type(f))).collect();
            format!("struct({})", fields.join(","))
        }
        // Types that carry none of PostgreSQL's.
        other => format!("other({other:?})"),
    }
}

fn time_unit(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    }
}

/// Names of our own: what DataFusion prints for an operator may change.
fn operator(operator: Operator) -> &'static str {
    match operator {
        Operator::Eq => "eq",
        Operator::NotEq => "ne",
        Operator::Lt => "lt",
        Operator::LtEq => "le",
        Operator::Gt => "gt",
        Operator::GtEq => "ge",
        Operator::Plus => "add",
        Operator::Minus => "sub",
        Operator::Multiply => "mul",
        Operator::Divide => "div",
        Operator::Modulo => "mod",
        Operator::And => "and",
        Operator::Or => "or",
        Operator::IsDistinctFrom => "distinct_from",
        Operator::IsNotDistinctFrom => "not_distinct_from",
        Operator::RegexMatch => "regex",
        Operator::RegexIMatch => "iregex",
        Operator::RegexNotMatch => "not_regex",
        Operator::RegexNotIMatch => "not_iregex",
        Operator::LikeMatch => "like_op",
        Operator::ILikeMatch => "ilike_op",
        Operator::NotLikeMatch => "not_like_op",
        Operator::NotILikeMatch => "not_ilike_op",
        Operator::BitwiseAnd => "bit_and",
        Operator::BitwiseOr => "bit_or",
        Operator::BitwiseXor => "bit_xor",
        Operator::BitwiseShiftRight => "shift_right",
        Operator::BitwiseShiftLeft => "shift_left",
        Operator::StringConcat => "concat_op",
        Operator::AtArrow => "contains",
        Operator::ArrowAt => "contained",
        Operator::Arrow => "arrow",
        Operator::LongArrow => "long_arrow",
        Operator::HashArrow => "hash_arrow",
        Operator::HashLongArrow => "hash_long_arrow",
        Operator::AtAt => "at_at",
        Operator::IntegerDivide => "int_div",
        Operator::HashMinus => "hash_minus",
        Operator::AtQuestion => "at_question",
        Operator::Question => "question",
        Operator::QuestionAnd => "question_and",
        Operator::QuestionPipe => "question_pipe",
        Operator::Colon => "colon",
    }
}
