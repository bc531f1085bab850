//! The sources keep the rules of `docs/architecture.md`: a rule that no test checks is a wish.

mod code;
mod rules;
mod tests;
mod workspace;
