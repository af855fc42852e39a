//! The chart `charts/entrance`, by the real Helm and a real API server: what it renders, what it refuses, how it is
//! installed, upgraded and removed, and that the command lines of its pods do what they are for.
#![cfg(feature = "emulator")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

#[path = "support/api_server.rs"]
#[expect(dead_code, reason = "not every test needs all of it")]
mod api_server;
#[path = "support/free_port.rs"]
mod free_port;
#[path = "support/golden.rs"]
mod golden;
#[path = "support/helm.rs"]
mod helm;
#[path = "chart/lifecycle.rs"]
mod lifecycle;
#[path = "support/objects.rs"]
mod objects;
#[path = "support/pod.rs"]
#[expect(dead_code, reason = "the whole story is told elsewhere")]
mod pod;
#[path = "chart/processes.rs"]
mod processes;
#[path = "support/release.rs"]
#[expect(dead_code, reason = "the whole story is told elsewhere")]
mod release;
#[path = "chart/rendering.rs"]
mod rendering;
#[path = "chart/selection.rs"]
mod selection;
#[path = "support/server.rs"]
#[expect(dead_code, reason = "signals and health are tested elsewhere")]
mod server;

use helm::root;

/// The value sets: name and file.
fn sets() -> Vec<(String, String)> {
    let files = std::fs::read_dir(root().join("tests/chart/values")).unwrap().map(|entry| entry.unwrap().path());
    let name = |file: &std::path::Path| file.file_stem().unwrap().to_str().unwrap().to_owned();
    let mut sets: Vec<_> = files.map(|file| (name(&file), file.to_str().unwrap().to_owned())).collect();
    sets.sort();
    assert_eq!(sets.len(), 13);
    sets
}
