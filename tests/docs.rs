//! The documentation speaks of what is there: links lead somewhere, and every field, metric, audit member and permit
//! cause of the code is described.
#![cfg(feature = "emulator")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use entrance::metrics::{Gauges, Metrics, exposition};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// All Markdown files, from the root of the repository.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for folder in ["", "docs", "docs/reference", "docs/decisions", "fuzz", "charts/entrance", "charts/entrance-crds"] {
        let Ok(entries) = fs::read_dir(root().join(folder)) else { continue };
        let files = entries.map(|entry| entry.unwrap().path());
        pages.extend(files.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    }
    pages.sort();
    pages
}

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    text.lines().filter(|line| line.starts_with('#')).map(|line| anchor(line.trim_start_matches('#'))).collect()
}

/// What is wrong with the links of a page.
fn broken(page: &Path, text: &str) -> Vec<String> {
    let links = text.split("](").skip(1).filter_map(|after| after.split(')').next());
    let mut broken = Vec::new();
    for link in links.filter(|link| !link.contains("://")) {
        let (file, part) = link.split_once('#').unwrap_or((link, ""));
        let target = if file.is_empty() { page.to_owned() } else { page.parent().unwrap().join(file) };
        let found =
            target.exists() && (part.is_empty() || anchors(&fs::read_to_string(&target).unwrap()).contains(part));
        if !found {
            broken.push(format!("{}: `{link}` leads nowhere", page.display()));
        }
    }
    broken
}

/// What a chart has learnt since is lost with `--reuse-values`, which fails on a new cluster, too.
#[test]
fn commands_that_keep_values_take_those_of_a_newer_chart_as_well() {
    let pages = pages().into_iter().map(|page| fs::read_to_string(page).unwrap());
    let lines = pages.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    let keeping: Vec<_> = lines.filter(|line| line.contains("helm ") && line.contains("-reuse-values")).collect();
    assert!(keeping.len() >= 3, "{keeping:?}");
    assert!(keeping.iter().all(|line| line.contains("--reset-then-reuse-values")), "{keeping:?}");
}

/// Identity headers are worth nothing to an API that others reach, too.
#[test]
fn the_first_lines_about_a_proxy_say_that_nobody_may_reach_the_api_past_it() {
    for page in ["docs/envoy.md", "docs/forward-auth.md", "docs/gateway-api.md"] {
        let text = read(page);
        let first = text.split("\n## ").next().unwrap().replace('\n', " ");
        assert!(first.contains("](security.md#what-is-not-covered)"), "{page}");
        assert!(first.contains("past "), "{page}");
    }
}

#[test]
fn links_lead_somewhere() {
    let broken: Vec<String> =
        pages().iter().flat_map(|page| broken(page, &fs::read_to_string(page).unwrap())).collect();
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let page = root().join("docs/concepts.md");
    assert_eq!(broken(&page, "[a](reasons.md) [b](#hosts) [c](envoy.md#the-check) [d](https://example.com)").len(), 0);
    assert_eq!(broken(&page, "[a](reason.md) [b](#guests) [c](envoy.md#the-chuck)").len(), 3);
}

/// Words of `text` in backticks.
fn code(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Every text between quotes in a list that the source calls `name`.
fn words(source: &str, name: &str) -> Vec<String> {
    let head = format!("const {name}");
    let lists = source.split(&head).skip(1).filter_map(|after| after.split("];").next());
    let words = lists.flat_map(|list| list.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>());
    words.collect()
}

fn undescribed(wanted: impl IntoIterator<Item = String>, page: &str) -> Vec<String> {
    let described = code(&read(page));
    wanted
        .into_iter()
        .filter(|word| !described.iter().any(|code| code == word || code.ends_with(&format!(".{word}"))))
        .collect()
}

#[test]
fn every_field_of_resources_is_described() {
    let mut fields = Vec::new();
    for room in ["application", "policy", "entry", "grant"] {
        let source = read(&format!("src/api/{room}.rs"));
        let found = [words(&source, "FIELDS"), words(&source, "ROUTE_FIELDS")].concat();
        assert!(found.len() > 5, "no list of fields in src/api/{room}.rs any more");
        fields.extend(found);
    }
    let top = |field: String| if field == "keys" { "keys.staticJwks.inline".to_owned() } else { field };
    let top = |field: String| if field == "selector" { "selector.matchLabels".to_owned() } else { top(field) };
    assert_eq!(undescribed(fields.into_iter().map(top), "docs/reference/resources.md"), Vec::<String>::new());
}

#[test]
fn every_metric_is_described_and_every_description_is_of_a_metric() {
    let page = exposition::render(&Metrics::default(), &Gauges::default());
    let families = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let families: BTreeSet<String> = families.map(str::to_owned).collect();
    let table = read("docs/reference/metrics.md");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `entrance_")?.split('`').next());
    let rows = rows.filter(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
    assert_eq!(rows.map(|name| format!("entrance_{name}")).collect::<BTreeSet<_>>(), families);
}

#[test]
fn every_member_of_the_audit_log_is_described() {
    let source = read("src/audit/render.rs");
    let code = source.split("#[cfg(test)]").next().unwrap();
    let members =
        code.split("\\\"").filter(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
    let members: BTreeSet<String> = members.map(str::to_owned).collect();
    assert!(members.contains("authorization") && members.contains("records_lost") && members.len() > 20);
    let values = ["rejected", "verified", "none"].map(str::to_owned);
    let page = read("docs/reference/audit.md");
    let missing = members.iter().filter(|member| !values.contains(member) && !page.contains(member.as_str()));
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<&String>::new());
}

/// The flags that a text names.
fn flags(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_lowercase() || c == '-')).filter(|word| word.starts_with("--"));
    words.filter(|word| word.len() > 3 && *word != "--help").map(str::to_owned).collect()
}

#[test]
fn every_flag_is_described_and_every_description_is_of_a_flag() {
    let page = read("docs/reference/cli.md");
    let mut commands = Vec::new();
    for section in page.split("\n## entrance ").skip(1) {
        let (command, text) = section.split_once('\n').unwrap();
        let help =
            Command::new(env!("CARGO_BIN_EXE_entrance")).args(command.split(' ')).arg("--help").output().unwrap();
        assert!(help.status.success(), "there is no `entrance {command}`");
        let rows: String = text.lines().filter(|line| line.starts_with("| `--")).collect();
        let described = rows.split("| ").filter(|cell| cell.starts_with("`--")).map(flags).fold(BTreeSet::new(), union);
        assert_eq!(described, flags(&String::from_utf8(help.stdout).unwrap()), "{command}");
        commands.push(command.split(' ').next().unwrap());
    }
    let help = Command::new(env!("CARGO_BIN_EXE_entrance")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let listed =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).map_while(|line| line.split_whitespace().next());
    let listed: BTreeSet<&str> = listed.filter(|command| *command != "help").collect();
    assert_eq!(commands.into_iter().collect::<BTreeSet<_>>(), listed);
}

fn union(mut all: BTreeSet<String>, more: BTreeSet<String>) -> BTreeSet<String> {
    all.extend(more);
    all
}
