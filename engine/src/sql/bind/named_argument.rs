//! Arguments by name: `make_interval(days => 3)`.

use std::sync::LazyLock;

use sqlparser::ast::{Expr, Ident, Value};

use crate::error::{Error, Result, SqlState};
use crate::sql::bind::fold;

/// A function whose arguments have names (`pg_proc.proargnames`).
struct Named {
    function: &'static str,
    arguments: &'static [&'static str],
    /// Whether those that are not given are 0.
    has_defaults: bool,
}

const NAMED: [Named; 5] = [
    Named {
        function: "make_interval",
        arguments: &["years", "months", "weeks", "days", "hours", "mins", "secs"],
        has_defaults: true,
    },
    Named { function: "make_date", arguments: &["year", "month", "day"], has_defaults: false },
    Named { function: "make_time", arguments: &["hour", "min", "sec"], has_defaults: false },
    Named {
        function: "make_timestamp",
        arguments: &["year", "month", "mday", "hour", "min", "sec"],
        has_defaults: false,
    },
    Named {
        function: "make_timestamptz",
        arguments: &["year", "month", "mday", "hour", "min", "sec"],
        has_defaults: false,
    },
];

static ZERO: LazyLock<Expr> = LazyLock::new(|| Expr::value(Value::Number("0".to_owned(), false)));

/// All arguments in their order: first those without names, then those with.
///
/// # Errors
/// 42883 where the function has no argument of a name, or one is given twice or missing.
pub(super) fn in_place<'e>(
    function: &str,
    positional: &[&'e Expr],
    named: &[(&Ident, &'e Expr)],
) -> Result<Vec<&'e Expr>> {
    let names: Vec<String> = named.iter().map(|(name, _)| format!("{} => …", fold(name))).collect();
    let missing = || {
        let message = format!("function {function}({}) does not exist", names.join(", "));
        Error::new(SqlState::UNDEFINED_FUNCTION, message).with_hint(
            "No function matches the given name and argument types. You might need to add explicit type casts.",
        )
    };
    let known = NAMED.iter().find(|known| known.function == function).ok_or_else(missing)?;
    let mut places: Vec<Option<&Expr>> = positional.iter().copied().map(Some).collect();
    if places.len() > known.arguments.len() {
        return Err(missing());
    }
    places.resize(known.arguments.len(), None);
    for (name, value) in named {
        let name = fold(name);
        let at = known.arguments.iter().position(|argument| *argument == name).ok_or_else(missing)?;
        if places[at].replace(value).is_some() {
            return Err(missing());
        }
    }
    let default = known.has_defaults.then(|| &*ZERO);
    places.into_iter().map(|place| place.or(default).ok_or_else(missing)).collect()
}
