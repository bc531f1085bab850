//! Tables whose rows go when they have been there for long enough.

use std::collections::BTreeMap;

use crate::catalog::Item;
use crate::data::ObjectId;
use crate::engine::clock::Micros;
use crate::engine::dataflows::Stores;

/// Arrivals are told apart to this part of the time that rows are kept, but not finer than [`FINEST`] or coarser than
/// [`COARSEST`]: with it come the steps that time makes.
const PARTS: Micros = 600;
const FINEST: Micros = 1_000;
const COARSEST: Micros = 1_000_000;

/// All tables with a retention, and when something goes from each.
#[derive(Default)]
pub struct Retention {
    tables: BTreeMap<ObjectId, Retained>,
}

struct Retained {
    /// How long a row is kept after it has arrived.
    keep: Micros,
    /// No row is older. None when there is no row.
    oldest: Option<Micros>,
    /// Whether that is not known of the rows there were at the start: they are still being read.
    unread: bool,
    /// Whether nothing can go for now.
    halted: bool,
    /// Whether what became too old before a start has yet to go.
    behind: bool,
}

impl Retained {
    /// Arrivals are rounded up to a multiple of this, so that rows stay for their time at least.
    fn grain(&self) -> Micros {
        (self.keep / PARTS).clamp(FINEST, COARSEST)
    }

    fn due(&self) -> Option<Micros> {
        self.oldest.filter(|_| !self.halted).map(|oldest| oldest.saturating_add(self.keep))
    }
}

impl Retention {
    /// Takes note of a table; of others there is nothing to note.
    pub fn add(&mut self, item: &Item) {
        if let Some(keep) = item.retention() {
            self.tables.insert(item.id, Retained { keep, oldest: None, unread: false, halted: false, behind: false });
        }
    }

    pub fn remove(&mut self, table: ObjectId) {
        self.tables.remove(&table);
    }

    /// Under which time rows are to be entered that come into a table now; None where rows are kept for good.
    pub fn arrival(&mut self, table: ObjectId, now: Micros) -> Option<Micros> {
        let table = self.tables.get_mut(&table)?;
        let grain = table.grain();
        let at = now.saturating_add(grain - 1) / grain * grain;
        table.oldest = table.oldest.or(Some(at));
        Some(at)
    }

    /// When the next row goes; None when there is none.
    pub fn due(&self) -> Option<Micros> {
        self.tables.values().filter_map(Retained::due).min()
    }

    /// The tables of which rows go now: those that arrived at the time given with each, or before.
    pub fn expired(&self, now: Micros) -> Vec<(ObjectId, Micros)> {
        let due = self.tables.iter().filter(|(_, table)| table.due().is_some_and(|due| due <= now));
        due.map(|(id, table)| (*id, now.saturating_sub(table.keep))).collect()
    }

    /// Looks which rows are the oldest now.
    pub fn refresh(&mut self, tables: impl IntoIterator<Item = ObjectId>, stores: &Stores) {
        for id in tables {
            if let Some(table) = self.tables.get_mut(&id) {
                table.unread = stores.get(&id).is_some_and(|store| !store.is_readable());
                table.oldest = stores.get(&id).and_then(|store| store.oldest_arrival());
            }
        }
    }

    /// Looks at the tables that have been read by now.
    pub fn look_again(&mut self, stores: &Stores) {
        self.refresh(self.unread(), stores);
    }

    /// Lets nothing go from a table until [`resume`](Retention::resume).
    pub fn halt(&mut self, table: ObjectId) {
        if let Some(table) = self.tables.get_mut(&table) {
            table.halted = true;
        }
    }

    /// Lets rows go again where they could not.
    pub fn resume(&mut self) {
        self.tables.values_mut().for_each(|table| table.halted = false);
    }

    /// Takes note of a start: rows may have become too old before it.
    pub fn start(&mut self, stores: &Stores) {
        self.refresh(self.tables.keys().copied().collect::<Vec<_>>(), stores);
        self.tables.values_mut().for_each(|table| table.behind = true);
    }

    /// The tables that may have rows which became too old before the start: of which it is not known, or not yet done.
    pub fn overdue(&mut self, now: Micros) -> Vec<ObjectId> {
        for table in self.tables.values_mut() {
            table.behind &= !table.halted && (table.unread || table.due().is_some_and(|due| due <= now));
        }
        self.tables.iter().filter(|(_, table)| table.behind).map(|(id, _)| *id).collect()
    }

    /// The tables whose rows are still being read.
    pub fn unread(&self) -> Vec<ObjectId> {
        self.tables.iter().filter(|(_, table)| table.unread && !table.halted).map(|(id, _)| *id).collect()
    }
}
