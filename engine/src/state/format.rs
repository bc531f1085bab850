//! The number of the on-disk format, in a file of its own: it is read before anything else is opened.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::error::{Error, Result, SqlState};

/// Covers key coding, the layout of the directory, and every value written into it.
pub(super) const FORMAT: u32 = 10;

const FILE: &str = "FORMAT";

/// Makes the data directory if there is none, and refuses one of another format.
///
/// # Errors
/// 0A000 for another format, XX001 for a file that names none, 58030 when the directory cannot be read or written.
pub(super) fn prepare(dir: &Path) -> Result<()> {
    match fs::read_to_string(dir.join(FILE)) {
        Ok(text) => check(dir, &text),
        Err(error) if error.kind() == ErrorKind::NotFound => create(dir),
        Err(error) if error.kind() == ErrorKind::InvalidData => check(dir, ""),
        Err(error) => Err(failure(dir, error)),
    }
}

fn check(dir: &Path, text: &str) -> Result<()> {
    match text.trim().parse::<u32>() {
        Ok(FORMAT) => Ok(()),
        Ok(other) => Err(Error::unsupported(format!("format {other} of data directory \"{}\"", dir.display()))
            .with_detail(format!("This server reads and writes format {FORMAT}."))
            .with_hint("Start the version of the server that wrote the directory, or use another directory.")),
        Err(_) => Err(Error::corrupt(format!("file \"{}\" does not name a format", dir.join(FILE).display()))),
    }
}

/// Only a directory without data gets a number: one that has lost it may be of any format.
fn create(dir: &Path) -> Result<()> {
    if ["state", "log"].iter().any(|part| dir.join(part).exists()) {
        return Err(Error::corrupt(format!("data directory \"{}\" has no file \"{FILE}\"", dir.display())));
    }
    let write = || {
        fs::create_dir_all(dir)?;
        let fresh = dir.join("FORMAT.new");
        let mut file = File::create(&fresh)?;
        writeln!(file, "{FORMAT}")?;
        file.sync_all()?;
        fs::rename(&fresh, dir.join(FILE))?;
        File::open(dir)?.sync_all()
    };
    write().map_err(|error| failure(dir, error))
}

fn failure(dir: &Path, error: std::io::Error) -> Error {
    Error::new(SqlState::IO_ERROR, format!("could not open data directory \"{}\": {error}", dir.display()))
        .with_source(error)
}
