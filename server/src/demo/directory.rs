//! Where the demo keeps its state.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The demo's data directory. One of its own is removed when this goes.
pub struct DataDirectory {
    path: PathBuf,
    is_ours: bool,
}

impl DataDirectory {
    /// A new directory of the demo's own, in the system's place for temporary files.
    pub fn temporary() -> Result<DataDirectory, String> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| format!("no random numbers: {error}"))?;
        let path = std::env::temp_dir().join(format!("levada-demo-{:016x}", u64::from_ne_bytes(random)));
        let outcome = DirBuilder::new().mode(0o700).create(&path);
        outcome.map_err(|error| format!("cannot create the directory \"{}\": {error}", path.display()))?;
        Ok(DataDirectory { path, is_ours: true })
    }

    /// A directory that the user names. Only with brokers that keep their topics (`keeps_topics`) state can be there
    /// already: it says how far the topics were read.
    pub fn named(path: PathBuf, keeps_topics: bool) -> Result<DataDirectory, String> {
        let shown = path.display();
        match is_empty(&path) {
            Ok(false) if !keeps_topics => Err(format!(
                "the data directory \"{shown}\" is not empty, and the built-in broker begins anew each time: \
                 name an empty directory or none, or a Kafka of yours with --brokers"
            )),
            Err(error) => Err(format!("cannot use the data directory \"{shown}\": {error}")),
            Ok(_) => Ok(DataDirectory { path, is_ours: false }),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it goes with the demo.
    pub fn is_temporary(&self) -> bool {
        self.is_ours
    }
}

impl Drop for DataDirectory {
    fn drop(&mut self) {
        if self.is_ours
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!(%error, "cannot remove the directory {}", self.path.display());
        }
    }
}

/// Whether there is nothing in a directory, or no directory yet.
fn is_empty(path: &Path) -> io::Result<bool> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_directory_goes_with_it() {
        let directory = DataDirectory::temporary().unwrap();
        let path = directory.path().to_path_buf();
        fs::write(path.join("state"), "x").unwrap();
        assert!(directory.is_temporary() && path.is_dir());
        drop(directory);
        assert!(!path.exists());
    }

    #[test]
    fn a_named_directory_stays_and_is_empty_at_first() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        assert!(DataDirectory::named(path.clone(), false).is_ok(), "not there yet");
        fs::create_dir(&path).unwrap();
        drop(DataDirectory::named(path.clone(), false).unwrap());
        fs::write(path.join("state"), "x").unwrap();
        let refused = DataDirectory::named(path.clone(), false).map(|_| ()).unwrap_err();
        assert!(refused.contains("is not empty") && refused.contains("--brokers"), "{refused}");
        assert!(DataDirectory::named(path.clone(), true).is_ok(), "a real Kafka goes on where it was");
        assert!(DataDirectory::named(path.join("state"), true).is_err(), "a file");
        assert!(path.join("state").exists());
    }
}
