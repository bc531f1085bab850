//! The one error type: what a client sees, and what the engine decides by.

use std::error::Error as StdError;
use std::fmt;

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A five-character SQLSTATE, from [PostgreSQL's Appendix A](https://www.postgresql.org/docs/15/errcodes-appendix.html).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SqlState(&'static str);

impl SqlState {
    pub const SUCCESSFUL_COMPLETION: SqlState = SqlState("00000");
    pub const CONNECTION_FAILURE: SqlState = SqlState("08006");
    pub const PROTOCOL_VIOLATION: SqlState = SqlState("08P01");
    pub const FEATURE_NOT_SUPPORTED: SqlState = SqlState("0A000");
    pub const CARDINALITY_VIOLATION: SqlState = SqlState("21000");
    pub const DATA_EXCEPTION: SqlState = SqlState("22000");
    pub const STRING_TOO_LONG: SqlState = SqlState("22001");
    pub const NUMERIC_OUT_OF_RANGE: SqlState = SqlState("22003");
    pub const INVALID_DATETIME_FORMAT: SqlState = SqlState("22007");
    pub const DATETIME_OVERFLOW: SqlState = SqlState("22008");
    pub const SUBSTRING_ERROR: SqlState = SqlState("22011");
    pub const DIVISION_BY_ZERO: SqlState = SqlState("22012");
    pub const INVALID_PRECEDING_OR_FOLLOWING_SIZE: SqlState = SqlState("22013");
    pub const INVALID_REGULAR_EXPRESSION: SqlState = SqlState("2201B");
    pub const INVALID_LOG_ARGUMENT: SqlState = SqlState("2201E");
    pub const INVALID_POWER_ARGUMENT: SqlState = SqlState("2201F");
    pub const INVALID_WIDTH_BUCKET_ARGUMENT: SqlState = SqlState("2201G");
    pub const NULL_NOT_ALLOWED: SqlState = SqlState("22004");
    pub const CHARACTER_NOT_IN_REPERTOIRE: SqlState = SqlState("22021");
    pub const INVALID_LIMIT: SqlState = SqlState("2201W");
    pub const INVALID_OFFSET: SqlState = SqlState("2201X");
    pub const INVALID_PARAMETER_VALUE: SqlState = SqlState("22023");
    pub const ARRAY_SUBSCRIPT_ERROR: SqlState = SqlState("2202E");
    pub const INVALID_TEXT: SqlState = SqlState("22P02");
    pub const INVALID_BINARY: SqlState = SqlState("22P03");
    pub const BAD_COPY_FORMAT: SqlState = SqlState("22P04");
    pub const NOT_NULL_VIOLATION: SqlState = SqlState("23502");
    pub const UNIQUE_VIOLATION: SqlState = SqlState("23505");
    pub const CHECK_VIOLATION: SqlState = SqlState("23514");
    pub const INVALID_TRANSACTION_STATE: SqlState = SqlState("25000");
    pub const ACTIVE_TRANSACTION: SqlState = SqlState("25001");
    pub const READ_ONLY_TRANSACTION: SqlState = SqlState("25006");
    pub const NO_ACTIVE_TRANSACTION: SqlState = SqlState("25P01");
    pub const INVALID_SAVEPOINT: SqlState = SqlState("3B001");
    pub const IN_FAILED_TRANSACTION: SqlState = SqlState("25P02");
    pub const IDLE_IN_TRANSACTION_TIMEOUT: SqlState = SqlState("25P03");
    pub const INVALID_STATEMENT_NAME: SqlState = SqlState("26000");
    pub const DEPENDENT_OBJECTS: SqlState = SqlState("2BP01");
    pub const INVALID_PASSWORD: SqlState = SqlState("28P01");
    pub const INVALID_CURSOR_NAME: SqlState = SqlState("34000");
    pub const INVALID_CATALOG_NAME: SqlState = SqlState("3D000");
    pub const INVALID_SCHEMA_NAME: SqlState = SqlState("3F000");
    pub const SERIALIZATION_FAILURE: SqlState = SqlState("40001");
    pub const DEADLOCK_DETECTED: SqlState = SqlState("40P01");
    pub const SYNTAX_ERROR: SqlState = SqlState("42601");
    pub const INSUFFICIENT_PRIVILEGE: SqlState = SqlState("42501");
    pub const CANNOT_COERCE: SqlState = SqlState("42846");
    pub const GROUPING_ERROR: SqlState = SqlState("42803");
    pub const WINDOWING_ERROR: SqlState = SqlState("42P20");
    pub const INVALID_RECURSION: SqlState = SqlState("42P19");
    pub const INVALID_FOREIGN_KEY: SqlState = SqlState("42830");
    pub const INVALID_NAME: SqlState = SqlState("42602");
    pub const NAME_TOO_LONG: SqlState = SqlState("42622");
    pub const RESERVED_NAME: SqlState = SqlState("42939");
    pub const DATATYPE_MISMATCH: SqlState = SqlState("42804");
    pub const INDETERMINATE_DATATYPE: SqlState = SqlState("42P18");
    pub const WRONG_OBJECT_TYPE: SqlState = SqlState("42809");
    pub const UNDEFINED_COLUMN: SqlState = SqlState("42703");
    pub const UNDEFINED_FUNCTION: SqlState = SqlState("42883");
    pub const UNDEFINED_TABLE: SqlState = SqlState("42P01");
    pub const UNDEFINED_PARAMETER: SqlState = SqlState("42P02");
    pub const UNDEFINED_OBJECT: SqlState = SqlState("42704");
    pub const DUPLICATE_COLUMN: SqlState = SqlState("42701");
    pub const DUPLICATE_CURSOR: SqlState = SqlState("42P03");
    pub const DUPLICATE_PREPARED_STATEMENT: SqlState = SqlState("42P05");
    pub const DUPLICATE_SCHEMA: SqlState = SqlState("42P06");
    pub const DUPLICATE_TABLE: SqlState = SqlState("42P07");
    pub const DUPLICATE_ALIAS: SqlState = SqlState("42712");
    pub const DUPLICATE_OBJECT: SqlState = SqlState("42710");
    pub const AMBIGUOUS_COLUMN: SqlState = SqlState("42702");
    pub const AMBIGUOUS_FUNCTION: SqlState = SqlState("42725");
    pub const INVALID_COLUMN_REFERENCE: SqlState = SqlState("42P10");
    pub const INVALID_TABLE_DEFINITION: SqlState = SqlState("42P16");
    pub const INVALID_OBJECT_DEFINITION: SqlState = SqlState("42P17");
    pub const DISK_FULL: SqlState = SqlState("53100");
    pub const OUT_OF_MEMORY: SqlState = SqlState("53200");
    pub const TOO_MANY_CONNECTIONS: SqlState = SqlState("53300");
    pub const CONFIGURATION_LIMIT_EXCEEDED: SqlState = SqlState("53400");
    pub const PROGRAM_LIMIT_EXCEEDED: SqlState = SqlState("54000");
    pub const STATEMENT_TOO_COMPLEX: SqlState = SqlState("54001");
    pub const OBJECT_NOT_IN_PREREQUISITE_STATE: SqlState = SqlState("55000");
    pub const OBJECT_IN_USE: SqlState = SqlState("55006");
    pub const CANT_CHANGE_RUNTIME_PARAM: SqlState = SqlState("55P02");
    pub const LOCK_NOT_AVAILABLE: SqlState = SqlState("55P03");
    pub const QUERY_CANCELED: SqlState = SqlState("57014");
    pub const ADMIN_SHUTDOWN: SqlState = SqlState("57P01");
    pub const CANNOT_CONNECT_NOW: SqlState = SqlState("57P03");
    pub const IO_ERROR: SqlState = SqlState("58030");
    pub const SNAPSHOT_TOO_OLD: SqlState = SqlState("72000");
    pub const CONFIG_FILE_ERROR: SqlState = SqlState("F0000");
    pub const INTERNAL_ERROR: SqlState = SqlState("XX000");
    pub const DATA_CORRUPTED: SqlState = SqlState("XX001");

