//! The options, as <https://www.postgresql.org/docs/current/sql-explain.html> has them.

use sqlparser::tokenizer::Location;

use super::statement::Explain;
use crate::error::{Error, Result, SqlState};
use crate::sql::bind::SourceText;

/// `name [value]`
#[derive(Clone, Debug)]
pub struct ExplainOption {
    /// In lower case.
    pub name: String,
    pub value: Option<String>,
    pub location: Location,
}

/// What the options ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExplainMode {
    /// Run the query, and count the rows.
    pub analyze: bool,
    /// Show how much there is: of a dataflow, the rows and bytes that its nodes keep.
    pub costs: bool,
}

impl Explain {
    /// Checks the options. Those that ask for what is not shown anyway are refused, unless they are off. `text` is the query
    /// string.
    ///
    /// # Errors
    /// 42601 for an option that PostgreSQL does not have and for a value that it cannot have, 22023 for a format that there
    /// is not, 0A000 for what we do not show.
    pub fn mode(&self, text: &str) -> Result<ExplainMode> {
        let source = SourceText::new(text);
        let mut mode = ExplainMode { analyze: false, costs: true };
        let mut timing = None;
        for option in &self.options {
            let place = source.position_of(option.location);
            match option.name.as_str() {
                "analyze" => mode.analyze = option.is_on()?,
                "costs" => mode.costs = option.is_on()?,
                "format" => option.check_format().map_err(|error| error.at(place))?,
                "serialize" if option.value.as_deref().is_some_and(|value| value.eq_ignore_ascii_case("none")) => {}
                "serialize" => return Err(option.refused().at(place)),
                "timing" => timing = option.is_on()?.then_some(place),
                "verbose" | "settings" | "generic_plan" | "buffers" | "wal" | "summary" | "memory" => {
                    if option.is_on()? {
                        return Err(option.refused().at(place));
                    }
                }
                name => {
                    let message = format!("unrecognized EXPLAIN option \"{name}\"");
                    return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(place));
                }
            }
        }
        match timing {
            None => Ok(mode),
            Some(_) if !mode.analyze => {
                let message = "EXPLAIN option TIMING requires ANALYZE";
                Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message))
            }
            Some(place) => Err(Error::unsupported("EXPLAIN option TIMING")
                .with_hint("EXPLAIN ANALYZE counts rows only.")
                .at(place)),
        }
    }
}

impl ExplainOption {
    fn is_on(&self) -> Result<bool> {
        let Some(value) = &self.value else { return Ok(true) };
        match value.to_ascii_lowercase().as_str() {
            "true" | "on" | "1" => Ok(true),
            "false" | "off" | "0" => Ok(false),
            _ => Err(Error::new(SqlState::SYNTAX_ERROR, format!("{} requires a Boolean value", self.name))),
        }
    }

    fn check_format(&self) -> Result<()> {
        let Some(value) = &self.value else {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "format requires a parameter"));
        };
        match value.to_ascii_lowercase().as_str() {
            "text" => Ok(()),
            "json" | "xml" | "yaml" => Err(Error::unsupported(format!("EXPLAIN with FORMAT {}", value.to_uppercase()))
                .with_hint("Use FORMAT TEXT.")),
            _ => {
                let message = format!("unrecognized value for EXPLAIN option \"format\": \"{value}\"");
                Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message))
            }
        }
    }

    fn refused(&self) -> Error {
        let name = self.name.to_uppercase();
        Error::unsupported(format!("EXPLAIN option {name}")).with_hint(format!("Leave out {name}."))
    }
}
