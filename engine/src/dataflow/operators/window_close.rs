//! `change = sum over windows w that the watermark has passed in this step, groups g of w of +[g, f(rows of g)]`
//!
//! ```text
//! changes ──► by the time at which their window closes ──► groups of that window
//!                │ closed already                              │ the watermark passes
//!                ▼                                             ▼
//!             dropped, kept as late                         emitted once, forgotten
//! ```
//!
//! `SELECT window_end, count(*) FROM TUMBLE(…) GROUP BY window_end EMIT ON WINDOW CLOSE`. What is emitted never changes: a
//! row that comes later for a window that is closed is dropped, and so is the going of a row that such a window has counted.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, UInt32Array};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};

use crate::data::{Epoch, ObjectId, OperatorId, ZSet};
use crate::dataflow::coding::{Reader, VERSION};
use crate::dataflow::operators::aggregate::{Aggregate, AggregateSpec};
use crate::dataflow::{EventTime, Operator, StateSize, Stateful, StepContext};
use crate::error::{Error, Result, SqlState};
use crate::state::{Checkpoint, KeyKind, StateStore};

/// The first byte of the durable key of the watermark up to which windows are closed.
const CLOSED: u8 = 0;
/// The first byte of the durable keys of the groups of open windows; the time at which the window closes follows, then
/// what [`Aggregate`] writes. So the keys of closed windows are a range.
const OPEN: u8 = 1;

/// GROUP BY of windows, each of whose groups is emitted when its window closes.
#[derive(Debug)]
pub struct WindowClose {
    spec: AggregateSpec,
    /// The column of the input by which windows are told apart, one of the keys.
    column: usize,
    time: EventTime,
    /// By the watermark that closes them.
    open: BTreeMap<i64, Window>,
    /// The watermark of the last closing: whatever it closes is closed.
    closed: Option<i64>,
    /// Of the windows that are closed but still durable, the first and the last.
    expired: Option<(i64, i64)>,
    /// Whether `closed` has moved since it was last saved.
    moved: bool,
}

#[derive(Debug)]
struct Window {
    groups: Aggregate,
    is_durable: bool,
}

impl WindowClose {
    /// Groups the input by `spec`; `column` of the input, one of its keys, follows `time`.
    ///
    /// # Errors
    /// As [`Aggregate::new`].
    pub fn new(spec: AggregateSpec, column: usize, time: EventTime) -> Result<WindowClose> {
        // What every window will do, tried once.
        Aggregate::new(spec.clone())?;
        let (open, closed, expired) = Default::default();
        Ok(WindowClose { spec, column, time, open, closed, expired, moved: false })
    }

    fn take_in(&mut self, delta: &ZSet, context: &mut StepContext) -> Result<()> {
        let times = delta.column(self.column).as_primitive_opt::<TimestampMicrosecondType>();
        let times = times.ok_or_else(|| Error::internal("windows by a column that is no time"))?;
        let mut rows: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
        for row in 0..delta.len() {
            let closes = times.is_valid(row).then(|| times.value(row).saturating_add(self.time.lag));
            match closes {
                Some(closes) if self.closed.is_none_or(|closed| closes > closed) => {
                    rows.entry(closes).or_default().push(row as u32);
                }
                // What a closed window has counted stays counted.
                _ if delta.weight(row) <= 0 => {}
                Some(_) => context.drop_late(too_late("the window is closed"), delta.slice(row, 1)),
                None => context.drop_late(too_late("a row without a time is in no window"), delta.slice(row, 1)),
            }
        }
        for (closes, rows) in rows {
            let own = if rows.len() == delta.len() { delta.clone() } else { delta.take(&UInt32Array::from(rows))? };
            self.window(closes)?.groups.add(&own, context)?;
        }
        Ok(())
    }

    fn window(&mut self, closes: i64) -> Result<&mut Window> {
        match self.open.entry(closes) {
            std::collections::btree_map::Entry::Occupied(window) => Ok(window.into_mut()),
            std::collections::btree_map::Entry::Vacant(place) => {
                let groups = Aggregate::new(self.spec.clone())?;
                Ok(place.insert(Window { groups, is_durable: false }))
            }
        }
    }

