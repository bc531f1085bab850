//! What a function is to the binder: a name, the types it takes, the type it gives, and how it runs.

use arrow::array::ArrayRef;
use datafusion::logical_expr::Expr;

use crate::catalog::system::System;
use crate::data::SqlType;
use crate::error::Result;
use crate::sql::functions::aggregate::AggregateCall;
use crate::sql::rows::Call;

/// A type in a signature: one of PostgreSQL's without modifier, an array, or a polymorphic pseudo-type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum T {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    Text,
    Varchar,
    Bpchar,
    Name,
    Char,
    Bytea,
    Date,
    Time,
    Timestamp,
    Timestamptz,
    Interval,
    Uuid,
    Json,
    Jsonb,
    Oid,
    Regclass,
    Regtype,
    Regproc,
    Regnamespace,
    TextArray,
    Int2Array,
    Int4Array,
    NameArray,
    Void,
    /// The row `(key text, value text)`, and its like.
    KeyText,
    KeyJson,
    KeyJsonb,
    /// The row `(option_name text, option_value text)`.
    OptionText,
    /// The row `(relid regclass, parentrelid regclass, isleaf boolean, level integer)`.
    Partition,
    /// The row `(x smallint, n integer)`.
    Numbered,
    /// The row `(word text, catcode "char", barelabel boolean, catdesc text, baredesc text)`.
    Keyword,
    AnyElement,
    AnyArray,
    AnyNonArray,
    /// Like `AnyElement`, but arguments of different types find a common one.
    AnyCompatible,
    AnyCompatibleArray,
    /// Takes anything as it is.
    Any,
    /// Any row type.
    Record,
}

impl T {
    /// The type, unless it is polymorphic.
    pub fn sql(self) -> Option<SqlType> {
        Some(match self {
            T::Bool => SqlType::Bool,
            T::Int2 => SqlType::Int2,
            T::Int4 => SqlType::Int4,
            T::Int8 => SqlType::Int8,
            T::Float4 => SqlType::Float4,
            T::Float8 => SqlType::Float8,
            T::Numeric => SqlType::NUMERIC,
            T::Text => SqlType::Text,
            T::Varchar => SqlType::Varchar(None),
            T::Bpchar => SqlType::Bpchar(None),
            T::Name => SqlType::Name,
            T::Char => SqlType::Char,
            T::Bytea => SqlType::Bytea,
            T::Date => SqlType::Date,
            T::Time => SqlType::Time,
            T::Timestamp => SqlType::Timestamp,
            T::Timestamptz => SqlType::Timestamptz,
            T::Interval => SqlType::Interval,
            T::Uuid => SqlType::Uuid,
            T::Json => SqlType::Json,
            T::Jsonb => SqlType::Jsonb,
            T::Oid => SqlType::Oid,
            T::Regclass => SqlType::Regclass,
            T::Regtype => SqlType::Regtype,
            T::Regproc => SqlType::Regproc,
            T::Regnamespace => SqlType::Regnamespace,
            T::TextArray => SqlType::Text.array(),
            T::Int2Array => SqlType::Int2.array(),
            T::Int4Array => SqlType::Int4.array(),
            T::NameArray => SqlType::Name.array(),
            T::Void => SqlType::Void,
            T::KeyText => pair("key", "value", SqlType::Text),
            T::KeyJson => pair("key", "value", SqlType::Json),
            T::KeyJsonb => pair("key", "value", SqlType::Jsonb),
            T::OptionText => pair("option_name", "option_value", SqlType::Text),
            T::Partition => SqlType::Record(vec![
                ("relid".to_owned(), SqlType::Regclass),
                ("parentrelid".to_owned(), SqlType::Regclass),
                ("isleaf".to_owned(), SqlType::Bool),
                ("level".to_owned(), SqlType::Int4),
            ]),
            T::Numbered => SqlType::Record(vec![("x".to_owned(), SqlType::Int2), ("n".to_owned(), SqlType::Int4)]),
            T::Keyword => SqlType::Record(vec![
                ("word".to_owned(), SqlType::Text),
                ("catcode".to_owned(), SqlType::Char),
                ("barelabel".to_owned(), SqlType::Bool),
                ("catdesc".to_owned(), SqlType::Text),
                ("baredesc".to_owned(), SqlType::Text),
            ]),
            T::AnyElement
            | T::AnyArray
            | T::AnyNonArray
            | T::AnyCompatible
            | T::AnyCompatibleArray
            | T::Any
            | T::Record => return None,
        })
    }
}

