//! Files that are generated and committed.

use std::fs;
use std::path::Path;

/// Compares a committed file with what it should hold; with `ENTRANCE_UPDATE` it writes the file.
pub(crate) fn golden(path: &str, wanted: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("ENTRANCE_UPDATE").is_some() {
        fs::write(&file, wanted).unwrap();
        return;
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    let lines = found.lines().zip(wanted.lines()).enumerate().find(|(_, (found, wanted))| found != wanted);
    let drift = lines.map(|(at, (found, wanted))| format!("line {}:\n- {found}\n+ {wanted}", at.saturating_add(1)));
    let drift = drift.unwrap_or_else(|| "one is longer than the other".to_owned());
    assert!(found == wanted, "{path} is out of date; `make gen` rewrites it\n{drift}");
}
