//! Canonical texts read back: expressions as SQL writes them, over the names of columns.
//!
//! What a node does is written out once, by [`Canonical`](crate::sql::fingerprint::Canonical), for its fingerprint. EXPLAIN
//! reads that, so that it shows what runs, and nodes do not carry a second description.

use chrono::DateTime;

/// What is left of a text to read.
pub struct Reader<'a> {
    rest: &'a str,
}

/// Something read, with how tightly it holds together.
struct Part {
    text: String,
    /// Whether it needs parentheses beside an operator.
    loose: bool,
}

impl Part {
    fn tight(text: impl Into<String>) -> Part {
        Part { text: text.into(), loose: false }
    }

    fn loose(text: String) -> Part {
        Part { text, loose: true }
    }

    fn operand(&self) -> String {
        if self.loose { format!("({})", self.text) } else { self.text.clone() }
    }
}

/// All methods give None, and leave the reader anywhere, when something else is there.
impl<'a> Reader<'a> {
    pub fn new(text: &'a str) -> Reader<'a> {
        Reader { rest: text }
    }

    pub fn eat(&mut self, text: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(text)?;
        Some(())
    }

    pub fn at(&self, text: &str) -> bool {
        self.rest.starts_with(text)
    }

    /// Everything before the first of these characters, which must come.
    pub fn until(&mut self, ends: &[char]) -> Option<&'a str> {
        let at = self.rest.find(ends)?;
        let (before, rest) = self.rest.split_at(at);
        self.rest = rest;
        Some(before)
    }

    pub fn number(&mut self) -> Option<usize> {
        let digits = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        number.parse().ok()
    }

    /// `[1, 2, 3]`
    pub fn numbers(&mut self) -> Option<Vec<usize>> {
        self.eat("[")?;
        let mut numbers = Vec::new();
        while self.eat("]").is_none() {
            self.eat(", ").or(numbers.is_empty().then_some(()))?;
            numbers.push(self.number()?);
        }
        Some(numbers)
    }

    /// `[a;b]`: expressions over these columns.
    pub fn expressions(&mut self, columns: &[String]) -> Option<Vec<String>> {
        self.eat("[")?;
        let mut all = Vec::new();
        while self.eat("]").is_none() {
            self.eat(";").or(all.is_empty().then_some(()))?;
            all.push(self.part(columns)?.text);
        }
        Some(all)
    }

    pub fn expression(&mut self, columns: &[String]) -> Option<String> {
        Some(self.part(columns)?.text)
    }

