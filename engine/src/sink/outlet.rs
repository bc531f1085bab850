//! A sink while it is running: what it was given, counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::data::{Epoch, ZSet};
use crate::error::{Error, Result};
use crate::sink::{Blackhole, Sink};

/// Rows that a sink was given, each as often as its weight says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    pub inserted: u64,
    pub deleted: u64,
}

/// How much a sink has taken in since it was created. A checkpoint has the counts of its epoch, so what is taken in again
/// after a start is counted once.
#[derive(Debug, Default)]
pub struct Outlet {
    inserted: AtomicU64,
    deleted: AtomicU64,
    state_bytes: AtomicU64,
}

impl Outlet {
    /// A sink that has taken in so many rows.
    pub fn after(taken: Taken) -> Outlet {
        let Taken { inserted, deleted } = taken;
        Outlet { inserted: inserted.into(), deleted: deleted.into(), state_bytes: AtomicU64::default() }
    }

    /// What it has taken in.
    pub fn taken(&self) -> Taken {
        Taken { inserted: self.inserted(), deleted: self.deleted() }
    }

    /// Begins anew: what there is comes once more.
    pub fn forget(&self) {
        self.inserted.store(0, Ordering::Relaxed);
        self.deleted.store(0, Ordering::Relaxed);
    }

    /// Rows that came, each as often as its weight says.
    pub fn inserted(&self) -> u64 {
        self.inserted.load(Ordering::Relaxed)
    }

    /// Rows that went.
    pub fn deleted(&self) -> u64 {
        self.deleted.load(Ordering::Relaxed)
    }

    /// Bytes of memory that the nodes of its query keep, as of the last time that somebody measured.
    pub fn state_bytes(&self) -> u64 {
        self.state_bytes.load(Ordering::Relaxed)
    }

    /// Takes note of a measurement.
    pub fn set_state_bytes(&self, bytes: u64) {
        self.state_bytes.store(bytes, Ordering::Relaxed);
    }

    fn count(&self, change: &ZSet) {
        let (inserted, deleted) = match change.weights() {
            None => (change.len() as u64, 0),
            Some(weights) => weights.iter().fold((0, 0), |(came, went), weight| match weight {
                1.. => (came + weight.unsigned_abs(), went),
                _ => (came, went + weight.unsigned_abs()),
            }),
        };
        self.inserted.fetch_add(inserted, Ordering::Relaxed);
        self.deleted.fetch_add(deleted, Ordering::Relaxed);
    }
}

/// Opens a sink by the name of its connector: what takes its changes, and counts them on the outlet.
///
/// # Errors
/// XX001 for a connector that is not known: CREATE SINK has refused such.
pub fn open(connector: &str, outlet: Arc<Outlet>) -> Result<impl FnMut(Epoch, &ZSet) -> Result<()> + Send + use<>> {
    let mut sink: Box<dyn Sink> = match connector {
        "blackhole" => Box::new(Blackhole),
        other => return Err(Error::corrupt(format!("a sink has the connector \"{other}\", which is not known"))),
    };
    Ok(move |epoch, change: &ZSet| {
        sink.take(epoch, change)?;
        outlet.count(change);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, RecordBatch};

    use super::*;

    #[test]
    fn rows_are_counted_by_their_weights() {
        let column = || Arc::new(Int64Array::from(vec![7, 8, 9])) as _;
        let batch = RecordBatch::try_from_iter([("a", column())]).unwrap();
        let outlet = Arc::new(Outlet::default());
        let mut take = open("blackhole", outlet.clone()).unwrap();
        take(Epoch(1), &ZSet::inserts(batch.clone())).unwrap();
        take(Epoch(2), &ZSet::new(batch, Int64Array::from(vec![2, -1, -3]))).unwrap();
        assert_eq!(outlet.taken(), Taken { inserted: 5, deleted: 4 });
        assert_eq!(Outlet::after(outlet.taken()).taken(), outlet.taken());
        outlet.forget();
        assert_eq!(outlet.taken(), Taken::default());
        assert!(open("nosuch", outlet).is_err());
    }
}
