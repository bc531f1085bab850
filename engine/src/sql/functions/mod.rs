//! The functions and operators there are, with PostgreSQL's signatures.
//!
//! The binder chooses among them by [`choose`], coerces the arguments to the chosen types, and makes of the call a
//! [`PgScalar`] with our kernel or an expression of DataFusion's own where that means the same.

pub mod aggregate;
mod arithmetic;
pub mod array;
mod array_functions;
pub mod cast;
pub mod catalog;
pub mod category;
pub mod comparison;
mod datetime;
mod datetime_operators;
mod datetime_parts;
pub mod event_windows;
mod json;
pub mod math;
mod numeric_sum;
pub mod ordered_set;
mod regexp;
pub mod resolve;
pub mod signature;
mod system;
mod text;
mod text_more;
mod udf;
mod window;

pub use resolve::{Choice, choose, element};
pub use udf::{PgScalar, itself, named_itself};

use crate::data::SqlType;
use signature::{Function, T};

/// All functions of a name.
pub fn named(name: &str) -> impl Iterator<Item = &'static Function> {
    FUNCTIONS.iter().copied().flatten().filter(move |function| function.name == name)
}

const FUNCTIONS: &[&[Function]] = &[
    aggregate::FUNCTIONS,
    aggregate::STATISTICS,
    array_functions::FUNCTIONS,
    catalog::FIXED,
    catalog::FUNCTIONS,
    datetime::FUNCTIONS,
    json::FUNCTIONS,
    math::FUNCTIONS,
    regexp::FUNCTIONS,
    system::FUNCTIONS,
    text::FUNCTIONS,
    text_more::FUNCTIONS,
    window::FUNCTIONS,
];

const OPERATORS: &[&[Function]] = &[
    arithmetic::INTEGER_OPERATORS,
    arithmetic::NUMERIC_OPERATORS,
    arithmetic::FLOAT_OPERATORS,
    array_functions::OPERATORS,
    datetime_operators::OPERATORS,
    json::OPERATORS,
    text::OPERATORS,
];

/// Chooses the operator of a symbol (but no comparison) for operands of these types.
pub fn choose_operator(symbol: &str, given: &[SqlType]) -> Choice {
    let named = || OPERATORS.iter().copied().flatten().filter(|operator| operator.name == symbol);
    choose_with_guess(named, given)
}

/// Chooses the types in which two values compare.
pub fn choose_comparison(given: &[SqlType]) -> Choice {
    choose_with_guess(|| comparison::SIGNATURES.iter(), given)
}

/// An operand of unknown type is first assumed to have the type of the other.
fn choose_with_guess<I: Iterator<Item = &'static Function>>(candidates: impl Fn() -> I, given: &[SqlType]) -> Choice {
    if let [left, right] = given {
        let guess = match (left, right) {
            (SqlType::Unknown, known) | (known, SqlType::Unknown) if *known != SqlType::Unknown => Some(known.bare()),
            _ => None,
        };
        if let Some(ty) = guess {
            let exact = |function: &&'static Function| {
                function.args.len() == 2 && function.args.iter().all(|arg| arg.sql().as_ref() == Some(&ty))
            };
            if let Some(function) = candidates().find(exact) {
                return choose(std::iter::once(function), &[ty.clone(), ty]);
            }
        }
    }
    choose(candidates(), given)
}

/// The names of all functions, for completion and tests.
pub fn names() -> impl Iterator<Item = (&'static str, &'static [T])> {
    FUNCTIONS.iter().copied().flatten().map(|function| (function.name, function.args))
}
