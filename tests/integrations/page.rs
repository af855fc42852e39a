//! The tables of docs/integrations.md: what became of each request on each way, and why where it is not what Entrance says.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::golden::golden;
use crate::same_requests::{COLUMNS, Case, Difference, GOLDENS, Table, differences};

const PAGE: &str = "docs/integrations.md";
const MARK: &str = "<!-- From here on written by tests/integrations: `make gen`. -->\n";

const CLASSES: [(&str, &str); 5] = [
    ("200", "What passes"),
    ("401", "No token that counts"),
    ("403", "Not allowed"),
    ("503", "Not now"),
    ("400", "What two servers could read differently"),
];

fn text(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_default()
}

/// One column: its title, what became of each request, and what is known of it.
struct Way {
    title: &'static str,
    lines: BTreeMap<String, String>,
    known: Vec<Difference>,
}

/// All columns.
fn ways() -> Vec<Way> {
    let way = |(name, title, files): &(&str, &'static str, &[&str])| {
        let text = text(&format!("{GOLDENS}/{name}.txt"));
        let lines = text.lines().map(|line| line.split_once(": ").unwrap());
        let lines = lines.map(|(name, became)| (name.to_owned(), became.to_owned())).collect();
        Way { title, lines, known: differences(files) }
    };
    COLUMNS.iter().map(way).collect()
}

/// Reasons why, each with its number.
#[derive(Default)]
struct Notes(Vec<String>);

impl Notes {
    fn number(&mut self, why: &str) -> usize {
        let known = self.0.iter().position(|note| note == why);
        1 + known.unwrap_or_else(|| {
            self.0.push(why.to_owned());
            self.0.len() - 1
        })
    }
}

/// One cell: what Entrance says, or something else with the number of why.
fn cell(way: &Way, case: &Case, notes: &mut Notes) -> String {
    let became = way.lines.get(&case.name).unwrap_or_else(|| panic!("{}: no `{}`", way.title, case.name));
    let outcome = became.split(" -> ").next().unwrap();
    let Some(known) = way.known.iter().find(|known| known.covers(case) && known.shows(case, became)) else {
        assert_eq!(outcome, case.expect, "{}: {}", way.title, case.name);
        return "=".to_owned();
    };
    let other = if outcome == case.expect { "=" } else { outcome };
    format!("{other} ({})", notes.number(&known.why))
}

fn table(cases: &[&Case], ways: &[Way], notes: &mut Notes) -> String {
    let titles: Vec<_> = ways.iter().map(|way| way.title).collect();
    let mut text = format!("| request | Entrance | {} |\n|{}\n", titles.join(" | "), " --- |".repeat(ways.len() + 2));
    for case in cases {
        let reason = case.expect.split_once(' ').unwrap().1;
        let cells: Vec<_> = ways.iter().map(|way| cell(way, case, notes)).collect();
        writeln!(text, "| {} | `{reason}` | {} |", case.name, cells.join(" | ")).unwrap();
    }
    text
}

/// Everything below the mark.
fn rendered() -> String {
    let (table_of, ways, mut notes) = (Table::read(), ways(), Notes::default());
    let count = table_of.requests.len();
    let mut page = format!("{MARK}\n## The {count} requests\n");
    for (status, title) in CLASSES {
        let cases: Vec<_> = table_of.requests.iter().filter(|case| case.expect.starts_with(status)).collect();
        write!(page, "\n### {status}: {title}\n\n{}", table(&cases, &ways, &mut notes)).unwrap();
    }
    page.push_str("\n### Why\n\n");
    for (at, why) in notes.0.iter().enumerate() {
        writeln!(page, "{}. {}", at + 1, why).unwrap();
    }
    page
}

/// The part by hand, and the part that is written.
pub(crate) fn settles() {
    let page = text(PAGE);
    let by_hand = page.split(MARK).next().unwrap();
    golden(PAGE, &format!("{by_hand}{}", rendered()));
}

#[test]
fn the_page_says_what_became_of_the_requests() {
    settles();
}

#[test]
fn every_column_has_a_place_on_the_page() {
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(GOLDENS)).unwrap() {
        let name = entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(COLUMNS.iter().any(|(known, ..)| *known == name), "`{name}` is not in COLUMNS");
    }
}
