//! The clauses of a query, and what may be called in each.

/// The clause an expression stands in: it decides what may be called there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clause {
    Select,
    OrderBy,
    DistinctOn,
    GroupBy,
    Having,
    Where,
    /// The condition of a JOIN.
    On,
    /// A function in FROM.
    From,
    Values,
    Limit,
    Offset,
    /// PARTITION BY and ORDER BY of a window.
    Window,
    /// FILTER (WHERE …) of an aggregate.
    Filter,
    /// Arguments of an aggregate.
    Aggregate,
    Default,
    Check,
    /// The new values of an UPDATE.
    Update,
    Returning,
    /// The values that EXECUTE gives.
    Execute,
}

impl Clause {
    /// As PostgreSQL names it in "aggregate functions are not allowed in …".
    pub fn name(self) -> &'static str {
        match self {
            Clause::Select => "SELECT",
            Clause::OrderBy => "ORDER BY",
            Clause::DistinctOn => "DISTINCT ON",
            Clause::GroupBy => "GROUP BY",
            Clause::Having => "HAVING",
            Clause::Where => "WHERE",
            Clause::On => "JOIN conditions",
            Clause::From => "functions in FROM",
            Clause::Values => "VALUES",
            Clause::Limit => "LIMIT",
            Clause::Offset => "OFFSET",
            Clause::Window => "window definitions",
            Clause::Filter => "FILTER",
            Clause::Aggregate => "aggregate function calls",
            Clause::Default => "DEFAULT expressions",
            Clause::Check => "check constraints",
            Clause::Update => "UPDATE",
            Clause::Returning => "RETURNING",
            Clause::Execute => "EXECUTE parameters",
        }
    }

    pub(super) fn allows_aggregates(self) -> bool {
        matches!(self, Clause::Select | Clause::OrderBy | Clause::DistinctOn | Clause::Having | Clause::Window)
    }

    pub(super) fn allows_windows(self) -> bool {
        matches!(self, Clause::Select | Clause::OrderBy | Clause::DistinctOn)
    }

    pub(super) fn allows_sets(self) -> bool {
        // An SRF in GROUP BY is an expression of the select list that is grouped by: possible in PostgreSQL.
        matches!(self, Clause::Select | Clause::OrderBy | Clause::DistinctOn | Clause::From)
    }
}