/// The type of rows of a text and a value.
fn pair(name: &str, value: &str, ty: SqlType) -> SqlType {
    SqlType::Record(vec![(name.to_owned(), SqlType::Text), (value.to_owned(), ty)])
}

/// Whether a function always answers the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Volatility {
    /// Always. What depends on the session's time zone counts as such: the zone is bound into the expression.
    Immutable,
    /// Within a statement: the clock, the session.
    Stable,
    /// Never.
    Volatile,
}

/// Computes a column from columns.
pub type Kernel = fn(&Call) -> Result<ArrayRef>;

/// Computes a column from columns and the catalog.
pub type CatalogKernel = fn(&System, &Call) -> Result<ArrayRef>;

/// Builds an expression of DataFusion's from arguments of the signature's types.
pub type Plan = fn(Vec<Expr>) -> Result<Expr>;

/// How a function runs.
#[derive(Clone, Copy)]
pub enum Body {
    Kernel(Kernel),
    /// A kernel that is given the catalog as the statement sees it.
    Catalog(CatalogKernel),
    Plan(Plan),
    /// A kernel that gives the list of the rows of a set-returning function.
    Rows(Kernel),
    /// An aggregate, which may also be called over a window.
    Aggregate(AggregatePlan),
    /// A function that is called over a window only.
    Window(AggregatePlan),
}

/// Builds the expression of an aggregate or window call.
pub type AggregatePlan = fn(AggregateCall) -> Result<Expr>;

/// One function or operator of one signature.
#[derive(Clone, Copy)]
pub struct Function {
    pub name: &'static str,
    pub args: &'static [T],
    /// How many of the last arguments may be left out; the kernel sees fewer.
    pub optional: usize,
    /// The last argument repeats, once at least.
    pub variadic: bool,
    pub result: T,
    pub volatility: Volatility,
    pub body: Body,
}

/// An immutable function with a kernel.
pub const fn f(name: &'static str, args: &'static [T], result: T, kernel: Kernel) -> Function {
    Function {
        name,
        args,
        optional: 0,
        variadic: false,
        result,
        volatility: Volatility::Immutable,
        body: Body::Kernel(kernel),
    }
}

/// A function that answers from the catalog.
pub const fn catalog(name: &'static str, args: &'static [T], result: T, kernel: CatalogKernel) -> Function {
    Function { body: Body::Catalog(kernel), ..f(name, args, result, no_kernel) }.stable()
}

/// An immutable function that DataFusion expresses.
pub const fn plan(name: &'static str, args: &'static [T], result: T, plan: Plan) -> Function {
    Function { body: Body::Plan(plan), ..f(name, args, result, no_kernel) }
}

/// A set-returning function.
pub const fn rows(name: &'static str, args: &'static [T], result: T, kernel: Kernel) -> Function {
    Function { body: Body::Rows(kernel), ..f(name, args, result, no_kernel) }
}

/// An aggregate.
pub const fn aggregate(name: &'static str, args: &'static [T], result: T, plan: AggregatePlan) -> Function {
    Function { body: Body::Aggregate(plan), ..f(name, args, result, no_kernel) }
}

/// A window function.
pub const fn window(name: &'static str, args: &'static [T], result: T, plan: AggregatePlan) -> Function {
    Function { body: Body::Window(plan), ..f(name, args, result, no_kernel) }
}

fn no_kernel(call: &Call) -> Result<ArrayRef> {
    Ok(call.nulls())
}

impl Function {
    /// With the last `count` arguments optional.
    pub const fn optional(self, count: usize) -> Function {
        Function { optional: count, ..self }
    }

    pub const fn variadic(self) -> Function {
        Function { variadic: true, ..self }
    }

    pub const fn stable(self) -> Function {
        Function { volatility: Volatility::Stable, ..self }
    }

    pub const fn volatile(self) -> Function {
        Function { volatility: Volatility::Volatile, ..self }
    }

    /// The types it takes when called with `count` arguments; None if it cannot be.
    pub fn arity(&self, count: usize) -> Option<Vec<T>> {
        let declared = self.args.len();
        if self.variadic && count >= declared {
            let last = *self.args.last()?;
            let mut args = self.args.to_vec();
            args.resize(count, last);
            return Some(args);
        }
        (count <= declared && count + self.optional >= declared).then(|| self.args[..count].to_vec())
    }
}
