//! The catalog's durable form: one key an object, its id in big-endian bytes; the value is the item,
//! [sealed].

use crate::catalog::{Catalog, Item};
use crate::data::{ObjectId, OperatorId, sealed};
use crate::error::{Error, Result};
use crate::state::{Checkpoint, KeyKind, StateStore};

/// The catalog belongs to no operator.
const OWNER: OperatorId = OperatorId(0);

/// Puts an object into a checkpoint.
pub fn save(item: &Item, out: &mut Checkpoint) -> Result<()> {
    let mut value = Vec::new();
    sealed::encode(item, &mut value)?;
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
/// XX001 when an item does not read as it was written; which one it is, by its number.
pub fn load(state: &StateStore) -> Result<Catalog> {
    let mut catalog = Catalog::default();
    for entry in state.scan(KeyKind::Catalog, OWNER)? {
        let (key, value) = entry?;
        let id = <[u8; 4]>::try_from(&*key).map(|id| ObjectId(u32::from_be_bytes(id)));
        let id = id.map_err(|_| Error::corrupt("the key of a catalog item has a wrong length"))?;
        let item: Item =
            sealed::decode(&value, &format!("item {id} of the catalog")).map_err(|error| named(error, &value))?;
        if item.id != id {
            return Err(Error::corrupt(format!("item {id} of the catalog is another: \"{}\"", item.name)));
        }
        catalog.insert(item)?;
    }
    Ok(catalog)
}

/// Says the name that a damaged item gives itself, if it still does.
fn named(error: Error, value: &[u8]) -> Error {
    match sealed::suspect::<Item>(value) {
        Some(item) => error.with_detail(format!("It calls itself \"{}\", but it is not as it was written.", item.name)),
        None => error,
    }
}
