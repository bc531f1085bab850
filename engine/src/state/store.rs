//! The durable state: one RocksDB with one column family.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rocksdb::{DB, DBRawIterator, IngestExternalFileOptions, Options, ReadOptions, WriteBatch};

use crate::data::OperatorId;
use crate::error::Result;
use crate::state::checkpoint::{Checkpoint, Frozen, NO_OPERATOR, Write};
use crate::state::crash::crash_point;
use crate::state::key::{self, KeyKind};
use crate::state::meta::Meta;
use crate::state::rocks::{self, StoreMemory, failure};
use crate::state::{format, sst};

/// How checkpoints are written: small ones in one batch through the WAL. Larger ones would hold up RocksDB's single writer
/// for long and fill its write buffers; they are brought in as files, which cost a handful of fsyncs instead of one.
#[derive(Clone, Copy, Debug)]
pub struct CheckpointSizes {
    /// Bytes of keys and values that a batch may have.
    pub batch_bytes: usize,
    /// Writes that a batch may have.
    pub batch_writes: usize,
    /// Bytes of keys and values from which the next file begins.
    pub file_bytes: usize,
}

impl Default for CheckpointSizes {
    fn default() -> CheckpointSizes {
        CheckpointSizes { batch_bytes: 8 << 20, batch_writes: 100_000, file_bytes: 32 << 20 }
    }
}

/// Keys of an operator read ahead by a scan, in bytes.
const READAHEAD: usize = 1 << 20;

/// All durable state but the log. Shared by reference; commits queue behind each other, scans wait for nobody.
pub struct StateStore {
    db: DB,
    options: Options,
    /// Where the files of a large checkpoint are built.
    ingest: PathBuf,
    sizes: CheckpointSizes,
    committing: Mutex<()>,
}

impl StateStore {
    /// Opens the state in a data directory, at the last checkpoint; an empty or missing directory is a new database. Nothing is
    /// compacted [yet](StateStore::compact_from_now_on).
    ///
    /// # Errors
    /// 55006 while another server has it open, 0A000 for another on-disk format, XX001 when it is damaged, 58030 when it
    /// cannot be read or written.
    pub fn open(dir: &Path) -> Result<StateStore> {
        StateStore::open_within(dir, StoreMemory::default())
    }

    /// The same with so much memory.
    ///
    /// # Errors
    /// As [`open`](StateStore::open).
    pub fn open_within(dir: &Path, memory: StoreMemory) -> Result<StateStore> {
        format::prepare(dir)?;
        let options = rocks::state_options(memory);
        let db = rocks::open(&options, dir, "state")?;
        let ingest = dir.join("ingest");
        sst::clear(&ingest)?;
        Ok(StateStore { db, options, ingest, sizes: CheckpointSizes::default(), committing: Mutex::new(()) })
    }

    /// Has files compacted when there are many, which is left until then.
    ///
    /// # Errors
    /// 58030 when RocksDB cannot write down that it does so.
    pub fn compact_from_now_on(&self) -> Result<()> {
        let set = self.db.set_options(&[("disable_auto_compactions", "false")]);
        set.map_err(|error| failure("could not begin to compact the state", error))
    }

    /// The same with other sizes of checkpoints.
    pub fn with_sizes(self, sizes: CheckpointSizes) -> StateStore {
        StateStore { sizes, ..self }
    }