    /// The five characters.
    pub fn code(self) -> &'static str {
        self.0
    }

    /// The one with these five characters among those that an expression raises on a row, for errors of which only the
    /// text was kept.
    pub fn of_expression(code: &str) -> Option<SqlState> {
        const RAISED: [SqlState; 23] = [
            SqlState::FEATURE_NOT_SUPPORTED,
            SqlState::CARDINALITY_VIOLATION,
            SqlState::DATA_EXCEPTION,
            SqlState::STRING_TOO_LONG,
            SqlState::NUMERIC_OUT_OF_RANGE,
            SqlState::INVALID_DATETIME_FORMAT,
            SqlState::DATETIME_OVERFLOW,
            SqlState::SUBSTRING_ERROR,
            SqlState::DIVISION_BY_ZERO,
            SqlState::INVALID_REGULAR_EXPRESSION,
            SqlState::INVALID_LOG_ARGUMENT,
            SqlState::INVALID_POWER_ARGUMENT,
            SqlState::INVALID_WIDTH_BUCKET_ARGUMENT,
            SqlState::INVALID_LIMIT,
            SqlState::INVALID_OFFSET,
            SqlState::INVALID_PARAMETER_VALUE,
            SqlState::ARRAY_SUBSCRIPT_ERROR,
            SqlState::INVALID_TEXT,
            SqlState::INVALID_BINARY,
            SqlState::CANNOT_COERCE,
            SqlState::DATATYPE_MISMATCH,
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            SqlState::INTERNAL_ERROR,
        ];
        RAISED.into_iter().find(|state| state.is(code))
    }

    /// The one with these five characters, for errors that come back from where only the text is kept.
    pub fn is(self, code: &str) -> bool {
        self.0 == code
    }
}

