//! Tests of Levada as a whole: what its SQL answers, and how its sources are laid out. See `tests/sql`.
