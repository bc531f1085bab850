//! How much memory the server may take: bytes, or a part of what there is.

use std::fmt;
use std::str::FromStr;

use levada_engine::{EngineOptions, available_memory};
use serde::Deserialize;

/// With less a server that was filled would not go on once it is emptied: what it keeps for itself would be too much.
const LEAST: u64 = 128 << 20;
/// Units as PostgreSQL has them, which are powers of 1024.
const UNITS: [(&str, u32); 5] = [("B", 0), ("KB", 10), ("MB", 20), ("GB", 30), ("TB", 40)];

/// What the setting `memory_limit` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub enum MemoryLimit {
    Bytes(u64),
    /// Of what the container allows, else of the machine's memory.
    Percent(u64),
}

/// The setting as a file has it.
#[derive(Deserialize)]
#[serde(untagged, expecting = "memory_limit is a number of bytes, or a text such as '4GB' or '70%'")]
enum Written {
    Number(u64),
    Text(String),
}

impl TryFrom<Written> for MemoryLimit {
    type Error = InvalidLimit;

    fn try_from(written: Written) -> Result<MemoryLimit, InvalidLimit> {
        match written {
            Written::Number(bytes) => MemoryLimit::checked(MemoryLimit::Bytes(bytes)),
            Written::Text(text) => text.parse(),
        }
    }
}

/// Why a limit is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidLimit {
    Syntax,
    Range,
    /// Nobody knows how much memory there is.
    Unknown,
}

impl fmt::Display for InvalidLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InvalidLimit::Syntax => "memory_limit is a number of bytes, or a text such as '4GB' or '70%'",
            InvalidLimit::Range => "memory_limit must be at least 128MB, and at most 100% of what there is",
            InvalidLimit::Unknown => "memory_limit must be in bytes: the system does not tell how much there is",
        })
    }
}

impl std::error::Error for InvalidLimit {}

impl FromStr for MemoryLimit {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<MemoryLimit, InvalidLimit> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let number: u64 = text[..digits].parse().map_err(|_| InvalidLimit::Syntax)?;
        let unit = text[digits..].trim().to_ascii_uppercase();
        if unit == "%" {
            return MemoryLimit::checked(MemoryLimit::Percent(number));
        }
        let shift = UNITS.iter().find(|(name, _)| unit == *name || unit.is_empty()).map(|(_, shift)| *shift);
        let scale = 1_u64 << shift.ok_or(InvalidLimit::Syntax)?;
        let bytes = number.checked_mul(scale).ok_or(InvalidLimit::Range)?;
        MemoryLimit::checked(MemoryLimit::Bytes(bytes))
    }
}

impl MemoryLimit {
    fn checked(limit: MemoryLimit) -> Result<MemoryLimit, InvalidLimit> {
        match limit {
            MemoryLimit::Bytes(LEAST..) | MemoryLimit::Percent(1..=100) => Ok(limit),
            MemoryLimit::Bytes(_) | MemoryLimit::Percent(_) => Err(InvalidLimit::Range),
        }
    }

    /// Options with this budget.
    ///
    /// # Errors
    /// [`Unknown`](InvalidLimit::Unknown) for a part of what the system does not tell, [`Range`](InvalidLimit::Range) for
    /// one that is too small to work with.
    pub fn apply(self, options: EngineOptions) -> Result<EngineOptions, InvalidLimit> {
        match self.bytes().ok_or(InvalidLimit::Unknown)? {
            ..LEAST => Err(InvalidLimit::Range),
            bytes => Ok(options.with_memory_limit(bytes)),
        }
    }

    /// Bytes; None for a part of what the system does not tell.
    fn bytes(self) -> Option<u64> {
        match self {
            MemoryLimit::Bytes(bytes) => Some(bytes),
            MemoryLimit::Percent(percent) => {
                available_memory().map(|bytes| (u128::from(bytes) * u128::from(percent) / 100) as u64)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_bytes_or_percent() {
        for (text, limit) in [
            ("1073741824", MemoryLimit::Bytes(1 << 30)),
            ("4GB", MemoryLimit::Bytes(4 << 30)),
            (" 512 mb ", MemoryLimit::Bytes(512 << 20)),
            ("131072kB", MemoryLimit::Bytes(128 << 20)),
            ("70%", MemoryLimit::Percent(70)),
        ] {
            assert_eq!(text.parse(), Ok(limit), "{text}");
        }
        for text in ["", "GB", "4 GiB", "-1", "1.5GB", "70 % of it"] {
            assert_eq!(text.parse::<MemoryLimit>(), Err(InvalidLimit::Syntax), "{text}");
        }
        for text in ["0%", "101%", "127MB", "99999999999TB"] {
            assert_eq!(text.parse::<MemoryLimit>(), Err(InvalidLimit::Range), "{text}");
        }
    }

    #[test]
    fn files_have_numbers_or_texts() {
        #[derive(Debug, Deserialize)]
        struct File {
            memory_limit: MemoryLimit,
        }
        let read = |text: &str| toml::from_str::<File>(text).map(|file| file.memory_limit);
        assert_eq!(read("memory_limit = 134217728").unwrap(), MemoryLimit::Bytes(128 << 20));
        assert_eq!(read("memory_limit = '50%'").unwrap(), MemoryLimit::Percent(50));
        assert!(read("memory_limit = true").unwrap_err().message().contains("'4GB' or '70%'"));
        assert!(read("memory_limit = '1MB'").unwrap_err().message().contains("at least 128MB"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn percent_are_of_what_there_is() {
        let all = MemoryLimit::Percent(100).bytes().unwrap();
        let half = MemoryLimit::Percent(50).bytes().unwrap();
        assert!(all > LEAST && half == all / 2);
    }
}