/// An error as a Postgres client is told it.
///
/// `position` counts characters from 1 in the text of the statement's query string, as PostgreSQL's `P` field does.
#[derive(Debug)]
pub struct Error(Box<Fields>);

#[derive(Debug)]
struct Fields {
    sqlstate: SqlState,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    position: Option<usize>,
    violated: Option<Violated>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What a violated constraint is of, by [name](https://www.postgresql.org/docs/15/protocol-error-fields.html): clients tell
/// their users by these, not by the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violated {
    pub schema: String,
    pub table: String,
    pub column: Option<String>,
    pub constraint: Option<String>,
}

impl Error {
    /// An error with PostgreSQL's primary message: lower case, no full stop.
    pub fn new(sqlstate: SqlState, message: impl Into<String>) -> Error {
        Error(Box::new(Fields {
            sqlstate,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
            violated: None,
            source: None,
        }))
    }

    /// SQL that is valid but not ours yet: `what` names it, as in "CREATE TRIGGER is not supported".
    pub fn unsupported(what: impl fmt::Display) -> Error {
        Error::new(SqlState::FEATURE_NOT_SUPPORTED, format!("{what} is not supported"))
    }

    /// A broken invariant of our own. Never the user's fault.
    pub fn internal(message: impl Into<String>) -> Error {
        Error::new(SqlState::INTERNAL_ERROR, message)
    }

    /// Durable bytes that do not read as what was written.
    pub fn corrupt(message: impl Into<String>) -> Error {
        Error::new(SqlState::DATA_CORRUPTED, message)
    }

    /// Adds what exactly was wrong: one sentence, capitalised, with full stop.
    pub fn with_detail(mut self, detail: impl Into<String>) -> Error {
        self.0.detail = Some(detail.into());
        self
    }

    /// Adds what to do about it: one sentence, capitalised, with full stop.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Error {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds what the constraint is of that a row violates.
    pub fn of(mut self, violated: Violated) -> Error {
        self.0.violated = Some(violated);
        self
    }

    /// Adds the cause, for logs.
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Error {
        self.0.source = Some(Box::new(source));
        self
    }

    /// Says where, unless a more inner place was given already. A statement that is stopped is so at no place.
    pub fn at(mut self, position: impl Into<Option<usize>>) -> Error {
        if !matches!(self.sqlstate(), SqlState::QUERY_CANCELED | SqlState::ADMIN_SHUTDOWN) {
            self.0.position = self.0.position.or(position.into());
        }
        self
    }

