//! The catalog's durable form: one key an object, its id in big-endian bytes; the value is the item as JSON.

use crate::catalog::{Catalog, Item};
use crate::data::{ObjectId, OperatorId};
use crate::error::{Error, Result};
use crate::state::{Checkpoint, KeyKind, StateStore};

/// The catalog belongs to no operator.
const OWNER: OperatorId = OperatorId(0);

/// Puts an object into a checkpoint.
pub fn save(item: &Item, out: &mut Checkpoint) -> Result<()> {
    let value = serde_json::to_vec(item).map_err(|error| Error::internal("cannot write an item").with_source(error))?;
    out.put(KeyKind::Catalog, OWNER, &item.id.0.to_be_bytes(), &value);
    Ok(())
}

/// Removes an object by a checkpoint.
pub fn delete(id: ObjectId, out: &mut Checkpoint) {
    out.delete(KeyKind::Catalog, OWNER, &id.0.to_be_bytes());
}

/// Reads the catalog of the last checkpoint.
///
/// # Errors
/// XX001 when an item does not read.
pub fn load(state: &StateStore) -> Result<Catalog> {
    let mut catalog = Catalog::default();
    for entry in state.scan(KeyKind::Catalog, OWNER)? {
        let (_, value) = entry?;
        let item = serde_json::from_slice(&value)
            .map_err(|error| Error::corrupt("the catalog cannot be read").with_source(error))?;
        catalog.insert(item)?;
    }
    Ok(catalog)
}
