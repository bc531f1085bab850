//! The aggregate functions there are, and a call of one.

use std::fmt;

/// An aggregate function that can be maintained under retraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AggregateFunction {
    Count,
    Sum,
    Avg,
    Min,
    Max,
    BoolAnd,
    BoolOr,
    VarPop,
    VarSamp,
    StddevPop,
    StddevSamp,
}

impl AggregateFunction {
    /// The function of this name, PostgreSQL's or DataFusion's.
    pub fn from_name(name: &str) -> Option<AggregateFunction> {
        Some(match name {
            "count" => AggregateFunction::Count,
            "sum" => AggregateFunction::Sum,
            "avg" | "mean" => AggregateFunction::Avg,
            "min" => AggregateFunction::Min,
            "max" => AggregateFunction::Max,
            "bool_and" | "every" => AggregateFunction::BoolAnd,
            "bool_or" => AggregateFunction::BoolOr,
            "var_pop" | "var_population" => AggregateFunction::VarPop,
            "var" | "var_samp" | "var_sample" | "variance" => AggregateFunction::VarSamp,
            "stddev_pop" => AggregateFunction::StddevPop,
            "stddev" | "stddev_samp" => AggregateFunction::StddevSamp,
            _ => return None,
        })
    }
}

/// PostgreSQL's name.
impl fmt::Display for AggregateFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AggregateFunction::Count => "count",
            AggregateFunction::Sum => "sum",
            AggregateFunction::Avg => "avg",
            AggregateFunction::Min => "min",
            AggregateFunction::Max => "max",
            AggregateFunction::BoolAnd => "bool_and",
            AggregateFunction::BoolOr => "bool_or",
            AggregateFunction::VarPop => "var_pop",
            AggregateFunction::VarSamp => "var_samp",
            AggregateFunction::StddevPop => "stddev_pop",
            AggregateFunction::StddevSamp => "stddev_samp",
        })
    }
}

/// One aggregate of a GROUP BY: `function([DISTINCT] argument) [FILTER (WHERE filter)]`, columns by their positions in
/// the input. `count(*)`, and `count` of a constant that is not NULL, have no argument.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AggregateCall {
    pub function: AggregateFunction,
    pub argument: Option<usize>,
    pub filter: Option<usize>,
    pub distinct: bool,
}
