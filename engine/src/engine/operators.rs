//! Which saved state belongs to which node: fingerprints to operator ids, one durable value.

use std::collections::BTreeMap;

use crate::data::{OperatorId, sealed};
use crate::dataflow::Fingerprint;
use crate::error::{Error, Result};
use crate::state::{Checkpoint, KeyKind, StateStore};

/// Owner of the catalog and of this map.
pub const OWNER: OperatorId = OperatorId(0);
/// Owner of the rows that expressions failed on.
pub const ERRORS: OperatorId = OperatorId(1);
/// Owner of the rows that came too late.
pub const LATE: OperatorId = OperatorId(2);
/// The first operator of a view or table.
pub const FIRST: OperatorId = OperatorId(3);

/// Puts the map into a checkpoint.
pub fn save(operators: &BTreeMap<Fingerprint, OperatorId>, out: &mut Checkpoint) -> Result<()> {
    let pairs: Vec<(String, OperatorId)> = operators.iter().map(|(print, id)| (print.to_string(), *id)).collect();
    let mut value = Vec::new();
    sealed::encode(&pairs, &mut value)?;
    out.put(KeyKind::Operators, OWNER, &[], &value);
    Ok(())
}

/// Reads the map of the last checkpoint.
pub fn load(store: &StateStore) -> Result<BTreeMap<Fingerprint, OperatorId>> {
    let Some(entry) = store.scan(KeyKind::Operators, OWNER)?.next() else { return Ok(BTreeMap::new()) };
    let (_, value) = entry?;
    let what = "the list of operators";
    let pairs: Vec<(String, OperatorId)> = sealed::decode(&value, what)?;
    let broken = |_| Error::corrupt(format!("{what} cannot be read"));
    let parse = |print: &str| u128::from_str_radix(print, 16).map(Fingerprint).map_err(broken);
    pairs.into_iter().map(|(print, id)| Ok((parse(&print)?, id))).collect()
}