    /// The same in other words: of the message, the detail and the hint.
    pub fn reworded(mut self, reword: impl Fn(&str) -> String) -> Error {
        let Fields { message, detail, hint, .. } = &mut *self.0;
        *message = reword(message);
        for text in [detail, hint].into_iter().flatten() {
            *text = reword(text);
        }
        self
    }

    pub fn sqlstate(&self) -> SqlState {
        self.0.sqlstate
    }

    pub fn message(&self) -> &str {
        &self.0.message
    }

    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    pub fn position(&self) -> Option<usize> {
        self.0.position
    }

    pub fn violated(&self) -> Option<&Violated> {
        self.0.violated.as_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0.message, self.0.sqlstate.code())?;
        if let Some(source) = &self.0.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// Our own functions return their errors through DataFusion; this brings them back whole.
impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Error {
        match error {
            DataFusionError::External(inner) => match inner.downcast::<Error>() {
                Ok(ours) => *ours,
                Err(other) => Error::internal(other.to_string()),
            },
            DataFusionError::ArrowError(inner, _) => Error::from(*inner),
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => Error::from(*inner),
            DataFusionError::ResourcesExhausted(message) => exhausted(&message),
            // Some are the name of something, others say already that it is not there.
            DataFusionError::NotImplemented(said) if said.contains("support") || said.contains("implement") => {
                Error::new(SqlState::FEATURE_NOT_SUPPORTED, said)
            }
            DataFusionError::NotImplemented(what) => Error::unsupported(what),
            // Cloned by shared streams: find ours behind it by reference.
            DataFusionError::Shared(inner) => Error::from_shared(&inner),
            other => Error::internal(other.strip_backtrace()),
        }
    }
}

/// Queries hold as much as all of them together may.
fn exhausted(reason: &str) -> Error {
    Error::new(SqlState::OUT_OF_MEMORY, "out of memory")
        .with_detail(format!("{}.", reason.lines().next().unwrap_or_default().trim_end_matches('.')))
        .with_hint("All queries together may take a quarter of memory_limit: read less at once, or keep the result as a materialized view.")
}

impl Error {
    fn from_shared(error: &DataFusionError) -> Error {
        match error.find_root() {
            DataFusionError::External(inner) => match inner.downcast_ref::<Error>() {
                Some(ours) => ours.duplicate(),
                None => Error::internal(inner.to_string()),
            },
            DataFusionError::ArrowError(inner, _) => Error::from_arrow(inner),
            DataFusionError::ResourcesExhausted(message) => exhausted(message),
            other => Error::internal(other.strip_backtrace()),
        }
    }

    /// A copy without the cause.
    pub fn duplicate(&self) -> Error {
        let Fields { sqlstate, message, detail, hint, position, violated, .. } = &*self.0;
        Error(Box::new(Fields {
            sqlstate: *sqlstate,
            message: message.clone(),
            detail: detail.clone(),
            hint: hint.clone(),
            position: *position,
            violated: violated.clone(),
            source: None,
        }))
    }

    fn from_arrow(error: &ArrowError) -> Error {
        match error {
            ArrowError::DivideByZero => Error::new(SqlState::DIVISION_BY_ZERO, "division by zero"),
            ArrowError::ArithmeticOverflow(_) => Error::new(SqlState::NUMERIC_OUT_OF_RANGE, "value out of range"),
            ArrowError::CastError(message) => Error::new(SqlState::INVALID_TEXT, message.clone()),
            ArrowError::ParseError(message) => Error::new(SqlState::INVALID_TEXT, message.clone()),
            ArrowError::ComputeError(message) => Error::new(SqlState::INVALID_PARAMETER_VALUE, message.clone()),
            other => Error::internal(other.to_string()),
        }
    }
}

impl From<ArrowError> for Error {
    fn from(error: ArrowError) -> Error {
        match error {
            ArrowError::ExternalError(inner) => match inner.downcast::<Error>() {
                Ok(ours) => *ours,
                Err(other) => match other.downcast::<DataFusionError>() {
                    Ok(inner) => Error::from(*inner),
                    Err(other) => Error::internal(other.to_string()),
                },
            },
            other => Error::from_arrow(&other),
        }
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> DataFusionError {
        DataFusionError::External(Box::new(error))
    }
}
