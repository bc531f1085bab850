//! The ordered log of statements that change something: a second, small RocksDB, so that an acknowledgement never queues
//! behind a checkpoint.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use rocksdb::{DB, DBRawIterator, WriteBatch};

use crate::error::{Error, Result, SqlState};
use crate::state::crash::crash_point;
use crate::state::format;
use crate::state::key;
use crate::state::meta::LogPosition;
use crate::state::rocks::{self, StoreMemory, failure};

/// Also keeps an entry below RocksDB's own limit of 4 GiB.
const MAX_ENTRY: usize = 1 << 30;

/// Entries under consecutive positions from 1. Shared by reference; appends and trims queue behind each other.
pub struct Log {
    db: DB,
    /// Position of the last entry there ever was.
    last: AtomicU64,
    /// Entries up to this position are gone.
    trimmed: AtomicU64,
    writer: Mutex<Writer>,
}

/// Held while the log is written.
struct Writer {
    /// A write failed, so what is on disk is known only when the log is opened again.
    failed: bool,
}

impl Log {
    /// Opens the log in a data directory; an empty or missing directory is a new database.
    ///
    /// # Errors
    /// As [`StateStore::open`](super::StateStore::open).
    pub fn open(dir: &Path) -> Result<Log> {
        Log::open_within(dir, StoreMemory::default())
    }

    /// The same with so much memory.
    ///
    /// # Errors
    /// As [`open`](Log::open).
    pub fn open_within(dir: &Path, memory: StoreMemory) -> Result<Log> {
        format::prepare(dir)?;
        let db = rocks::open(&rocks::log_options(memory), dir, "log")?;
        let trimmed = match db.get_pinned([key::LOG_TRIMMED]).map_err(unreadable)? {
            Some(position) => key::position_of(&position)?,
            None => LogPosition(0),
        };
        let last = last_entry(&db)?.map_or(trimmed, |entry| entry.max(trimmed));
        Ok(Log {
            db,
            last: AtomicU64::new(last.0),
            trimmed: AtomicU64::new(trimmed.0),
            writer: Mutex::new(Writer { failed: false }),
        })
    }

    /// Position of the last entry that was appended, trimmed or not; 0 when there was none.
    pub fn last(&self) -> LogPosition {
        LogPosition(self.last.load(Ordering::Acquire))
    }

    /// Appends entries in this order, all or none, and returns the position of the last; they are on disk then.
    ///
    /// One fsync serves all of them: statements that come in meanwhile should go into the next call together.
    ///
    /// # Errors
    /// 54000 for an entry beyond 1 GiB; nothing is written. 58030 when the disk fails; then opening the log again tells
    /// what is there, and this one takes no more entries.
    pub fn append(&self, entries: &[Bytes]) -> Result<LogPosition> {
        if entries.iter().any(|entry| entry.len() > MAX_ENTRY) {
            return Err(Error::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                "a transaction of more than 1 GiB cannot be logged",
            ));
        }
        let mut writer = self.writer.lock();
        let mut last = self.last();
        if entries.is_empty() {
            return Ok(last);
        }
        let mut batch = WriteBatch::default();
        for entry in entries {
            last.0 += 1;
            batch.put(key::log_entry(last), entry);
        }
        crash_point("log.append");
        self.write(&mut writer, batch)?;
        crash_point("log.appended");
        self.last.store(last.0, Ordering::Release);
        Ok(last)
    }

    /// Forgets the entries up to a position: their changes are in a durable checkpoint.
    ///
    /// # Errors
    /// XX000 beyond the last entry, 58030 when the disk fails.
    pub fn trim(&self, through: LogPosition) -> Result<()> {
        let mut writer = self.writer.lock();
        if through > self.last() {
            return Err(Error::internal(format!("the log ends at {}, before {through}", self.last())));
        }
        let trimmed = self.trimmed.load(Ordering::Acquire);
        if through.0 <= trimmed {
            return Ok(());
        }
        let mut batch = WriteBatch::default();
        batch.put([key::LOG_TRIMMED], through.0.to_be_bytes());
        batch.delete_range(key::log_entry(LogPosition(trimmed + 1)), key::log_entry(LogPosition(through.0 + 1)));
        crash_point("log.trim");
        self.write(&mut writer, batch)?;
        crash_point("log.trimmed");
        self.trimmed.store(through.0, Ordering::Release);
        Ok(())
    }

    fn write(&self, writer: &mut Writer, batch: WriteBatch) -> Result<()> {
        if writer.failed {
            return Err(Error::new(SqlState::IO_ERROR, "the log takes no more entries since a write to it failed")
                .with_hint("Restart the server."));
        }
        self.db.write_opt(batch, &rocks::synced()).map_err(|error| {
            writer.failed = true;
            failure("could not write the log", error)
        })
    }

    /// The entries after a position, in their order, up to the last one of now.
    ///
    /// # Errors
    /// XX001 when entries after `position` are gone or there never was one of that number: log and state are not of one
    /// past. XX001 or 58030 in place of an entry when it is missing or cannot be read; it is the last item then.
    pub fn read_after(&self, position: LogPosition) -> Result<LogEntries<'_>> {
        let (last, trimmed) = (self.last(), self.trimmed.load(Ordering::Acquire));
        if position.0 < trimmed || position > last {
            return Err(Error::corrupt(format!("the log cannot be read after position {position}"))
                .with_detail(format!("It holds the positions after {trimmed} up to {last}.")));
        }
        let mut entries = self.db.raw_iterator();
        entries.seek(key::log_entry(LogPosition(position.0 + 1)));
        Ok(LogEntries { entries, before: position, last })
    }
}

/// The greatest position that has an entry.
fn last_entry(db: &DB) -> Result<Option<LogPosition>> {
    let mut entries = db.raw_iterator();
    entries.seek_for_prev(key::log_entry(LogPosition(u64::MAX)));
    let last = entries.key().map(key::log_position).transpose()?;
    entries.status().map_err(unreadable)?;
    Ok(last)
}

fn unreadable(error: rocksdb::Error) -> Error {
    failure("could not read the log", error)
}

/// The entries that [`Log::read_after`] found.
pub struct LogEntries<'a> {
    entries: DBRawIterator<'a>,
    /// Position before the next entry.
    before: LogPosition,
    last: LogPosition,
}

impl LogEntries<'_> {
    fn read(&mut self, expected: LogPosition) -> Result<Bytes> {
        let Some((key, value)) = self.entries.item() else {
            self.entries.status().map_err(unreadable)?;
            return Err(Error::corrupt(format!("the log ends before position {expected}")));
        };
        if key::log_position(key)? != expected {
            return Err(Error::corrupt(format!("position {expected} of the log is missing")));
        }
        let entry = Bytes::copy_from_slice(value);
        self.entries.next();
        Ok(entry)
    }
}

impl Iterator for LogEntries<'_> {
    type Item = Result<(LogPosition, Bytes)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.before >= self.last {
            return None;
        }
        let position = LogPosition(self.before.0 + 1);
        let entry = self.read(position);
        self.before = if entry.is_ok() { position } else { self.last };
        Some(entry.map(|entry| (position, entry)))
    }
}
