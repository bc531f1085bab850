//! The functions and operators there are, with PostgreSQL's signatures.
//!
//! The binder chooses among them by [`choose`], coerces the arguments to the chosen types, and makes of the call a
//! [`PgScalar`] with our kernel or an expression of DataFusion's own where that means the same.

pub mod aggregate;
mod arithmetic;
pub mod array;
mod array_functions;
mod call_name;
pub mod cast;
pub mod catalog;
pub mod category;
pub mod comparison;
mod datetime;
mod datetime_operators;
mod datetime_parts;
mod drivers;
pub mod event_windows;
pub mod exact_form;
pub mod extreme;
mod gathered;
mod interval_aggregates;
mod json;
mod json_change;
mod json_object;
pub mod math;
mod numeric_spread;
mod numeric_sum;
pub mod ordered_set;
mod overlaps;
mod pairs;
pub mod reference;
mod regexp;
pub mod resolve;
mod seconds;
pub mod signature;
mod sliding;
mod system;
mod text;
mod text_more;
mod udf;
mod window;

pub use resolve::{Choice, choose, element};
pub use seconds::rounded_seconds;
pub use text::padded_text;
pub use udf::{PgScalar, itself, named_itself};

use crate::data::SqlType;
use signature::Function;

/// All functions of a name.
pub fn named(name: &str) -> impl Iterator<Item = &'static Function> {
    FUNCTIONS.iter().flat_map(|(_, functions)| *functions).filter(move |function| function.name == name)
}

/// By the families of the reference.
const FUNCTIONS: &[(&str, &[Function])] = &[
    ("Mathematical functions", math::FUNCTIONS),
    ("Text functions", text::FUNCTIONS),
    ("Text functions", text_more::FUNCTIONS),
    ("Regular expressions", regexp::FUNCTIONS),
    ("Date and time functions", datetime::FUNCTIONS),
    ("Date and time functions", overlaps::FUNCTIONS),
    ("JSON functions", json::FUNCTIONS),
    ("JSON functions", json_change::FUNCTIONS),
    ("Array and set-returning functions", array_functions::FUNCTIONS),
    ("JSON functions", pairs::FUNCTIONS),
    ("Aggregates", aggregate::FUNCTIONS),
    ("Aggregates", aggregate::STATISTICS),
    ("Aggregates", interval_aggregates::FUNCTIONS),
    ("Window functions", window::FUNCTIONS),
    ("Session and system functions", system::FUNCTIONS),
    ("Catalog functions", catalog::FUNCTIONS),
    ("Catalog functions", catalog::FIXED),
    ("Catalog functions", pairs::CATALOG),
    ("Catalog functions", drivers::FUNCTIONS),
];

const OPERATORS: &[(&str, &[Function])] = &[
    ("Arithmetic", arithmetic::INTEGER_OPERATORS),
    ("Arithmetic", arithmetic::NUMERIC_OPERATORS),
    ("Arithmetic", arithmetic::FLOAT_OPERATORS),
    ("Text", text::OPERATORS),
    ("Date and time", datetime_operators::OPERATORS),
    ("JSON", json::OPERATORS),
    ("JSON", json_change::OPERATORS),
    ("Arrays", array_functions::OPERATORS),
];

/// Chooses the operator of a symbol (but no comparison) for operands of these types.
pub fn choose_operator(symbol: &str, given: &[SqlType]) -> Choice {
    let named = || OPERATORS.iter().flat_map(|(_, operators)| *operators).filter(|operator| operator.name == symbol);
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
