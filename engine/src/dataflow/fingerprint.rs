//! What makes two nodes the same node, across views and across restarts.

use std::fmt;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

/// A stable hash of everything a node's output depends on: its operator, its expressions and, by their fingerprints, its
/// inputs. Nodes of equal fingerprint are one node, and a node finds its saved state by it after a restart.
///
/// The text it is made of is ours, never what a library prints, so an upgrade does not silently give every node a new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Fingerprint(pub u128);

impl Fingerprint {
    /// The fingerprint of an operator, written out canonically, over its inputs.
    pub fn new(operator: &str, inputs: impl IntoIterator<Item = Fingerprint>) -> Fingerprint {
        let mut bytes = operator.as_bytes().to_vec();
        for input in inputs {
            bytes.extend(input.0.to_be_bytes());
        }
        Fingerprint(xxh3_128(&bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> String {
        fingerprint.to_string()
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = std::num::ParseIntError;

    fn try_from(digits: String) -> Result<Fingerprint, Self::Error> {
        u128::from_str_radix(&digits, 16).map(Fingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Saved state is found by these numbers: they must never change.
    #[test]
    fn golden() {
        let scan = Fingerprint::new("relation 16384", []);
        assert_eq!(scan.to_string(), "a6212b634aeea6691ac9c0a64480720f");
        assert_eq!(Fingerprint::new("union", [scan, scan]).to_string(), "1a327ba0507594813f7cdbf37335d990");
        assert_ne!(Fingerprint::new("union", [scan, scan]), Fingerprint::new("union", [scan]));
    }
}
