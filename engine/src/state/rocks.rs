//! RocksDB: how it is set up, and what its failures mean.

use std::fs;
use std::path::Path;

use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, DataBlockIndexType, Env, ErrorKind, LogLevel, Options,
    WriteOptions,
};

use crate::error::{Error, Result, SqlState};

const MB: usize = 1 << 20;

/// Values from this size go to blob files, which compaction does not rewrite: chunks of rows do, keyed state does not.
const MIN_BLOB: u64 = 16 << 10;

/// Bytes that RocksDB may take of the memory that the process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreMemory {
    /// Blocks of the state, and of the log. State that fits in memory is never read from disk after start-up, so little is
    /// enough.
    state_cache: usize,
    log_cache: usize,
    /// A write buffer of each, of which there are two.
    state_buffer: usize,
    log_buffer: usize,
}

impl StoreMemory {
    /// A sixth of a budget, of one of a gigabyte and more no more than of that.
    pub fn of(budget: u64) -> StoreMemory {
        let share = |part: usize, least: usize, most: usize| {
            usize::try_from(budget).map_or(most, |budget| (budget / part).clamp(least, most))
        };
        StoreMemory {
            state_cache: share(16, 4 * MB, 64 * MB),
            log_cache: share(64, MB, 16 * MB),
            state_buffer: share(32, 2 * MB, 32 * MB),
            log_buffer: share(64, MB, 16 * MB),
        }
    }
}

impl Default for StoreMemory {
    fn default() -> StoreMemory {
        StoreMemory::of(u64::MAX)
    }
}

/// How the state's RocksDB is set up. Its SST files are built with the same.
pub(super) fn state_options(memory: StoreMemory) -> Options {
    let mut options = common_options();
    // Opening again replays the WAL, 100 MB in 3.5 s; small write buffers and a small WAL bound that.
    options.set_write_buffer_size(memory.state_buffer);
    options.set_max_write_buffer_number(2);
    options.set_max_total_wal_size(32 << 20);
    // A large checkpoint adds a file or two to level 0, mostly disjoint from those before.
    options.set_level_zero_file_num_compaction_trigger(8);
    // Not while the state is read back, for which they would take a core.
    options.set_disable_auto_compactions(true);
    options.set_bottommost_compression_type(DBCompressionType::Zstd);
    options.set_enable_blob_files(true);
    options.set_min_blob_size(MIN_BLOB);
    options.set_blob_file_size(128 << 20);
    // Chunks are compressed by their writer.
    options.set_blob_compression_type(DBCompressionType::None);
    options.set_enable_blob_gc(true);
    options.set_blob_gc_force_threshold(0.5);
    options.set_block_based_table_factory(&table_options(memory));
    options
}

/// How the log's RocksDB is set up: most entries are trimmed before they are ever flushed.
pub(super) fn log_options(memory: StoreMemory) -> Options {
    let mut options = common_options();
    options.set_write_buffer_size(memory.log_buffer);
    options.set_max_write_buffer_number(2);
    options.set_max_total_wal_size(32 << 20);
    options.set_level_zero_file_num_compaction_trigger(2);
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&Cache::new_hyper_clock_cache(memory.log_cache, 0));
    options.set_block_based_table_factory(&table);
    options
}

fn common_options() -> Options {
    let mut options = Options::default();
    // Compactions can wait, statements and steps cannot.
    if let Ok(mut env) = Env::new() {
        env.lower_thread_pool_cpu_priority();
        options.set_env(&env);
    }
    options.create_if_missing(true);
    options.set_paranoid_checks(true);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_max_background_jobs(2);
    // The info log: at most four files of 4 MB.
    options.set_log_level(LogLevel::Warn);
    options.set_max_log_file_size(4 * MB);
    options.set_keep_log_file_num(4);
    options
}

fn table_options(memory: StoreMemory) -> BlockBasedOptions {
    let mut table = BlockBasedOptions::default();
    table.set_block_size(16 << 10);
    table.set_bloom_filter(10.0, false);
    table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
    // Filters and indexes are charged to the cache too, so that memory stays bounded however large the state is.
    table.set_block_cache(&Cache::new_hyper_clock_cache(memory.state_cache, 0));
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table
}

/// Opens the RocksDB in `dir`/`part`, making it if there is none.
///
/// # Errors
/// 55006 while somebody has it open, XX001 when it is damaged, 58030 when it cannot be read or written.
pub(super) fn open(options: &Options, dir: &Path, part: &str) -> Result<DB> {
    let path = dir.join(part);
    check_not_decapitated(&path)?;
    DB::open(options, &path).map_err(|error| {
        if is_lock(&error) {
            return Error::new(
                SqlState::OBJECT_IN_USE,
                format!("data directory \"{}\" is in use by another server", dir.display()),
            )
            .with_hint("Stop the other server, or use another data directory.")
            .with_source(error);
        }
        failure(&format!("could not open \"{}\"", path.display()), error)
    })
}

/// Without its file CURRENT a directory looks new to RocksDB, which would begin an empty database over the data.
fn check_not_decapitated(path: &Path) -> Result<()> {
    if path.join("CURRENT").exists() || !path.exists() {
        return Ok(());
    }
    let unreadable = |error: std::io::Error| {
        Error::new(SqlState::IO_ERROR, format!("could not read \"{}\": {error}", path.display())).with_source(error)
    };
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.path();
        if name.extension().is_some_and(|extension| ["sst", "blob", "log"].iter().any(|data| extension == *data)) {
            return Err(Error::corrupt(format!("\"{}\" holds data but no file CURRENT", path.display())));
        }
    }
    Ok(())
}

fn is_lock(error: &rocksdb::Error) -> bool {
    error.kind() == ErrorKind::IOError
        && ["While lock file", "lock hold by current process"].iter().any(|text| error.as_ref().contains(text))
}

/// How the system says that a file cannot grow: ENOSPC, EDQUOT, EFBIG.
const NO_ROOM: [&str; 3] = ["No space left on device", "Disk quota exceeded", "File too large"];

/// A failure of RocksDB: `what` says what could not be done.
pub(super) fn failure(what: &str, error: rocksdb::Error) -> Error {
    let message = format!("{what}: {error}");
    match error.kind() {
        ErrorKind::Corruption => Error::corrupt(message).with_source(error),
        _ if NO_ROOM.iter().any(|text| error.as_ref().contains(text)) => Error::new(SqlState::DISK_FULL, message)
            .with_hint("Free space on the file system of the data directory; the server goes on by itself.")
            .with_source(error),
        _ => Error::new(SqlState::IO_ERROR, message).with_source(error),
    }
}

/// A write that is on disk when it returns.
pub(super) fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_budget_has_small_caches() {
        let all =
            |memory: StoreMemory| memory.state_cache + memory.log_cache + 2 * (memory.state_buffer + memory.log_buffer);
        for budget in [128_usize, 200, 500, 1000] {
            let taken = all(StoreMemory::of((budget * MB) as u64));
            assert!(taken <= budget * MB / 5 && taken >= budget * MB / 7, "{taken} of {budget} MB");
        }
        assert_eq!(StoreMemory::of(1 << 30), StoreMemory::default());
        assert_eq!(StoreMemory::default().state_cache, 64 * MB);
    }
}
