//! A JSON value into its column.

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use sonic_rs::LazyValue;

use super::buffer::{Buffer, Values};
use super::scalar;
use crate::data::SqlType;
use crate::decode::NormalizeJsonb;

/// What reading a message needs besides the columns.
pub struct Context {
    jsonb: NormalizeJsonb,
    /// What is wrong with the message, if it is not its syntax.
    fault: Option<String>,
    /// Whether whole numbers are read from their digits, not by way of floats; and whether the message has one for which that
    /// would make a difference.
    digits: bool,
    wants_digits: bool,
}

impl Context {
    pub fn new(jsonb: NormalizeJsonb) -> Context {
        Context { jsonb, fault: None, digits: false, wants_digits: false }
    }

    /// A new message begins.
    pub fn begin(&mut self) {
        self.digits = false;
    }

    /// Whether the message that could not be read is to be read again, now by the digits of its numbers.
    pub fn turns_to_digits(&mut self) -> bool {
        self.digits = std::mem::take(&mut self.wants_digits);
        self.digits
    }

    /// Notes what is wrong with a value.
    pub fn fault(&mut self, reason: String) {
        self.fault = Some(format!(": {reason}"));
    }

    /// Says in which member the wrong value is.
    pub fn within(&mut self, name: &str) {
        if let Some(fault) = &mut self.fault {
            let separator = if fault.starts_with('"') { "." } else { "" };
            *fault = format!("\"{name}\"{separator}{fault}");
        }
    }

    /// The reason why a message is no row, given the parser's error. Ready for the next message then.
    pub fn explain(&mut self, error: &sonic_rs::Error) -> String {
        match self.fault.take() {
            Some(fault) => describe(&fault),
            None => {
                let text = error.to_string();
                format!("invalid JSON: {}", text.lines().next().unwrap_or_default())
            }
        }
    }

    /// The same where there was no parser.
    pub fn take_fault(&mut self) -> Option<String> {
        self.fault.take().map(|fault| describe(&fault))
    }
}

fn describe(fault: &str) -> String {
    match fault.strip_prefix(": ") {
        Some(reason) => reason.to_owned(),
        None => format!("column {fault}"),
    }
}

/// Reads a value into a column.
pub struct ValueSeed<'a> {
    pub buffer: &'a mut Buffer,
    pub context: &'a mut Context,
}

impl ValueSeed<'_> {
    fn checked<E: Error>(self, written: Result<(), String>) -> Result<(), E> {
        written.map_err(|reason| {
            let error = E::custom(&reason);
            self.context.fault(reason);
            error
        })
    }

    fn mismatch<E: Error>(self, found: &str) -> Result<(), E> {
        let reason = format!("expected {}, found {found}", self.buffer.ty);
        self.checked(Err(reason))
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.buffer.ty {
            // Their digits count, or their text.
            SqlType::Numeric(_) | SqlType::Float4 | SqlType::Json | SqlType::Jsonb => {
                let raw = LazyValue::deserialize(deserializer)?;
                let written = scalar::push_raw(self.buffer, raw.as_raw_str(), self.context.jsonb);
                self.checked(written)
            }
            SqlType::Int2 | SqlType::Int4 | SqlType::Int8 | SqlType::Timestamp | SqlType::Timestamptz
                if self.context.digits =>
            {
                let raw = LazyValue::deserialize(deserializer)?;
                let written = scalar::push_digits(self.buffer, raw.as_raw_str());
                self.checked(written)
            }
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.buffer.ty)
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.buffer.push_null();
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        match &mut self.buffer.values {
            Values::Bool(values) => {
                values.push(value);
                self.buffer.set_valid();
                Ok(())
            }
            _ => self.mismatch("a boolean"),
        }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        let written = scalar::push_integer(self.buffer, value.into());
        self.checked(written)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        let written = scalar::push_integer(self.buffer, value.into());
        self.checked(written)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        if scalar::is_inexact(self.buffer, value) {
            self.context.wants_digits = true;
            return Err(E::custom("a number that a float does not hold"));
        }
        let written = scalar::push_float(self.buffer, value);
        self.checked(written)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        let written = scalar::push_text(self.buffer, value);
        self.checked(written)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Values::List { items, .. } = &mut self.buffer.values else { return self.mismatch("an array") };
        loop {
            let seed = ValueSeed { buffer: items, context: self.context };
            if elements.next_element_seed(seed)?.is_none() {
                break;
            }
        }
        let written = self.buffer.end_list();
        self.checked(written)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<(), A::Error> {
        let Values::Record(object) = &mut self.buffer.values else { return self.mismatch("an object") };
        object.fill(members, self.context)?;
        self.buffer.set_valid();
        Ok(())
    }
}
