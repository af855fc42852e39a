//! The tables of docs/bypass.md.
//!
//! How a server refuses what no handler takes differs between its releases, and what comes second on a connection depends
//! on time: those counts are published as they were when the page was written, and not compared.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use entrance::bypass::family::Family;

use crate::ours::Care;
use crate::suite::Verdict;
use crate::upstreams::Kind;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/bypass.md");
const BEGIN: &str = "<!-- written by tests/bypass: ENTRANCE_UPDATE=1 cargo test --test bypass -->\n";
const END: &str = "<!-- up to here -->\n";
const COLUMNS: [&str; 6] =
    ["sent", "refused_by_proxy", "refused_by_authorizer", "refused_by_upstream", "reached", "bypassed"];

/// Families whose counts depend on time.
const TIMED: [Family; 3] = [Family::Framing, Family::Pipelining, Family::Protocol];

/// The verdicts by server and setting.
pub(crate) type Verdicts = BTreeMap<(usize, Care), Verdict>;

/// Compares the page with the verdicts; with `ENTRANCE_UPDATE` it writes them there.
pub(crate) fn settle(verdicts: &Verdicts) {
    let found = std::fs::read_to_string(PAGE).unwrap();
    let (before, rest) = found.split_once(BEGIN).expect("docs/bypass.md has a part that is written by this test");
    let (written, after) = rest.split_once(END).unwrap();
    let fresh = tables(verdicts);
    if std::env::var_os("ENTRANCE_UPDATE").is_some() {
        std::fs::write(PAGE, format!("{before}{BEGIN}{fresh}{END}{after}")).unwrap();
        return;
    }
    let (written, fresh) = (essential(written), essential(&fresh));
    let drift: Vec<String> = written
        .iter()
        .zip(&fresh)
        .filter(|(old, new)| old != new)
        .map(|(old, new)| format!("- {old}\n+ {new}"))
        .collect();
    assert!(
        drift.is_empty() && written.len() == fresh.len(),
        "docs/bypass.md is out of date; ENTRANCE_UPDATE=1 rewrites it\n{}",
        drift.join("\n")
    );
}

fn tables(verdicts: &Verdicts) -> String {
    let mut text = format!("\n{}", families(&verdicts[&(0, Care::Shipped)]));
    for (at, kind) in Kind::ALL.into_iter().enumerate() {
        write!(text, "\n### {}\n\n", kind.name()).unwrap();
        text.push_str("| family | Envoy | sent | refused by Envoy | by Entrance | by the server | reached what is open | reached what is protected |\n");
        text.push_str("| --- | --- | --- | --- | --- | --- | --- | --- |\n");
        for family in Family::ALL {
            for care in [Care::Shipped, Care::Careless] {
                let counts = counts(&verdicts[&(at, care)], family).map(|count| count.to_string()).join(" | ");
                writeln!(text, "| {} | {} | {counts} |", family.id(), care.name()).unwrap();
            }
        }
    }
    text.push('\n');
    text
}

fn families(verdict: &Verdict) -> String {
    let mut text = String::from("| family | tricks | what it tries |\n| --- | --- | --- |\n");
    for family in Family::ALL {
        writeln!(text, "| `{}` | {} | {} |", family.id(), verdict.count(family.id(), "sent"), family.about()).unwrap();
    }
    text
}

fn counts(verdict: &Verdict, family: Family) -> [u64; 6] {
    COLUMNS.map(|column| match column {
        "reached" => ["reached_open", "permitted_only"].iter().map(|part| verdict.count(family.id(), part)).sum(),
        column => verdict.count(family.id(), column),
    })
}

/// The lines of the part that do not change from machine to machine.
fn essential(part: &str) -> Vec<String> {
    let line = |line: &str| {
        let cells: Vec<&str> = line.split(" | ").collect();
        let numbers: Vec<u64> =
            cells.iter().skip(2).filter_map(|cell| cell.trim_end_matches(" |").parse().ok()).collect();
        let [sent, proxy, authorizer, upstream, reached, bypassed] = numbers[..] else { return line.to_owned() };
        let timed = TIMED.iter().any(|family| cells[0].ends_with(family.id()));
        let begin = format!("{} | {} | {sent} |", cells[0], cells[1]);
        if timed {
            format!("{begin} … | {bypassed}")
        } else {
            format!("{begin} {proxy} | {authorizer} | {} | {bypassed}", upstream + reached)
        }
    };
    part.lines().map(line).collect()
}