    /// A checkpoint without changes.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint::default()
    }

    /// Makes a checkpoint durable. After a crash at any moment either all of its changes are there or none.
    ///
    /// # Errors
    /// 58030 when it cannot be written. Then only opening the state again tells whether it is there.
    pub fn commit(&self, checkpoint: Checkpoint) -> Result<()> {
        if checkpoint.is_empty() {
            Ok(())
        } else if checkpoint.bytes() <= self.sizes.batch_bytes && checkpoint.len() <= self.sizes.batch_writes {
            self.commit_batch(checkpoint)
        } else {
            self.commit_files(checkpoint, self.sizes.file_bytes)
        }
    }

    /// The way of small checkpoints: one batch, one fsync of the WAL.
    pub(super) fn commit_batch(&self, checkpoint: Checkpoint) -> Result<()> {
        let _turn = self.committing.lock();
        crash_point("checkpoint.begin");
        let changes = checkpoint.freeze()?;
        let mut batch = WriteBatch::default();
        for write in changes.writes(0..changes.len()) {
            match write {
                Write::Put { key, value } => batch.put(key, value),
                Write::Delete { key } => batch.delete(key),
                Write::DeleteRange { from, to } => batch.delete_range(from, to),
            }
        }
        crash_point("checkpoint.batch");
        let written = self.db.write_opt(batch, &rocks::synced());
        written.map_err(|error| failure("could not write a checkpoint", error))?;
        crash_point("checkpoint.durable");
        self.reclaim(&changes)
    }

    /// The way of large checkpoints: files of about `file_bytes`, which one edit of RocksDB's manifest brings in together.
    pub(super) fn commit_files(&self, checkpoint: Checkpoint, file_bytes: usize) -> Result<()> {
        let _turn = self.committing.lock();
        crash_point("checkpoint.begin");
        let changes = checkpoint.freeze()?;
        let files = sst::cut(&changes, file_bytes)?;
        let paths = sst::build(&self.options, &self.ingest, &changes, &files)?;
        crash_point("checkpoint.ingest");
        let mut options = IngestExternalFileOptions::default();
        options.set_move_files(true);
        let ingested = self.db.ingest_external_file_opts(&options, paths);
        ingested.map_err(|error| failure("could not ingest a checkpoint", error))?;
        crash_point("checkpoint.durable");
        self.reclaim(&changes)
    }

    /// Deletes whole files of dropped operators, whose keys are deleted already; the rest goes as files are compacted.
    fn reclaim(&self, changes: &Frozen) -> Result<()> {
        for operator in changes.dropped() {
            crash_point("checkpoint.reclaim");
            for kind in KeyKind::OWNED {
                // RocksDB takes the end as inclusive: it must not be the first key of the next operator.
                let from = key::prefix(kind, operator);
                let to = [from.as_slice(), &[0xff; 16]].concat();
                let deleted = self.db.delete_file_in_range(from.as_slice(), &to);
                deleted.map_err(|error| failure("could not delete files of dropped state", error))?;
            }
        }
        Ok(())
    }

    /// What the last checkpoint said about itself; None in a new database.
    ///
    /// # Errors
    /// XX001 when it does not read, 58030 when it cannot be read.
    pub fn meta(&self) -> Result<Option<Meta>> {
        let key = key::prefix(KeyKind::Meta, NO_OPERATOR);
        let value = self.db.get_pinned(key).map_err(|error| failure("could not read the state", error))?;
        value.map(|bytes| Meta::decode(&bytes)).transpose()
    }

    /// The keys (without kind and operator) and values of an operator in the order of keys, as of now.
    ///
    /// # Errors
    /// XX001 or 58030 in place of a pair when the state is damaged or cannot be read; it is the last item then.
    pub fn scan(&self, kind: KeyKind, operator: OperatorId) -> Result<Scan<'_>> {
        self.scan_range(kind, operator, &[], None)
    }

    /// The same of the keys from `from` on, up to but not including `to`: several threads can each read a part.
    ///
    /// # Errors
    /// As [`scan`](StateStore::scan).
    pub fn scan_range(&self, kind: KeyKind, operator: OperatorId, from: &[u8], to: Option<&[u8]>) -> Result<Scan<'_>> {
        let whole = |key: &[u8]| [key::prefix(kind, operator).as_slice(), key].concat();
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(to.map_or_else(|| key::prefix_end(kind, operator), whole));
        options.set_readahead_size(READAHEAD);
        options.fill_cache(false);
        let mut rows = self.db.raw_iterator_opt(options);
        rows.seek(whole(from));
        Ok(Scan { rows: Some(rows) })
    }

    /// An operator's first key and its last; None where it has none.
    ///
    /// # Errors
    /// 58030 when they cannot be read.
    pub fn bounds(&self, kind: KeyKind, operator: OperatorId) -> Result<Option<KeyBounds>> {
        let Some(first) = self.scan(kind, operator)?.key()? else { return Ok(None) };
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(key::prefix(kind, operator));
        options.set_iterate_upper_bound(key::prefix_end(kind, operator));
        let mut rows = self.db.raw_iterator_opt(options);
        rows.seek_to_last();
        let last = Scan { rows: Some(rows) }.key()?;
        Ok(last.map(|last| (first, last)))
    }

    /// Drops the state of every operator that is not among `known`: a crash may have left it without an owner.
    pub fn delete_unknown(&self, known: &HashSet<OperatorId>) -> Result<()> {
        let mut checkpoint = self.checkpoint();
        for operator in self.operators()? {
            if !known.contains(&operator) {
                checkpoint.drop_operator(operator);
            }
        }
        self.commit(checkpoint)
    }

    /// The operators that have state, found by leaping from one to the next.
    fn operators(&self) -> Result<BTreeSet<OperatorId>> {
        let mut found = BTreeSet::new();
        for kind in KeyKind::OWNED {
            let mut options = ReadOptions::default();
            options.set_iterate_upper_bound(key::kind_end(kind));
            let mut keys = self.db.raw_iterator_opt(options);
            keys.seek(key::prefix(kind, OperatorId(0)));
            while let Some(key) = keys.key() {
                let (_, operator) = key::owner(key)?;
                found.insert(operator);
                keys.seek(key::prefix_end(kind, operator));
            }
            keys.status().map_err(|error| failure("could not read the state", error))?;
        }
        Ok(found)
    }

    #[cfg(test)]
    pub(super) fn db(&self) -> &DB {
        &self.db
    }
}

/// The pairs that [`StateStore::scan`] found.
pub struct Scan<'a> {
    /// None at the end or after an error.
    rows: Option<DBRawIterator<'a>>,
}

/// An operator's first and last key, without kind and operator.
pub type KeyBounds = (Box<[u8]>, Box<[u8]>);

impl Scan<'_> {
    /// The key it stands at.
    fn key(&self) -> Result<Option<Box<[u8]>>> {
        let Some(rows) = &self.rows else { return Ok(None) };
        rows.status().map_err(|error| failure("could not read the state", error))?;
        Ok(rows.key().map(|key| key[key::PREFIX..].into()))
    }

    /// Hands each pair to `take`, without copies.
    ///
    /// # Errors
    /// Those of `take`, and as [`StateStore::scan`].
    pub fn each(self, mut take: impl FnMut(&[u8], &[u8]) -> Result<()>) -> Result<()> {
        let Some(mut rows) = self.rows else { return Ok(()) };
        while let Some((key, value)) = rows.item() {
            take(&key[key::PREFIX..], value)?;
            rows.next();
        }
        rows.status().map_err(|error| failure("could not read the state", error))
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<(Box<[u8]>, Box<[u8]>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let rows = self.rows.as_mut()?;
        if let Some((key, value)) = rows.item() {
            let pair = (key[key::PREFIX..].into(), value.into());
            rows.next();
            return Some(Ok(pair));
        }
        let status = rows.status();
        self.rows = None;
        status.err().map(|error| Err(failure("could not read the state", error)))
    }
}
