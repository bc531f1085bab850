//! Values as JSON behind a hash of it: what was altered on disk does not read as something else.

use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Result};

/// Bytes of the hash.
const HASH: usize = 8;

/// Appends XXH3 of the JSON of a value, little-endian, and that JSON.
///
/// # Errors
/// XX000 for what JSON cannot say.
pub fn encode(value: &impl Serialize, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    out.extend([0; HASH]);
    serde_json::to_writer(&mut *out, value)
        .map_err(|error| Error::internal("a value cannot be written").with_source(error))?;
    let hash = xxh3_64(&out[start + HASH..]);
    out[start..start + HASH].copy_from_slice(&hash.to_le_bytes());
    Ok(())
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// XX001 when the bytes are something else; `what` they should be is said.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T> {
    let broken = || Error::corrupt(format!("{what} cannot be read"));
    let (hash, json) = bytes.split_first_chunk::<HASH>().ok_or_else(broken)?;
    if u64::from_le_bytes(*hash) != xxh3_64(json) {
        return Err(broken().with_detail("These are not the bytes that were written."));
    }
    serde_json::from_slice(json).map_err(|error| broken().with_source(error))
}

/// What bytes say that are not what was written, if they say something: for messages only.
pub fn suspect<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes.get(HASH..)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_written_is_read() {
        let mut bytes = vec![1];
        encode(&vec!["a", "long enough"], &mut bytes).unwrap();
        // If this fails, data directories written before do not read any more: raise the format of the state.
        assert_eq!(bytes[1..9], xxh3_64(br#"["a","long enough"]"#).to_le_bytes());
        assert_eq!(decode::<Vec<String>>(&bytes[1..], "it").unwrap(), ["a", "long enough"]);
        for at in 1..bytes.len() {
            let mut other = bytes[1..].to_vec();
            other[at - 1] ^= 1;
            for broken in [&other[..], &bytes[1..at]] {
                let error = decode::<Vec<String>>(broken, "it").unwrap_err();
                assert_eq!((error.sqlstate().code(), error.message()), ("XX001", "it cannot be read"));
            }
        }
        let mut number = Vec::new();
        encode(&7, &mut number).unwrap();
        assert!(decode::<Vec<String>>(&number, "it").is_err());
    }
}
