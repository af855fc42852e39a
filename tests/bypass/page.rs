//! The tables of docs/bypass.md.
//!
//! How a server refuses what no handler takes differs between its releases, and what comes second on a connection depends
//! on time: those counts are published as they were when the page was written, and not compared.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;

use entrance::bypass::family::Family;

use crate::ours::Care;
use crate::suite::Verdict;
use crate::upstreams::Kind;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/bypass.md");
const COLUMNS: [&str; 6] =
    ["sent", "refused_by_proxy", "refused_by_authorizer", "refused_by_upstream", "reached", "bypassed"];
const REACHED: &str = "reached what is open | reached what is protected |";

/// Families whose counts depend on time.
const TIMED: [Family; 3] = [Family::Framing, Family::Pipelining, Family::Protocol];

/// The verdicts by server and setting.
pub(crate) type Verdicts = BTreeMap<(usize, Care), Verdict>;

/// Tests write their parts of the page at once.
static PEN: Mutex<()> = Mutex::new(());

/// What must stay as it was written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Every count that does not depend on time or on releases.
    Counts,
    /// How many were sent, and how many got past: proxies have releases, too.
    Ends,
}

/// Compares a part of the page with what was found; with `ENTRANCE_UPDATE` it writes it there.
pub(crate) fn settle(part: &str, fresh: &str, kept: Kept) {
    let pen = PEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let begin = format!("<!-- {part}: written by tests/bypass: ENTRANCE_UPDATE=1 cargo test --test bypass -->\n");
    let end = format!("<!-- {part}: up to here -->\n");
    let found = std::fs::read_to_string(PAGE).unwrap();
    let (before, rest) = found.split_once(&begin).expect("docs/bypass.md has a part that is written by this test");
    let (written, after) = rest.split_once(&end).unwrap();
    if std::env::var_os("ENTRANCE_UPDATE").is_some() {
        std::fs::write(PAGE, format!("{before}{begin}{fresh}{end}{after}")).unwrap();
        return;
    }
    drop(pen);
    let (written, fresh): (Vec<&str>, Vec<&str>) = (written.lines().collect(), fresh.lines().collect());
    let differ = |(old, new): &(&&str, &&str)| !same(old, new, kept);
    let drift = written.iter().zip(&fresh).filter(differ).map(|(old, new)| format!("- {old}\n+ {new}"));
    let drift: Vec<String> = drift.collect();
    assert!(
        drift.is_empty() && written.len() == fresh.len(),
        "docs/bypass.md is out of date; ENTRANCE_UPDATE=1 rewrites it\n{}",
        drift.join("\n")
    );
}

/// Families, and how each server fares behind each Envoy.
pub(crate) fn envoys(verdicts: &Verdicts) -> String {
    let mut text = format!("\n{}", families(&verdicts[&(0, Care::Shipped)]));
    for (at, kind) in Kind::ALL.into_iter().enumerate() {
        write!(text, "\n### {}\n\n", kind.name()).unwrap();
        text.push_str(&cares(&Care::BOTH.map(|care| (care, &verdicts[&(at, care)]))));
    }
    text.push('\n');
    text
}

/// How one server fares behind each Envoy.
pub(crate) fn cares(verdicts: &[(Care, &Verdict)]) -> String {
    let mut text = format!("| family | Envoy | sent | refused by Envoy | by Entrance | by the server | {REACHED}\n");
    text.push_str("| --- | --- | --- | --- | --- | --- | --- | --- |\n");
    for family in Family::ALL {
        for (care, verdict) in verdicts.iter().filter(|(_, verdict)| verdict.tried(family)) {
            let counts = counts(verdict, family).map(|count| count.to_string()).join(" | ");
            writeln!(text, "| {} | {} | {counts} |", family.id(), care.name()).unwrap();
        }
    }
    text
}

