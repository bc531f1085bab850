//! From names to objects.
//!
//! A [`Catalog`] is a value: readers keep the one of their epoch, and a change makes another. It is durable by the
//! checkpoint (all items) and the log's tail (the changes since), see [`store`].

mod item;
mod relation;
mod source_errors;
pub mod store;
pub mod system;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

pub use item::{Item, ItemKind, Partial};
pub use relation::RelationSource;
pub use source_errors::{SOURCE_ERRORS, source_errors};

use crate::data::ObjectId;
use crate::error::{Error, Result, SqlState};

/// The schema in which all user objects live.
pub const DEFAULT_SCHEMA: &str = "public";
/// The one database.
pub const DATABASE: &str = "levada";

/// All objects, by id and by name.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    items: BTreeMap<ObjectId, Arc<Item>>,
    names: HashMap<String, ObjectId>,
}

impl Catalog {
    /// The object of this name in `public`.
    pub fn by_name(&self, name: &str) -> Option<&Arc<Item>> {
        self.names.get(name).and_then(|id| self.items.get(id))
    }

    pub fn by_id(&self, id: ObjectId) -> Option<&Arc<Item>> {
        self.items.get(&id)
    }

    /// All objects in the order of their creation.
    pub fn items(&self) -> impl Iterator<Item = &Arc<Item>> {
        self.items.values()
    }

    /// Adds an object.
    ///
    /// # Errors
    /// 42P07 when the name is taken.
    pub fn insert(&mut self, item: Item) -> Result<()> {
        if self.names.contains_key(&item.name) {
            let message = format!("relation \"{}\" already exists", item.name);
            return Err(Error::new(SqlState::DUPLICATE_TABLE, message));
        }
        self.names.insert(item.name.clone(), item.id);
        self.items.insert(item.id, Arc::new(item));
        Ok(())
    }

    /// Removes an object; its dependents must be gone already.
    pub fn remove(&mut self, id: ObjectId) -> Option<Arc<Item>> {
        let item = self.items.remove(&id)?;
        self.names.remove(&item.name);
        Some(item)
    }

    /// The objects whose queries name this one directly.
    pub fn dependents(&self, id: ObjectId) -> impl Iterator<Item = &Arc<Item>> {
        self.items.values().filter(move |item| item.depends_on.contains(&id))
    }

    /// The objects that this one's query stands on, those behind others included; without itself, in order of ids.
    pub fn foundations(&self, id: ObjectId) -> BTreeSet<ObjectId> {
        let mut found = BTreeSet::new();
        let mut waiting = vec![id];
        while let Some(id) = waiting.pop() {
            let depends_on = self.items.get(&id).map_or(&[][..], |item| &item.depends_on);
            waiting.extend(depends_on.iter().copied().filter(|id| found.insert(*id)));
        }
        found
    }

    /// Whether something that is kept current reads this object: a plain view by itself reads nothing, nor does what is
    /// suspended.
    pub fn is_read(&self, id: ObjectId) -> bool {
        self.dependents(id).any(|item| !matches!(item.kind, ItemKind::View { .. }) && item.suspended.is_none())
    }

    /// The error of whoever would read a suspended object by way of these; None where there is none.
    pub fn refusal(&self, read: &[ObjectId]) -> Option<Error> {
        let behind = read.iter().flat_map(|id| [*id].into_iter().chain(self.foundations(*id)));
        behind.filter_map(|id| self.by_id(id)).find_map(|item| item.refusal())
    }

    /// This object and all that stand on it, each after what it stands on.
    pub fn with_dependents(&self, id: ObjectId) -> Vec<Arc<Item>> {
        let mut reached = vec![id];
        let mut next = 0;
        while next < reached.len() {
            let more: Vec<ObjectId> = self.dependents(reached[next]).map(|item| item.id).collect();
            reached.extend(more);
            next += 1;
        }
        // A query can only name what was there before it, so the order of ids is an order of dependence.
        reached.sort_unstable();
        reached.dedup();
        reached.iter().filter_map(|id| self.items.get(id)).cloned().collect()
    }
}
