//! A server's files.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use levada_benches::Outcome;

/// The files below a directory, and their bytes.
pub fn files(directory: &Path) -> Outcome<(Vec<PathBuf>, u64)> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            let (files, size) = files(&entry.path())?;
            found.extend(files);
            bytes += size;
        } else {
            bytes += entry.metadata()?.len();
            found.push(entry.path());
        }
    }
    Ok((found, bytes))
}

/// Makes the kernel forget what it holds of these files, so that they are read from the disk.
pub fn forget(files: &[PathBuf]) -> Outcome<()> {
    for file in files {
        let mut of = std::ffi::OsString::from("if=");
        of.push(file);
        let done = Command::new("dd").arg(of).args(["iflag=nocache", "count=0"]).stderr(Stdio::null()).status()?;
        if !done.success() {
            return Err(format!("dd cannot drop the cache of {}", file.display()).into());
        }
    }
    Ok(())
}