    fn part(&mut self, columns: &[String]) -> Option<Part> {
        if self.eat("$").is_some() {
            return Some(Part::tight(columns.get(self.number()?)?.clone()));
        }
        if self.eat("'").is_some() {
            let length = self.number()?;
            self.eat("'")?;
            let (text, rest) = self.rest.split_at_checked(length)?;
            self.rest = rest;
            return Some(Part::tight(format!("'{}'", text.replace('\'', "''"))));
        }
        if self.eat("f:").is_some() {
            let name = self.until(&['('])?;
            let arguments = self.arguments(columns)?;
            // The name of a conversion is a type, which may have parentheses of its own.
            if self.at("(") {
                let ty = call(name, &arguments).text.replace(", ", ",");
                return Some(function(&ty, &self.arguments(columns)?));
            }
            return Some(function(name, &arguments));
        }
        let end = self.rest.find(['(', ')', ',', ';', ':', ']']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match rest.chars().next() {
            Some('(') => self.operation(word, columns),
            Some(':') if word != "true" && word != "false" => {
                self.eat(":")?;
                Some(literal(word, self.data_type()?))
            }
            _ => Some(Part::tight(word)),
        }
    }

    /// `(a,b)`
    fn arguments(&mut self, columns: &[String]) -> Option<Vec<Part>> {
        self.eat("(")?;
        let mut arguments = Vec::new();
        while self.eat(")").is_none() {
            self.eat(",").or(arguments.is_empty().then_some(()))?;
            arguments.push(self.part(columns)?);
        }
        Some(arguments)
    }

    fn operation(&mut self, name: &str, columns: &[String]) -> Option<Part> {
        match name {
            "case" => return self.case(columns),
            "cast" | "try_cast" => {
                self.eat("(")?;
                let value = self.part(columns)?;
                self.eat(",")?;
                let ty = self.data_type()?;
                self.eat(")")?;
                return Some(Part::tight(format!("{}::{}", value.operand(), type_name(ty))));
            }
            _ => {}
        }
        let arguments = self.arguments(columns)?;
        // LIKE may have another escape character than the usual one.
        if self.eat(" escape ").is_some() {
            self.number()?;
        }
        Some(match (name, arguments.as_slice()) {
            ("not", [a]) => Part::loose(format!("NOT {}", a.operand())),
            ("negative", [a]) => Part::tight(format!("-{}", a.operand())),
            ("between" | "not_between", [a, low, high]) => {
                let not = if name == "between" { "" } else { "NOT " };
                Part::loose(format!("{} {not}BETWEEN {} AND {}", a.operand(), low.operand(), high.operand()))
            }
            ("in" | "not_in", [a, list @ ..]) => {
                let list: Vec<&str> = list.iter().map(|part| part.text.as_str()).collect();
                let not = if name == "in" { "" } else { "NOT " };
                Part::loose(format!("{} {not}IN ({})", a.operand(), list.join(", ")))
            }
            (name, [a]) if name.starts_with("is_") => {
                Part::loose(format!("{} {}", a.operand(), name.replace('_', " ").to_uppercase()))
            }
            (name, [a, b]) if let Some(symbol) = symbol(name) => {
                Part::loose(format!("{} {symbol} {}", a.operand(), b.operand()))
            }
            (name, arguments) => call(name, arguments),
        })
    }

    fn case(&mut self, columns: &[String]) -> Option<Part> {
        self.eat("(")?;
        let mut text = String::from("CASE");
        if !self.at(";") {
            text.push_str(&format!(" {}", self.part(columns)?.text));
        }
        while self.eat(")").is_none() {
            if self.eat(";else:").is_some() {
                text.push_str(&format!(" ELSE {}", self.part(columns)?.text));
                continue;
            }
            self.eat(";")?;
            let when = self.part(columns)?;
            self.eat(":")?;
            text.push_str(&format!(" WHEN {} THEN {}", when.text, self.part(columns)?.text));
        }
        text.push_str(" END");
        Some(Part::tight(text))
    }

    /// A type, up to what ends the expression that it stands in.
    pub fn data_type(&mut self) -> Option<&'a str> {
        let mut depth = 0_usize;
        for (at, c) in self.rest.char_indices() {
            match c {
                '(' | '<' => depth += 1,
                ')' | ',' | ';' | ':' | ']' if depth == 0 => {
                    let (ty, rest) = self.rest.split_at(at);
                    self.rest = rest;
                    return Some(ty);
                }
                ')' | '>' => depth = depth.checked_sub(1)?,
                _ => {}
            }
        }
        Some(std::mem::take(&mut self.rest))
    }
}

fn call(name: &str, arguments: &[Part]) -> Part {
    let arguments: Vec<&str> = arguments.iter().map(|part| part.text.as_str()).collect();
    Part::tight(format!("{name}({})", arguments.join(", ")))
}

/// A function: operators and conversions of PostgreSQL's are functions of ours. What only helps to compare is not shown.
fn function(name: &str, arguments: &[Part]) -> Part {
    let is_operator = name.chars().all(|c| c.is_ascii_punctuation() && c != '_');
    let is_helper = HELPERS.iter().any(|helper| name.starts_with(helper));
    match arguments {
        [a] if is_helper => Part { text: a.text.clone(), loose: a.loose },
        [a] if is_type(name) => Part::tight(format!("{}::{name}", a.operand())),
        [a] if is_operator => Part::tight(format!("{name}{}", a.operand())),
        [a, b] if is_operator => Part::loose(format!("{} {} {}", a.operand(), like(name), b.operand())),
        _ => call(name, arguments),
    }
}

/// Functions of ours that the user did not write.
const HELPERS: &[&str] = &[
    "assign ",
    "relabel ",
    "itself",
    "zero_sign",
    "float_key",
    "exact_float_key",
    "float_of_key",
    "exact_form",
    "of_exact_form",
    "interval_extreme_key",
    "interval_of_extreme_key",
];

fn is_type(name: &str) -> bool {
    let plain = name.split('(').next().unwrap_or(name).trim_end_matches("[]").trim();
    matches!(
        plain,
        "boolean"
            | "smallint"
            | "integer"
            | "bigint"
            | "real"
            | "double precision"
            | "numeric"
            | "text"
            | "character varying"
            | "character"
            | "bytea"
            | "date"
            | "time without time zone"
            | "timestamp without time zone"
            | "timestamp with time zone"
            | "interval"
            | "uuid"
            | "jsonb"
            | "json"
            | "name"
            | "oid"
    )
}

