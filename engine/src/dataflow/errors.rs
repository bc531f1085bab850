//! Rows that expressions failed on: kept apart from the views, and gone again once the input is mended.

use std::collections::{BTreeMap, BTreeSet};

use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde::{Deserialize, Serialize};

use crate::data::hash::mix_bytes;
use crate::data::{ObjectId, OperatorId, ZSet};
use crate::dataflow::{Fingerprint, Graph, Rejected};
use crate::error::{Error, Result};
use crate::state::{Checkpoint, KeyKind, StateStore};

/// One row without an answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ErrorRow {
    /// The SQLSTATE's five characters.
    pub sqlstate: String,
    pub message: String,
    /// The row that the expression was given, as text: `(1, NULL, a)`.
    pub row: String,
}

/// The rows that each node of the graph left out, as often as the input has them.
pub(super) struct ErrorSet {
    owner: OperatorId,
    rows: BTreeMap<(Fingerprint, ErrorRow), i64>,
    /// Entries that changed since they were last saved.
    dirty: BTreeSet<(Fingerprint, ErrorRow)>,
}

impl ErrorSet {
    pub fn new(owner: OperatorId) -> ErrorSet {
        ErrorSet { owner, rows: BTreeMap::new(), dirty: BTreeSet::new() }
    }

    /// Adds what a node rejected in a step.
    pub fn record(&mut self, node: Fingerprint, rejected: Vec<Rejected>) -> Result<()> {
        for Rejected { error, row } in rejected {
            let weight: i64 = (0..row.len()).map(|at| row.weight(at)).sum();
            let (sqlstate, message) = (error.sqlstate().code().to_owned(), error.message().to_owned());
            let key = (node, ErrorRow { sqlstate, message, row: text(&row)? });
            let sum = self.rows.entry(key.clone()).or_default();
            *sum += weight;
            if *sum == 0 {
                self.rows.remove(&key);
            }
            self.dirty.insert(key);
        }
        Ok(())
    }

    /// Drops what a node left out, with the node.
    pub fn forget(&mut self, node: Fingerprint) {
        let gone: Vec<_> = self.of(node).map(|(row, _)| (node, row.clone())).collect();
        for key in gone {
            self.rows.remove(&key);
            self.dirty.insert(key);
        }
    }

    fn of(&self, node: Fingerprint) -> impl Iterator<Item = (&ErrorRow, i64)> {
        let first = ErrorRow { sqlstate: String::new(), message: String::new(), row: String::new() };
        let rows = self.rows.range((node, first)..).take_while(move |((owner, _), _)| *owner == node);
        rows.map(|((_, row), weight)| (row, *weight))
    }

    pub fn save(&mut self, checkpoint: &mut Checkpoint) -> Result<()> {
        for key in std::mem::take(&mut self.dirty) {
            let bytes = durable_key(&key)?;
            match self.rows.get(&key) {
                Some(weight) => checkpoint.put(KeyKind::Keyed, self.owner, &bytes, &encode(&(&key, weight))?),
                None => checkpoint.delete(KeyKind::Keyed, self.owner, &bytes),
            }
        }
        Ok(())
    }

    pub fn load(&mut self, store: &StateStore) -> Result<()> {
        for entry in store.scan(KeyKind::Keyed, self.owner)? {
            let (_, value) = entry?;
            let unreadable = |error| Error::corrupt("a saved error row does not read").with_source(error);
            let (key, weight) = serde_json::from_slice(&value).map_err(unreadable)?;
            self.rows.insert(key, weight);
        }
        Ok(())
    }
}

impl Graph {
    /// The rows that a view lacks because an expression failed on them, and how often each came; of the view's own plan,
    /// not of the views it reads.
    pub fn error_rows(&self, view: ObjectId) -> Result<Vec<(ErrorRow, i64)>> {
        let mut rows = Vec::new();
        for node in self.upstream(view)? {
            rows.extend(self.errors.of(self.fingerprint(node)?).map(|(row, weight)| (row.clone(), weight)));
        }
        Ok(rows)
    }
}

/// Bucket, then a hash of what the entry is.
fn durable_key(key: &(Fingerprint, ErrorRow)) -> Result<[u8; 10]> {
    let hash = mix_bytes(&encode(key)?);
    let bucket = ((hash >> 40) & 1023) as u16;
    let mut bytes = [0; 10];
    bytes[..2].copy_from_slice(&bucket.to_be_bytes());
    bytes[2..].copy_from_slice(&hash.to_be_bytes());
    Ok(bytes)
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::internal("an error row does not serialise").with_source(error))
}

/// A row as text.
fn text(row: &ZSet) -> Result<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut values = Vec::with_capacity(row.batch().num_columns());
    if row.len() == 1 {
        for column in row.batch().columns() {
            values.push(ArrayFormatter::try_new(column.as_ref(), &options)?.value(0).try_to_string()?);
        }
    }
    Ok(format!("({})", values.join(", ")))
}
