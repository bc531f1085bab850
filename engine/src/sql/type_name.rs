//! Type names of the syntax tree.

use sqlparser::ast::{
    ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, IntervalFields, ObjectName, StructField, TimezoneInfo,
};

use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::adt::interval::Field;
use crate::sql::fold;
use crate::sql::functions::catalog::identifiers;

/// The type that a type's name means. 42704 for unknown ones, 0A000 for those PostgreSQL has and we do not.
pub fn sql_type(name: &DataType) -> Result<SqlType> {
    Ok(match name {
        DataType::Boolean | DataType::Bool => SqlType::Bool,
        DataType::SmallInt(None) | DataType::Int2(None) => SqlType::Int2,
        DataType::Int(None) | DataType::Integer(None) | DataType::Int4(None) => SqlType::Int4,
        DataType::BigInt(None) | DataType::Int8(None) => SqlType::Int8,
        DataType::Real | DataType::Float4 => SqlType::Float4,
        DataType::Float8 | DataType::DoublePrecision | DataType::Double(ExactNumberInfo::None) => SqlType::Float8,
        DataType::Float(info) => float(info)?,
        DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => numeric(info)?,
        DataType::Text => SqlType::Text,
        DataType::Varchar(length) | DataType::CharacterVarying(length) | DataType::CharVarying(length) => {
            SqlType::Varchar(length.as_ref().map(|length| characters(length, "varchar")).transpose()?)
        }
        DataType::Char(length) | DataType::Character(length) => {
            let length = length.as_ref().map(|length| characters(length, "char")).transpose()?;
            SqlType::Bpchar(Some(length.unwrap_or(1)))
        }
        DataType::Bytea => SqlType::Bytea,
        DataType::Date => SqlType::Date,
        DataType::Time(precision, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            seconds(*precision, "TIME").map(|()| SqlType::Time)?
        }
        DataType::Timestamp(precision, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            seconds(*precision, "TIMESTAMP").map(|()| SqlType::Timestamp)?
        }
        DataType::Timestamp(precision, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => {
            seconds(*precision, "TIMESTAMP WITH TIME ZONE").map(|()| SqlType::Timestamptz)?
        }
        DataType::Interval { precision, .. } => seconds(*precision, "INTERVAL").map(|()| SqlType::Interval)?,
        DataType::Uuid => SqlType::Uuid,
        DataType::JSON => SqlType::Json,
        DataType::JSONB => SqlType::Jsonb,
        DataType::Regclass => SqlType::Regclass,
        DataType::Array(ArrayElemTypeDef::SquareBracket(element, _)) => array(element)?,
        DataType::Array(ArrayElemTypeDef::AngleBracket(element)) => array(element)?,
        DataType::Struct(fields, _) => record(fields)?,
        DataType::Custom(name, modifiers) if modifiers.is_empty() => custom(name)?,
        DataType::Custom(name, modifiers) => custom_with(name, modifiers)?,
        other => return Err(Error::unsupported(format!("type {}", other.to_string().to_lowercase()))),
    })
}

/// `int[][]` is `int[]`.
fn array(element: &DataType) -> Result<SqlType> {
    Ok(match sql_type(element)? {
        array @ SqlType::Array(_) => array,
        element => element.array(),
    })
}

/// `struct<name type, …>`
fn record(fields: &[StructField]) -> Result<SqlType> {
    let mut record: Vec<(String, SqlType)> = Vec::with_capacity(fields.len());
    for StructField { field_name, field_type, .. } in fields {
        let name = field_name.as_ref().map(fold).unwrap_or_default();
        if record.iter().any(|(other, _)| *other == name) {
            let message = format!("field \"{name}\" specified more than once");
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
        }
        record.push((name, sql_type(field_type)?));
    }
    Ok(SqlType::Record(record))
}

fn float(info: &ExactNumberInfo) -> Result<SqlType> {
    let invalid = |message| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    match info {
        ExactNumberInfo::None => Ok(SqlType::Float8),
        ExactNumberInfo::Precision(1..=24) => Ok(SqlType::Float4),
        ExactNumberInfo::Precision(25..=53) => Ok(SqlType::Float8),
        ExactNumberInfo::Precision(0) => invalid("precision for type float must be at least 1 bit"),
        _ => invalid("precision for type float must be less than 54 bits"),
    }
}

fn numeric(info: &ExactNumberInfo) -> Result<SqlType> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => return Ok(SqlType::NUMERIC),
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    if !(1..=1000).contains(&precision) {
        let message = format!("NUMERIC precision {precision} must be between 1 and 1000");
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    if precision > 38 {
        return Err(Error::unsupported(format!("numeric with precision {precision}"))
            .with_hint("Numbers have 38 digits at most."));
    }
    match i8::try_from(scale) {
        Ok(scale) if scale >= 0 && scale.unsigned_abs() <= precision as u8 => {
            Ok(SqlType::Numeric(Some((precision as u8, scale))))
        }
        _ => Err(Error::unsupported(format!("numeric with precision {precision} and scale {scale}"))
            .with_hint("The scale must be between 0 and the precision.")),
    }
}

fn characters(length: &CharacterLength, ty: &str) -> Result<u32> {
    let CharacterLength::IntegerLength { length, .. } = length else {
        return Err(Error::unsupported(format!("{ty}(max)")));
    };
    let invalid = |message| Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
    match u32::try_from(*length) {
        Ok(0) => Err(invalid(format!("length for type {ty} must be at least 1"))),
        Ok(length) if length <= 10_485_760 => Ok(length),
        _ => Err(invalid(format!("length for type {ty} cannot exceed 10485760"))),
    }
}

/// Of a type of times with fewer digits of seconds than six: the type without that, and how many.
pub(super) fn coarse(name: &DataType) -> Option<(DataType, i32)> {
    let (fine, digits) = match name {
        DataType::Timestamp(Some(digits), zone) => (DataType::Timestamp(None, *zone), digits),
        DataType::Time(Some(digits), zone) => (DataType::Time(None, *zone), digits),
        _ => return None,
    };
    i32::try_from(*digits).ok().filter(|digits| *digits < 6).map(|digits| (fine, digits))
}

/// Times have microseconds; coarser ones are not kept.
fn seconds(precision: Option<u64>, ty: &str) -> Result<()> {
    match precision {
        None | Some(6) => Ok(()),
        Some(precision) => Err(Error::unsupported(format!("{ty}({precision})"))
            .with_hint("Leave the precision away: it is microseconds. date_trunc() gives coarser values.")),
    }
}

fn last_part(name: &ObjectName) -> Result<String> {
    let parts: Vec<String> = name.0.iter().filter_map(|part| part.as_ident()).map(fold).collect();
    match parts.as_slice() {
        [name] => Ok(name.clone()),
        [schema, name] if schema == "pg_catalog" => Ok(name.clone()),
        _ => Err(Error::new(SqlState::UNDEFINED_OBJECT, format!("type \"{}\" does not exist", parts.join(".")))),
    }
}

fn custom(name: &ObjectName) -> Result<SqlType> {
    let quoted = name.0.last().and_then(|part| part.as_ident()).is_some_and(|ident| ident.quote_style.is_some());
    let name = last_part(name)?;
    by_name(&name, quoted).ok_or_else(|| match name.as_str() {
        "serial" | "serial2" | "serial4" | "serial8" | "smallserial" | "bigserial" => {
            Error::unsupported(format!("type {name}")).with_hint("DEFAULT gen_random_uuid() makes keys of its own.")
        }
        name if MISSING.contains(&name) => Error::unsupported(format!("type {name}")),
        name => Error::new(SqlState::UNDEFINED_OBJECT, format!("type \"{name}\" does not exist")),
    })
}

/// PostgreSQL's types that are not ours, of those that the parser takes for names.
const MISSING: &[&str] = &[
    "bit",
    "box",
    "cidr",
    "circle",
    "datemultirange",
    "daterange",
    "inet",
    "int4multirange",
    "int4range",
    "int8multirange",
    "int8range",
    "jsonpath",
    "line",
    "lseg",
    "macaddr",
    "macaddr8",
    "money",
    "nummultirange",
    "numrange",
    "path",
    "pg_lsn",
    "pg_snapshot",
    "point",
    "polygon",
    "regcollation",
    "regconfig",
    "regdictionary",
    "regoper",
    "regoperator",
    "regprocedure",
    "regrole",
    "timetz",
    "tsmultirange",
    "tsquery",
    "tsrange",
    "tstzmultirange",
    "tstzrange",
    "tsvector",
    "varbit",
    "xml",
];

/// The number of the type that a text names, `text` cast to `regtype`.
///
/// # Errors
/// 42704 when there is no such type.
pub fn type_oid(text: &str) -> Result<u32> {
    let missing = || Error::new(SqlState::UNDEFINED_OBJECT, format!("type \"{text}\" does not exist"));
    let mut parser = sqlparser::parser::Parser::new(&sqlparser::dialect::PostgreSqlDialect {})
        .try_with_sql(text)
        .map_err(|_| missing())?;
    let ty = match parser.parse_data_type() {
        Ok(name) => sql_type(&name).ok(),
        Err(_) => by_name(text, false),
    };
    // Functions of these types are asked for by them: there are none.
    let pseudo = || match identifiers(text).ok()?.last()?.as_str() {
        "trigger" => Some(2279),
        "event_trigger" => Some(3838),
        _ => None,
    };
    ty.map(|ty| ty.oid()).or_else(pseudo).ok_or_else(missing)
}

/// A type of `pg_type` by its name. `char` is `"char"` when quoted.
pub fn by_name(name: &str, quoted: bool) -> Option<SqlType> {
    if let Some(element) = name.strip_prefix('_') {
        return by_name(element, quoted).map(SqlType::array);
    }
    Some(match name {
        "bool" => SqlType::Bool,
        "int2" => SqlType::Int2,
        "int4" => SqlType::Int4,
        "int8" => SqlType::Int8,
        "float4" => SqlType::Float4,
        "float8" => SqlType::Float8,
        "numeric" => SqlType::NUMERIC,
        "text" => SqlType::Text,
        "varchar" => SqlType::Varchar(None),
        "bpchar" => SqlType::Bpchar(None),
        "char" if quoted => SqlType::Char,
        "name" => SqlType::Name,
        "bytea" => SqlType::Bytea,
        "date" => SqlType::Date,
        "time" => SqlType::Time,
        "timestamp" => SqlType::Timestamp,
        "timestamptz" => SqlType::Timestamptz,
        "interval" => SqlType::Interval,
        "uuid" => SqlType::Uuid,
        "json" => SqlType::Json,
        "jsonb" => SqlType::Jsonb,
        "oid" => SqlType::Oid,
        "regclass" => SqlType::Regclass,
        "regtype" => SqlType::Regtype,
        "regproc" => SqlType::Regproc,
        "regnamespace" => SqlType::Regnamespace,
        "int2vector" => SqlType::Int2vector,
        "oidvector" => SqlType::Oidvector,
        "unknown" => SqlType::Unknown,
        "void" => SqlType::Void,
        _ => return None,
    })
}

fn custom_with(name: &ObjectName, modifiers: &[String]) -> Result<SqlType> {
    let name = last_part(name)?;
    let number = |at: usize| modifiers.get(at).and_then(|text| text.parse::<u64>().ok());
    match (name.as_str(), number(0), number(1)) {
        ("varchar", Some(length), None) => {
            characters(&CharacterLength::IntegerLength { length, unit: None }, "varchar")
                .map(|length| SqlType::Varchar(Some(length)))
        }
        ("bpchar", Some(length), None) => characters(&CharacterLength::IntegerLength { length, unit: None }, "char")
            .map(|length| SqlType::Bpchar(Some(length))),
        ("numeric", Some(precision), None) => numeric(&ExactNumberInfo::Precision(precision)),
        ("numeric", Some(precision), Some(scale)) => {
            numeric(&ExactNumberInfo::PrecisionAndScale(precision, scale as i64))
        }
        _ => Err(Error::new(SqlState::SYNTAX_ERROR, format!("type modifier is not allowed for type \"{name}\""))),
    }
}

/// The finest field of `INTERVAL … TO …`.
pub fn finest_field(fields: &IntervalFields) -> Field {
    match fields {
        IntervalFields::Year => Field::Year,
        IntervalFields::Month | IntervalFields::YearToMonth => Field::Month,
        IntervalFields::Day => Field::Day,
        IntervalFields::Hour | IntervalFields::DayToHour => Field::Hour,
        IntervalFields::Minute | IntervalFields::DayToMinute | IntervalFields::HourToMinute => Field::Minute,
        IntervalFields::Second
        | IntervalFields::DayToSecond
        | IntervalFields::HourToSecond
        | IntervalFields::MinuteToSecond => Field::Second,
    }
}
