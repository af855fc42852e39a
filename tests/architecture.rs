//! The house keeps its order: rooms and directions, sizes, first lines, one place for permits and one for answers, no
//! sleeping tests, no second crypto stack, no dependency that nobody needs.
//!
//! A text scan, not a compiler: it reads words and signs, without comments and literals. Each rule has tests beside it
//! that show it bad code. What the rules are for is told in docs/house.md and CONTRIBUTING.md.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing element fails the test")]
#![expect(clippy::arithmetic_side_effects, reason = "small numbers of a test")]

#[path = "architecture/crates.rs"]
mod crates;
#[path = "architecture/house.rs"]
mod house;
#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/source.rs"]
mod source;

use source::Complaint;

/// Fails and tells everything at once.
fn none(complaints: &[Complaint]) {
    let lines: Vec<String> = complaints
        .iter()
        .map(|complaint| format!("{}:{}: {}", complaint.path, complaint.line, complaint.what))
        .collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

#[test]
fn imports_go_down() {
    none(&house::complaints(&source::rust(&["src"])));
}

#[test]
fn every_room_has_a_place_and_every_place_a_room() {
    let sources = source::rust(&["src"]);
    let rooms: Vec<&str> = sources.iter().filter_map(|source| house::room(&source.path)).collect();
    for place in house::STOREYS.iter().flat_map(|storey| storey.iter()) {
        assert!(rooms.contains(place), "`{place}` is in STOREYS, but not in src/");
    }
}

#[test]
fn every_file_keeps_the_rules() {
    none(&rules::complaints(&source::rust(&["src", "tests", "benches", "fuzz"])));
}

#[test]
fn no_text_names_the_machine_it_was_written_on() {
    none(&rules::text_complaints(&source::texts()));
}

#[test]
fn there_is_one_crypto_stack() {
    let complaints = crates::complaints(&crates::tree());
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn every_dependency_is_needed() {
    let manifest = std::fs::read_to_string(source::root().join("Cargo.toml")).unwrap();
    assert_eq!(crates::unused(&manifest, "dependencies", &source::rust(&["src"])), Vec::<&str>::new());
    let tests = source::rust(&["src", "tests", "benches"]);
    assert_eq!(crates::unused(&manifest, "dev-dependencies", &tests), Vec::<&str>::new());
}
