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
    let (written, fresh): (Vec<&str>, Vec<&str>) = (written.lines().collect(), fresh.lines().collect());
    let differ = |(old, new): &(&&str, &&str)| !same(old, new);
    let drift = written.iter().zip(&fresh).filter(differ).map(|(old, new)| format!("- {old}\n+ {new}"));
    let drift: Vec<String> = drift.collect();
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

/// Whether two lines tell the same, but for what differs from machine to machine.
fn same(old: &str, new: &str) -> bool {
    let (Some((family, old_counts)), Some((other, new_counts))) = (row(old), row(new)) else { return old == new };
    let timed = TIMED.iter().any(|timed| family.contains(timed.id()));
    let [sent, proxy, authorizer, upstream, reached, bypassed] = old_counts;
    let [new_sent, new_proxy, new_authorizer, new_upstream, new_reached, new_bypassed] = new_counts;
    let settled = (authorizer, upstream + reached) == (new_authorizer, new_upstream + new_reached);
    // a server may close a connection in the moment in which the proxy uses it again, and the proxy answers
    let nearly = authorizer == new_authorizer && proxy.abs_diff(new_proxy) <= 2 + sent / 50;
    family == other && (sent, bypassed) == (new_sent, new_bypassed) && (timed || settled || nearly)
}

/// Family and setting, and the counts.
fn row(line: &str) -> Option<(String, [u64; 6])> {
    let cells: Vec<&str> = line.trim_matches(['|', ' ']).split(" | ").collect();
    let (names, counts) = cells.split_at_checked(2)?;
    let counts: Vec<u64> = counts.iter().map(|cell| cell.parse().ok()).collect::<Option<_>>()?;
    Some((names.join(", "), counts.try_into().ok()?))
}

#[test]
fn rows_may_differ_where_machines_do() {
    let old = "| query | careless | 9 | 3 | 2 | 1 | 3 | 0 |";
    assert!(same(old, "| query | careless | 9 | 3 | 2 | 3 | 1 | 0 |"));
    assert!(same(old, "| query | careless | 9 | 4 | 2 | 1 | 2 | 0 |"));
    for other in [
        "| query | careless | 9 | 2 | 3 | 1 | 3 | 0 |",
        "| query | careless | 9 | 3 | 2 | 1 | 2 | 1 |",
        "| query | careless | 9 | 6 | 2 | 0 | 1 | 0 |",
        "| query | as shipped | 9 | 3 | 2 | 1 | 3 | 0 |",
        "| query | 9 | what it tries |",
    ] {
        assert!(!same(old, other), "{other}");
    }
    assert!(same("| framing | careless | 9 | 3 | 2 | 1 | 3 | 0 |", "| framing | careless | 9 | 0 | 9 | 0 | 0 | 0 |"));
}
