//! Log files of a server under test.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// A directory for logs, with the paths of an access log and an error log.
pub(crate) fn logs() -> (TempDir, PathBuf, PathBuf) {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let [access, error] = ["access.log", "error.log"].map(|name| directory.path().join(name));
    (directory, access, error)
}

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Waits for a minute until `test` holds.
pub(crate) fn eventually(what: &str, test: impl Fn() -> bool) {
    let held = (0..6000).any(|_| {
        thread::sleep(Duration::from_millis(10));
        test()
    });
    assert!(held, "{what}");
}
