//! The sources of this workspace, held against the rules.

use std::path::{Path, PathBuf};

use super::rules::{self, Source};

/// The workspace's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("sql-tests lies in the workspace").to_path_buf()
}

/// Every file below `folder` with this extension, as (path from the workspace's root, text).
fn files(folder: &Path, extension: &str, found: &mut Vec<(String, String)>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("readable folder")
        .map(|entry| entry.expect("readable entry").path())
        .collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                files(&path, extension, found);
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            let text = std::fs::read_to_string(&path).expect("readable file");
            let relative = path.strip_prefix(root()).expect("below the root");
            found.push((relative.to_string_lossy().replace('\\', "/"), text));
        }
    }
}

#[test]
fn sources_keep_the_rules() {
    let mut sources = Vec::new();
    files(&root(), "rs", &mut sources);
    assert!(sources.len() > 10, "too few sources found under {}", root().display());
    let mut violations: Vec<String> =
        sources.iter().flat_map(|(path, text)| Source::new(path, text).violations()).collect();
    let mut manifests = Vec::new();
    files(&root(), "toml", &mut manifests);
    violations.extend(manifests.iter().flat_map(|(path, text)| rules::manifest_violations(path, text)));
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}