    /// Closes the windows that the watermark has passed.
    fn close(&mut self, watermark: i64, context: &mut StepContext) -> Result<ZSet> {
        let mut rows = Vec::new();
        while let Some(first) = self.open.first_entry().filter(|first| *first.key() <= watermark) {
            let (closes, window) = first.remove_entry();
            rows.extend(window.groups.last_answers(context)?);
            if window.is_durable {
                let (from, _) = self.expired.unwrap_or((closes, closes));
                self.expired = Some((from, closes));
            }
        }
        (self.closed, self.moved) = (Some(watermark), true);
        ZSet::concat(&self.spec.output, &rows)
    }
}

fn too_late(reason: &str) -> Error {
    Error::new(SqlState::DATA_EXCEPTION, reason)
}

impl Operator for WindowClose {
    fn schema(&self) -> &SchemaRef {
        &self.spec.output
    }

    fn step(&mut self, inputs: &[ZSet], context: &mut StepContext) -> Result<ZSet> {
        let [delta] = inputs else { return Err(Error::internal("an aggregate has one input")) };
        self.take_in(delta, context)?;
        let watermark = context.watermark(&self.time.sources);
        match watermark.filter(|watermark| self.closed.is_none_or(|closed| *watermark > closed)) {
            Some(watermark) => self.close(watermark, context),
            None => Ok(ZSet::empty(self.spec.output.clone())),
        }
    }

    fn again(&self) -> Option<Box<dyn Operator>> {
        None
    }

    fn awaits(&self) -> Option<&BTreeSet<ObjectId>> {
        Some(&self.time.sources)
    }

    fn state(&mut self) -> Option<&mut dyn Stateful> {
        Some(self)
    }
}

impl Stateful for WindowClose {
    /// # Errors
    /// XX000: what was emitted is forgotten. The node is its view's alone, which keeps the rows, so nobody asks.
    fn contents(&self) -> Result<Vec<ZSet>> {
        Err(Error::internal("the rows of closed windows were asked for again"))
    }

    fn save(&mut self, id: OperatorId, _durable: Epoch, checkpoint: &mut Checkpoint) -> Result<()> {
        if let Some((first, last)) = self.expired.take() {
            checkpoint.delete_range(KeyKind::Keyed, id, &prefix(first), &prefix(last.saturating_add(1)));
        }
        for (closes, window) in &mut self.open {
            window.groups.save_under(id, &prefix(*closes), checkpoint)?;
            window.is_durable = true;
        }
        if let (true, Some(closed)) = (std::mem::take(&mut self.moved), self.closed) {
            let mut value = [VERSION; 9];
            value[1..].copy_from_slice(&closed.to_le_bytes());
            checkpoint.put(KeyKind::Keyed, id, &[CLOSED], &value);
        }
        Ok(())
    }

    fn unsaved(&self) -> u64 {
        self.open.values().map(|window| window.groups.unsaved()).sum()
    }

    fn load(&mut self, id: OperatorId, store: &StateStore) -> Result<()> {
        for entry in store.scan(KeyKind::Keyed, id)? {
            let (key, value) = entry?;
            match &*key {
                [CLOSED] => {
                    let mut reader = Reader::new(&value)?;
                    self.closed = Some(reader.i64()?);
                    reader.end()?;
                }
                [OPEN, rest @ ..] => {
                    let broken = || Error::corrupt("a durable key has a wrong length");
                    let (closes, key) = rest.split_first_chunk().ok_or_else(broken)?;
                    let window = self.window(i64::from_be_bytes(*closes) ^ i64::MIN)?;
                    window.groups.load_entry(key, &value)?;
                    window.is_durable = true;
                }
                _ => return Err(Error::corrupt("a durable key of windows is of no known form")),
            }
        }
        Ok(())
    }

    fn size(&self) -> StateSize {
        self.open.values().map(|window| window.groups.size()).fold(StateSize::default(), |sum, size| StateSize {
            rows: sum.rows + size.rows,
            bytes: sum.bytes + size.bytes,
        })
    }
}

/// What the keys of a window begin with: in the order of time.
fn prefix(closes: i64) -> [u8; 9] {
    let mut key = [OPEN; 9];
    key[1..].copy_from_slice(&(closes ^ i64::MIN).to_be_bytes());
    key
}
