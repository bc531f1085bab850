//! The rules, and one source file held against them.

use super::code;

/// Which folders of `engine/src` each of them may name besides itself, [`FREE`] ones aside. Reads downward as data goes.
const IMPORTS: &[(&str, &[&str])] = &[
    ("data", &[]),
    ("error", &[]),
    // Of `source`, only the table log reads the state folder: see `imports_of`.
    ("source", &[]),
    ("decode", &["source"]),
    ("state", &[]),
    ("view", &["state"]),
    ("dataflow", &["decode", "state", "view"]),
    ("catalog", &["state"]),
    ("sql", &["catalog", "dataflow"]),
    ("query", &["view", "catalog"]),
    ("sink", &["view"]),
];

/// Whatever everything may name.
const FREE: &[&str] = &["data", "error"];

/// The façade of the engine's folders, which may name all of them.
const FACADE: &[&str] = &["engine", "session", "lib"];

/// Crates that only some folders may name: (crates, path prefixes).
const CRATES: &[(&[&str], &[&str])] = &[
    (&["rocksdb"], &["engine/src/state/", "benches/"]),
    (
        &["rdkafka"],
        &[
            "engine/src/source/",
            "engine/src/sink/",
            "server/src/demo/",
            "server/tests/",
            "sql-tests/tests/sql/kafka/",
            "benches/",
        ],
    ),
    (
        &["pgwire", "hyper", "hyper_util", "axum", "http", "tower", "rustls", "tokio_rustls", "openssl", "native_tls"],
        &["server/"],
    ),
];

/// Folders of the synchronous data plane.
const SYNCHRONOUS: &[&str] = &["data", "decode", "dataflow", "state"];

/// Folders whose results are a function of their input alone, tests aside.
const DETERMINISTIC: &[&str] = &["data", "decode", "dataflow", "view"];

/// Clocks and dice.
const UNREPEATABLE: &[&str] =
    &["SystemTime", "Instant", "Utc", "Local", "rand", "thread_rng", "getrandom", "RandomState"];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["common", "util", "utils", "helpers", "types", "core", "manager", "misc"];

/// A module whose name is the field's word after all.
const ALLOWED_NAMES: &[&str] = &["engine/src/data/types.rs"];

/// Macros that leave work undone.
const UNDONE: &[&str] = &["todo", "unimplemented"];

pub const LINES_AT_MOST: usize = 800;

