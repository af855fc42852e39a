//! What is generated and committed is what the code would generate. `ENTRANCE_UPDATE=1` rewrites it: look at the diff.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::panic, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]

#[path = "goldens/chart.rs"]
mod chart;
#[path = "goldens/crds.rs"]
mod crds;
#[path = "support/golden.rs"]
mod golden;
#[path = "goldens/reasons.rs"]
mod reasons;

use std::fs;
use std::path::Path;

use golden::golden;

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

#[test]
fn the_values_of_the_chart_are_documented() {
    golden("charts/entrance/README.md", &chart::readme());
}
