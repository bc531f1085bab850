//! Large checkpoints as sorted SST files: no WAL, no memtable, built by several threads.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rocksdb::{Options, SstFileWriter};

use crate::error::{Error, Result, SqlState};
use crate::state::checkpoint::{Frozen, Write};
use crate::state::crash::crash_point;
use crate::state::key::{self, KeyKind};
use crate::state::rocks::failure;

/// Files are built by at most this many threads: steps and queries need the cores too.
const MAX_BUILDERS: usize = 4;

/// Cuts sorted writes into the contents of files whose key ranges are disjoint.
///
/// Chunks of rows have numbers that only grow, so a file of one operator's chunks overlaps no older file and RocksDB puts
/// it on a low level, where it is not rewritten soon; files are cut to make use of that.
pub(super) fn cut(changes: &Frozen, file_bytes: usize) -> Result<Vec<Range<usize>>> {
    let mut files = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    let mut last = None;
    for (at, write) in changes.writes(0..changes.len()).enumerate() {
        let (kind, operator) = key::owner(write.key())?;
        let group = (kind == KeyKind::Rows as u8, operator);
        let cut = last.is_some_and(|last: (bool, _)| {
            bytes >= file_bytes || last.0 != group.0 || (last != group && bytes >= file_bytes / 8)
        });
        if cut {
            files.push(start..at);
            (start, bytes) = (at, 0);
        }
        bytes += write.bytes();
        last = Some(group);
    }
    if start < changes.len() {
        files.push(start..changes.len());
    }
    Ok(files)
}

/// Builds one SST file for each element of `files` in `dir`, which is emptied first; they are on disk on return.
pub(super) fn build(options: &Options, dir: &Path, changes: &Frozen, files: &[Range<usize>]) -> Result<Vec<PathBuf>> {
    clear(dir)?;
    let paths: Vec<PathBuf> = (0..files.len()).map(|number| dir.join(format!("{number}.sst"))).collect();
    let next = AtomicUsize::new(0);
    let builder = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let (Some(path), Some(file)) = (paths.get(number), files.get(number)) else { return Ok(()) };
            build_file(options, path, changes.writes(file.clone()))
                .map_err(|error| failure("could not write a file of a checkpoint", error))?;
            crash_point("checkpoint.sst");
        }
    };
    let builders = thread::available_parallelism().map_or(1, usize::from).min(MAX_BUILDERS).min(files.len());
    thread::scope(|scope| {
        let threads: Vec<_> = (0..builders).map(|_| scope.spawn(builder)).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(Error::internal("a builder of checkpoint files panicked")))
        })
    })?;
    Ok(paths)
}

fn build_file<'a>(
    options: &Options,
    path: &Path,
    writes: impl Iterator<Item = Write<'a>>,
) -> Result<(), rocksdb::Error> {
    let mut file = SstFileWriter::create(options);
    file.open(path)?;
    for write in writes {
        match write {
            Write::Put { key, value } => file.put(key, value)?,
            Write::Delete { key } => file.delete(key)?,
            Write::DeleteRange { from, to } => file.delete_range(from, to)?,
        }
    }
    file.finish()
}

/// Makes `dir` an empty directory: what a crash left in it belongs to no checkpoint.
pub(super) fn clear(dir: &Path) -> Result<()> {
    let made_empty = match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::create_dir_all(dir),
    };
    made_empty.map_err(|error| {
        Error::new(SqlState::IO_ERROR, format!("could not empty \"{}\": {error}", dir.display())).with_source(error)
    })
}