/// A source file: its path from the workspace's root, its text, and its code without comments and literals.
pub struct Source {
    path: String,
    text: String,
    code: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned(), code: code::without_comments_and_literals(text) }
    }

    /// Every rule broken, as `path:line: what is wrong`.
    pub fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.check_size_and_name(&mut found);
        self.check_imports(&mut found);
        self.check_facade(&mut found);
        self.check_crates(&mut found);
        self.check_synchronous(&mut found);
        self.check_deterministic(&mut found);
        self.check_words(&mut found);
        found
    }

    fn at(&self, offset: usize, what: impl std::fmt::Display) -> String {
        format!("{}:{}: {what}", self.path, code::line(&self.code, offset))
    }

    /// The folder (or single file) right below `engine/src`.
    fn engine_folder(&self) -> Option<&str> {
        let first = self.path.strip_prefix("engine/src/")?.split('/').next()?;
        Some(first.strip_suffix(".rs").unwrap_or(first))
    }

    fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }

    fn check_size_and_name(&self, found: &mut Vec<String>) {
        let lines = self.text.lines().count();
        if lines > LINES_AT_MOST {
            found.push(format!("{}: {lines} lines; at most {LINES_AT_MOST}", self.path));
        }
        let names = self.path.strip_suffix(".rs").unwrap_or(&self.path).split('/');
        for name in names.filter(|name| EMPTY_NAMES.contains(name)) {
            if !ALLOWED_NAMES.contains(&self.path.as_str()) {
                found.push(format!("{}: no module is called '{name}'", self.path));
            }
        }
    }

    /// What the folder of this file may name, or `None` when it may name everything.
    fn imports(&self) -> Option<Vec<&str>> {
        let folder = self.engine_folder()?;
        // A folder's tests may hold it against what is built on it.
        if FACADE.contains(&folder) || self.is_test() {
            return None;
        }
        let allowed = IMPORTS.iter().find(|(name, _)| *name == folder).map_or(&[][..], |(_, allowed)| allowed);
        let mut allowed: Vec<&str> = allowed.iter().chain(FREE).copied().chain([folder]).collect();
        if folder == "source" && self.path.ends_with("log.rs") {
            allowed.push("state");
        }
        Some(allowed)
    }

    fn check_imports(&self, found: &mut Vec<String>) {
        let Some(allowed) = self.imports() else { return };
        let folder = self.engine_folder().unwrap_or_default();
        if !IMPORTS.iter().any(|(name, _)| *name == folder) {
            found.push(format!("{}: '{folder}' is no folder of the engine: add it to the rules", self.path));
        }
        for (offset, name) in code::named_below(&self.code, "crate") {
            if !allowed.contains(&name) {
                found.push(self.at(offset, format!("'{folder}' may not import '{name}'")));
            }
        }
        let file = self.path.rsplit('/').next().unwrap_or_default();
        let depth = self.path.matches('/').count() - 1 - usize::from(file == "mod.rs");
        for (offset, count) in code::super_chains(&self.code) {
            if count >= depth + code::inline_modules_around(&self.code, offset) {
                found.push(self.at(offset, "another folder is named by 'crate::', not by 'super::'"));
            }
        }
    }

    /// Outside the engine only its façade is known.
    fn check_facade(&self, found: &mut Vec<String>) {
        if !self.path.starts_with("server/src/") {
            return;
        }
        for (offset, name) in code::named_below(&self.code, "levada_engine") {
            if IMPORTS.iter().any(|(folder, _)| *folder == name) && !FREE.contains(&name) {
                found.push(self.at(offset, format!("the server sees the engine's façade only, not '{name}'")));
            }
        }
    }

    fn check_crates(&self, found: &mut Vec<String>) {
        for (offset, name) in code::identifiers(&self.code) {
            let after = &self.code[offset + name.len()..];
            let before = self.code[..offset].trim_end();
            let is_path = before.ends_with("use") || (after.starts_with("::") && !before.ends_with("::"));
            let Some((_, places)) = CRATES.iter().find(|(crates, _)| crates.contains(&name)) else { continue };
            if is_path && !places.iter().any(|place| self.path.starts_with(place)) {
                found.push(self.at(offset, format!("the crate '{name}' is named only in {}", places.join(", "))));
            }
        }
    }

    fn check_synchronous(&self, found: &mut Vec<String>) {
        let Some(folder) = self.engine_folder().filter(|folder| SYNCHRONOUS.contains(folder)) else { return };
        for (offset, _) in code::identifiers(&self.code).filter(|(_, name)| *name == "async") {
            found.push(self.at(offset, format!("'{folder}' is synchronous: no async")));
        }
    }

    fn check_deterministic(&self, found: &mut Vec<String>) {
        let folder = self.engine_folder().filter(|folder| DETERMINISTIC.contains(folder));
        let Some(folder) = folder.filter(|_| !self.is_test()) else { return };
        for (offset, name) in code::identifiers(&self.code).filter(|(_, name)| UNREPEATABLE.contains(name)) {
            found.push(self.at(offset, format!("'{folder}' gives the same for the same input: no '{name}'")));
        }
    }

    /// Whether an ignored test is the child process of another test of this file: `#[ignore = "run by that_test"]`.
    fn is_run_by_another(&self, offset: usize) -> bool {
        let line = self.text.lines().nth(code::line(&self.code, offset) - 1).unwrap_or_default();
        let reason = line.trim().strip_prefix("#[ignore = \"run by ").and_then(|line| line.strip_suffix("\"]"));
        reason.is_some_and(|test| self.code.contains(&format!("fn {test}()")))
    }

    fn check_words(&self, found: &mut Vec<String>) {
        for (offset, name) in code::identifiers(&self.code) {
            let after = &self.code[offset + name.len()..];
            let before = self.code[..offset].trim_end();
            if UNDONE.contains(&name) && after.starts_with('!') {
                found.push(self.at(offset, format!("'{name}!': what is there works")));
            }
            if name == "ignore" && before.ends_with("#[") && !self.is_run_by_another(offset) {
                found.push(self.at(offset, "a test that never runs is none: no '#[ignore]'"));
            }
            if name == "feature" && (before.ends_with("cfg(") || before.ends_with("not(")) {
                found.push(self.at(offset, "no cargo features"));
            }
        }
    }
}

/// Every rule that a `Cargo.toml` breaks.
pub fn manifest_violations(path: &str, text: &str) -> Vec<String> {
    let is_manifest = path == "Cargo.toml" || path.ends_with("/Cargo.toml");
    let has_features = text.lines().any(|line| line.trim() == "[features]");
    (is_manifest && has_features).then(|| format!("{path}: no cargo features")).into_iter().collect()
}