/// The operators behind LIKE.
fn like(name: &str) -> &str {
    match name {
        "~~" => "LIKE",
        "~~*" => "ILIKE",
        "!~~" => "NOT LIKE",
        "!~~*" => "NOT ILIKE",
        other => other,
    }
}

fn symbol(name: &str) -> Option<&'static str> {
    Some(match name {
        "eq" => "=",
        "ne" => "<>",
        "lt" => "<",
        "le" => "<=",
        "gt" => ">",
        "ge" => ">=",
        "add" => "+",
        "sub" => "-",
        "mul" => "*",
        "div" => "/",
        "mod" => "%",
        "and" => "AND",
        "or" => "OR",
        "distinct_from" => "IS DISTINCT FROM",
        "not_distinct_from" => "IS NOT DISTINCT FROM",
        "regex" => "~",
        "iregex" => "~*",
        "not_regex" => "!~",
        "not_iregex" => "!~*",
        "like" | "like_op" => "LIKE",
        "ilike" | "ilike_op" => "ILIKE",
        "not_like" | "not_like_op" => "NOT LIKE",
        "not_ilike" | "not_ilike_op" => "NOT ILIKE",
        "similar" => "SIMILAR TO",
        "not_similar" => "NOT SIMILAR TO",
        "concat_op" => "||",
        _ => return None,
    })
}

/// A type as PostgreSQL names it: what a field declares, else the one that Arrow's stands for.
fn type_name(ty: &str) -> &str {
    let arrow = ty.split(['(', '<']).next().unwrap_or(ty);
    match arrow {
        "bool" => "boolean",
        "i16" => "smallint",
        "i32" => "integer",
        "i64" => "bigint",
        "f32" => "real",
        "f64" => "double precision",
        "dec" => "numeric",
        "utf8" => "text",
        "bytes" => "bytea",
        "timestamp" if ty.contains(',') => "timestamptz",
        other => other,
    }
}

fn literal(value: &str, ty: &str) -> Part {
    let name = type_name(ty);
    let typed = |text: String| Part::tight(format!("'{text}'::{name}"));
    let shown = match (name, value) {
        (_, "null") => Some(Part::tight("NULL")),
        ("real", bits) => u32::from_str_radix(bits, 16).ok().map(|bits| Part::tight(f32::from_bits(bits).to_string())),
        ("double precision", bits) => {
            u64::from_str_radix(bits, 16).ok().map(|bits| Part::tight(f64::from_bits(bits).to_string()))
        }
        ("numeric", unscaled) => decimal(unscaled, ty).map(Part::tight),
        ("date", days) => micros(days, 86_400_000_000).map(|at| typed(at.date_naive().to_string())),
        ("timestamp" | "timestamptz", value) => micros(value, 1).map(|at| typed(at.naive_utc().to_string())),
        ("interval", parts) => Some(typed(interval(parts))),
        _ if value.starts_with('#') => Some(Part::tight("…")),
        _ => None,
    };
    shown.unwrap_or_else(|| Part::tight(value))
}

fn micros(value: &str, unit: i64) -> Option<DateTime<chrono::Utc>> {
    DateTime::from_timestamp_micros(value.parse::<i64>().ok()?.checked_mul(unit)?)
}

/// An unscaled number with the scale of `dec(precision,scale)`.
fn decimal(unscaled: &str, ty: &str) -> Option<String> {
    let scale: usize = ty.split_once(',')?.1.split(')').next()?.parse().ok()?;
    let (sign, digits) = unscaled.strip_prefix('-').map_or(("", unscaled), |digits| ("-", digits));
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let fraction = fraction.trim_end_matches('0');
    Some(if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

/// `months/days/nanoseconds`
fn interval(parts: &str) -> String {
    let numbers: Vec<i64> = parts.split('/').filter_map(|part| part.parse().ok()).collect();
    let [months, days, nanoseconds] = numbers[..] else { return parts.to_owned() };
    let seconds = nanoseconds as f64 / 1e9;
    let units = [(months as f64, "months"), (days as f64, "days"), (seconds, "seconds")];
    let shown: Vec<String> =
        units.iter().filter(|(count, _)| *count != 0.0).map(|(count, unit)| format!("{count} {unit}")).collect();
    if shown.is_empty() { "0".to_owned() } else { shown.join(" ") }
}
