//! What is generated and committed is what the code would generate. `ENTRANCE_UPDATE=1` rewrites it: look at the diff.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::panic, reason = "a test that cannot go on fails")]

#[path = "goldens/crds.rs"]
mod crds;
#[path = "goldens/reasons.rs"]
mod reasons;

use std::fs;
use std::path::Path;

/// Compares a committed file with what it should hold.
fn golden(path: &str, wanted: &str) {
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

#[test]
fn reasons_are_documented() {
    golden("docs/reasons.md", &reasons::page());
}

#[test]
fn the_chart_holds_the_definitions() {
    let files = crds::files();
    for (path, wanted) in &files {
        golden(path, wanted);
    }
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/entrance-crds/templates");
    assert_eq!((files.len(), fs::read_dir(chart).unwrap().count()), (4, 4), "a file for each, and no other");
}
