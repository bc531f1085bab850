//! What expressions can be made of: the operators and functions of the common types, with edge values.
//!
//! Holes are `{letter}` of a type (see [`Ty::of_letter`](super::ty::Ty::of_letter)); `{q}` is a query of one integer
//! column, `{w}` one of any, `{r}` one of two integers.

mod conditions;
mod nested;
mod numbers;
mod texts;
mod times;

pub use conditions::BOOL;
pub use nested::{INTS, JSONB, TEXTS};
pub use numbers::{FLOAT8, INT2, INT4, INT8, NUMERIC};
pub use texts::TEXT;
pub use times::{DATE, INTERVAL, TIMESTAMP, TIMESTAMPTZ};
