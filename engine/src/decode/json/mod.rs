//! JSON messages.
//!
//! Every message is checked whole: UTF-8, syntax, and the type of every declared column, whether somebody reads it or not,
//! before any of it counts. One pass of the parser writes each member straight into its column's buffer, which keeps it if
//! somebody reads it; a message that turns out to be none is cut off again. ([`sonic_rs`]'s lookups of single fields are not used: they do not see that a message's tail is broken.)
//!
//! | column | JSON |
//! |---|---|
//! | boolean | true, false |
//! | smallint, integer, bigint | a number without fraction, in range |
//! | real, double precision | a number in range, "NaN", "Infinity", "-Infinity" |
//! | numeric | a number or a string of one; rounded to the declared scale, bare `numeric` never |
//! | text, varchar(n), char(n) | a string without zero character, not too long |
//! | bytea | a string `\x…` in hexadecimal |
//! | date, time | "2024-01-31", "12:30:00.5" |
//! | timestamp, timestamptz | ISO 8601, or milliseconds since 1970; without zone it is UTC |
//! | uuid | a string |
//! | json, jsonb | anything |
//! | t\[\] | an array |
//! | record | an object |
//!
//! `null` is NULL, and so is a member that is not there. A member belongs to the column of its exact name, else to the
//! one whose name equals it when case is ignored; two such members without an exact one make the message bad. Of equal
//! members the last counts.

mod buffer;
mod decimal;
mod decoder;
mod member;
mod object;
mod scalar;
#[cfg(test)]
mod tests;
mod time;
mod value;

pub use decoder::JsonDecoder;