/// How servers fare behind a proxy that does not tell who refused: it or the server.
pub(crate) fn servers(verdicts: &[(&str, &Verdict)]) -> String {
    let mut text =
        format!("\n| family | server | sent | refused by the proxy or the server | by Entrance | {REACHED}\n");
    text.push_str("| --- | --- | --- | --- | --- | --- | --- |\n");
    for family in Family::ALL {
        for (server, verdict) in verdicts.iter().filter(|(_, verdict)| verdict.tried(family)) {
            let [sent, proxy, authorizer, upstream, reached, bypassed] = counts(verdict, family);
            let rest = format!("{sent} | {} | {authorizer} | {reached} | {bypassed}", proxy + upstream);
            writeln!(text, "| {} | {server} | {rest} |", family.id()).unwrap();
        }
    }
    if let Some((_, first)) = verdicts.first().filter(|(_, first)| !first.tried(Family::Http2)) {
        let why = first.told["not_tried"][0]["why"].as_str().unwrap();
        writeln!(text, "\nNot tried: `http2`, and what other families have of HTTP/2: {why}.").unwrap();
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
fn same(old: &str, new: &str, kept: Kept) -> bool {
    let (Some((family, old_counts)), Some((other, new_counts))) = (row(old), row(new)) else { return old == new };
    let ends = |counts: &[u64]| (counts.first().copied(), counts.last().copied());
    let timed = TIMED.iter().any(|timed| family.contains(timed.id()));
    family == other
        && ends(&old_counts) == ends(&new_counts)
        && (timed || kept == Kept::Ends || alike(&old_counts, &new_counts))
}

/// Whether what lies between is as good as the same.
fn alike(old: &[u64], new: &[u64]) -> bool {
    let ([sent, proxy, authorizer, upstream, reached, _], [_, new_proxy, new_authorizer, new_upstream, new_reached, _]) =
        (old, new)
    else {
        return false;
    };
    let settled = (authorizer, upstream + reached) == (new_authorizer, new_upstream + new_reached);
    // a server may close a connection in the moment in which the proxy uses it again, and the proxy answers
    let nearly = authorizer == new_authorizer && proxy.abs_diff(*new_proxy) <= 2 + sent / 50;
    settled || nearly
}

/// Family and setting, and the counts.
fn row(line: &str) -> Option<(String, Vec<u64>)> {
    let cells: Vec<&str> = line.trim_matches(['|', ' ']).split(" | ").collect();
    let (names, counts) = cells.split_at_checked(2)?;
    let counts: Vec<u64> = counts.iter().map(|cell| cell.parse().ok()).collect::<Option<_>>()?;
    (counts.len() > 1).then(|| (names.join(", "), counts))
}

#[test]
fn rows_may_differ_where_machines_do() {
    let old = "| query | careless | 9 | 3 | 2 | 1 | 3 | 0 |";
    let all = |old, new| same(old, new, Kept::Counts);
    assert!(all(old, "| query | careless | 9 | 3 | 2 | 3 | 1 | 0 |"));
    assert!(all(old, "| query | careless | 9 | 4 | 2 | 1 | 2 | 0 |"));
    for other in [
        "| query | careless | 9 | 2 | 3 | 1 | 3 | 0 |",
        "| query | careless | 9 | 3 | 2 | 1 | 2 | 1 |",
        "| query | careless | 9 | 6 | 2 | 0 | 1 | 0 |",
        "| query | as shipped | 9 | 3 | 2 | 1 | 3 | 0 |",
        "| query | 9 | what it tries |",
    ] {
        assert!(!all(old, other), "{other}");
    }
    assert!(all("| framing | careless | 9 | 3 | 2 | 1 | 3 | 0 |", "| framing | careless | 9 | 0 | 9 | 0 | 0 | 0 |"));
    let ends = |new| same("| query | Tomcat | 9 | 3 | 2 | 4 | 0 |", new, Kept::Ends);
    assert!(ends("| query | Tomcat | 9 | 0 | 9 | 0 | 0 |"));
    for other in ["| query | Tomcat | 9 | 3 | 2 | 3 | 1 |", "| query | Tomcat | 8 | 3 | 2 | 3 | 0 |"] {
        assert!(!ends(other), "{other}");
    }
}
