//! Rooms and directions: imports go down, never up and never sideways.

use std::collections::BTreeSet;

use super::source::{Complaint, Source};

/// The storeys, from the top. A room may import from every storey below its own.
pub(crate) const STOREYS: [&[&str]; 7] = [
    &["main"],
    &["cli"],
    &[
        "admin",
        "admission",
        "bypass",
        "cluster",
        "delivery",
        "demo",
        "doctor",
        "emulator",
        "entra",
        "envoy",
        "files",
        "forward_auth",
    ],
    &["answer", "audit", "authorize", "listen", "metrics", "recorder", "tls"],
    &["api"],
    &["policy", "token"],
    &["clock", "identity", "reason", "request"],
];

/// Imports on one storey that are meant. One that is no longer needed is a complaint, too.
const ASIDE: [(&str, &str); 9] = [
    // the demo starts what the command line may start
    ("demo", "emulator"),
    // the corridor in its order: what is decided is counted, what is decided and lost is written down
    ("answer", "authorize"),
    ("audit", "authorize"),
    ("audit", "metrics"),
    ("metrics", "authorize"),
    ("recorder", "authorize"),
    ("recorder", "metrics"),
    // a handshake takes a place
    ("tls", "listen"),
    // a caller signed in at some time
    ("identity", "clock"),
];

/// Rooms that know no outside world: no I/O, no clock, no threads, no tasks, no log.
const PURE: [&str; 8] = ["api", "doctor", "policy", "token", "clock", "identity", "reason", "request"];

/// Crates that are somebody's outside world, and the rooms where they stop.
const FOREIGN: [(&str, &[&str]); 22] = [
    ("axum", &["admin", "admission", "emulator", "demo", "forward_auth"]),
    ("cel", &["policy"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("envoy_types", &["envoy", "delivery"]),
    ("hyper", &["admission", "envoy", "forward_auth", "listen"]),
    ("hyper_util", &["envoy", "listen"]),
    ("ipnet", &["listen"]),
    ("jsonwebtoken", &["token"]),
    // the definitions of our resources are types of `kube`; the command line passes a client on
    ("k8s_openapi", &["api", "cluster"]),
    ("kube", &["api", "cluster", "cli"]),
    ("notify", &["files"]),
    ("prost", &["envoy", "delivery"]),
    ("rcgen", &["emulator", "tls"]),
    ("regex_automata", &["doctor", "policy"]),
    ("reqwest", &["entra", "demo", "cli"]),
    ("rustix", &["cli"]),
    ("saphyr", &["cli", "emulator"]),
    ("saphyr_parser", &["files"]),
    ("tonic", &["envoy", "delivery"]),
    ("tonic_health", &["envoy", "delivery"]),
    ("tracing_subscriber", &["cli"]),
];

/// What a pure room must not name: words on their own, and members of `std`.
const IMPURE_WORDS: [&str; 7] = ["async", "await", "tokio", "tracing", "thread_local", "SystemTime", "Instant"];
const IMPURE_STD: [&str; 6] = ["env", "fs", "io", "os", "process", "thread"];

/// The room that a file is part of.
pub(crate) fn room(path: &str) -> Option<&str> {
    let below = path.strip_prefix("src/")?;
    let first = below.split('/').next()?;
    Some(first.strip_suffix(".rs").unwrap_or(first))
}

fn storey(room: &str) -> Option<usize> {
    STOREYS.iter().position(|storey| storey.contains(&room))
}

/// Everything that is wrong with the imports of these files.
pub(crate) fn complaints(sources: &[Source]) -> Vec<Complaint> {
    let mut found = Vec::new();
    let mut aside = BTreeSet::new();
    for source in sources {
        match room(&source.path) {
            Some("lib") | None => {}
            Some(room) if storey(room).is_none() => {
                found.push(source.complaint(0, format!("`{room}` has no place in the house: give it one in STOREYS")));
            }
            Some(room) => {
                found.extend(imports(source, room, &mut aside));
                found.extend(foreign(source, room));
                found.extend(impure(source, room));
            }
        }
    }
    let idle = ASIDE.iter().filter(|pair| !aside.contains(*pair));
    found.extend(idle.map(|(from, to)| Complaint {
        path: "tests/architecture/house.rs".to_owned(),
        line: 1,
        what: format!("`{from}` does not import `{to}`: take it out of ASIDE"),
    }));
    found
}

fn imports(source: &Source, from: &str, aside: &mut BTreeSet<(&'static str, &'static str)>) -> Vec<Complaint> {
    let mut found = Vec::new();
    for (at, to) in named(source) {
        let (Some(here), Some(there)) = (storey(from), storey(&to)) else {
            found.push(source.complaint(at, format!("`{to}` is no room")));
            continue;
        };
        let meant = ASIDE.iter().find(|(one, other)| *one == from && *other == to);
        aside.extend(meant);
        let direction = match here.cmp(&there) {
            _ if from == to || meant.is_some() => continue,
            std::cmp::Ordering::Less => continue,
            std::cmp::Ordering::Equal => "sideways",
            std::cmp::Ordering::Greater => "up",
        };
        found.push(source.complaint(at, format!("`{from}` imports {direction} from `{to}`")));
    }
    found
}

/// The rooms that a file names by way of the crate's root, and where.
fn named(source: &Source) -> Vec<(usize, String)> {
    let mut modules = Modules::of(&source.path);
    let mut found = Vec::new();
    for (at, token) in source.tokens.iter().enumerate() {
        modules.step(source, at);
        let begins = at == 0 || !source.reads(at - 1, &["::"]);
        let own_name = source.path == "src/main.rs" && token.text == "entrance";
        if !begins || !source.reads(at + 1, &["::"]) {
            continue;
        }
        if token.text == "crate" || own_name {
            found.extend(items(source, at + 2));
        } else if token.text == "super" {
            let supers = (0..).take_while(|step| source.reads(at + 2 * step, &["super", "::"])).count();
            if supers >= modules.depth() {
                found.extend(items(source, at + 2 * supers));
            }
        }
    }
    found
}

/// The first words of a path, or of each branch of `{…}`.
fn items(source: &Source, at: usize) -> Vec<(usize, String)> {
    if !source.reads(at, &["{"]) {
        return source.tokens.get(at).map(|token| (at, token.text.clone())).into_iter().collect();
    }
    let (mut found, mut depth) = (Vec::new(), 0_usize);
    for inside in at..source.close(at) {
        match source.tokens[inside].text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 1
            && (source.reads(inside, &["{"]) || source.reads(inside, &[","]))
            && !source.reads(inside + 1, &["}"])
        {
            found.push((inside + 1, source.tokens[inside + 1].text.clone()));
        }
    }
    found
}

/// How deep below the root the code stands: modules of the path, and inline ones.
struct Modules {
    of_file: usize,
    inline: Vec<usize>,
}

impl Modules {
    fn of(path: &str) -> Self {
        let parts = path.trim_start_matches("src/").split('/').filter(|part| !matches!(*part, "mod.rs" | "lib.rs"));
        Self { of_file: parts.count(), inline: Vec::new() }
    }

    fn step(&mut self, source: &Source, at: usize) {
        self.inline.retain(|end| at < *end);
        if source.reads(at, &["mod"]) && source.reads(at + 2, &["{"]) {
            self.inline.push(source.close(at + 2));
        }
    }

    fn depth(&self) -> usize {
        self.of_file + self.inline.len()
    }
}

fn foreign(source: &Source, room: &str) -> Vec<Complaint> {
    let at_start = |at: usize| at == 0 || !source.reads(at - 1, &["::"]) || at == 1 || !is_word(source, at - 2);
    let mut found = Vec::new();
    for (at, token) in source.tokens.iter().enumerate() {
        let Some((name, rooms)) = FOREIGN.iter().find(|(name, _)| *name == token.text) else { continue };
        if at_start(at) && source.reads(at + 1, &["::"]) && !rooms.contains(&room) {
            found.push(source.complaint(at, format!("`{name}` stops at {}; it is not for `{room}`", rooms.join(", "))));
        }
    }
    found
}

fn is_word(source: &Source, at: usize) -> bool {
    source.tokens[at].text.starts_with(|letter: char| letter.is_alphanumeric() || letter == '_')
}

fn impure(source: &Source, room: &str) -> Vec<Complaint> {
    // The clock is the one place that asks what time it is.
    if !PURE.contains(&room) || room == "clock" {
        return Vec::new();
    }
    let words = source.tokens.iter().enumerate().filter(|(at, token)| {
        let of_std = *at > 1 && source.reads(at - 2, &["std", "::"]) && IMPURE_STD.contains(&token.text.as_str());
        of_std || IMPURE_WORDS.contains(&token.text.as_str())
    });
    words.map(|(at, token)| source.complaint(at, format!("`{}` in `{room}`, which is pure", token.text))).collect()
}

#[cfg(test)]
mod tests {
    use super::{ASIDE, complaints, named};
    use crate::source::Source;

    fn what(path: &str, text: &str) -> Vec<String> {
        let all = complaints(&[Source::new(path, text)]);
        all.into_iter().filter(|complaint| complaint.path == path).map(|complaint| complaint.what).collect()
    }

    #[test]
    fn imports_up_and_sideways_are_found() {
        assert_eq!(what("src/policy/x.rs", "use crate::api::Fault;"), ["`policy` imports up from `api`"]);
        assert_eq!(what("src/policy/x.rs", "use crate::token::Key;"), ["`policy` imports sideways from `token`"]);
        assert_eq!(what("src/envoy/x.rs", "fn f() { crate::entra::go() }"), ["`envoy` imports sideways from `entra`"]);
        assert_eq!(
            what("src/authorize/x.rs", "use crate::metrics::M;"),
            ["`authorize` imports sideways from `metrics`"]
        );
        assert_eq!(what("src/main.rs", "use entrance::policy::P;"), Vec::<String>::new());
        assert_eq!(what("src/cli/x.rs", "use crate::main::x;"), ["`cli` imports up from `main`"]);
        assert_eq!(what("src/cellar.rs", ""), ["`cellar` has no place in the house: give it one in STOREYS"]);
    }

    #[test]
    fn every_way_to_write_an_import_is_read() {
        let rooms = |path: &str, text: &str| -> Vec<String> {
            named(&Source::new(path, text)).into_iter().map(|(_, room)| room).collect()
        };
        assert_eq!(
            rooms("src/policy/x.rs", "use crate::{api::{a, b}, token as t, reason};"),
            ["api", "token", "reason"]
        );
        assert_eq!(rooms("src/policy/x.rs", "use super::super::api::a; use super::entry;"), ["api"]);
        assert_eq!(
            rooms("src/policy/mod.rs", "use super::api::a; mod tests { use super::x; use super::super::cli; }"),
            ["api", "cli"]
        );
        assert_eq!(rooms("src/clock.rs", "use super::{api, cli};"), ["api", "cli"]);
        assert_eq!(
            rooms("src/policy/x.rs", "macro_rules! m { () => { $crate::api::a() } } pub(crate) fn f() {}"),
            ["api"]
        );
        assert_eq!(
            rooms("src/policy/x.rs", "// crate::api\n/// [`crate::cli`]\nconst A: &str = \"crate::cli\";"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn an_exception_that_nobody_needs_is_found() {
        assert_eq!(complaints(&[]).len(), ASIDE.len());
    }

    #[test]
    fn foreign_crates_stop_at_their_rooms() {
        assert_eq!(
            what("src/policy/x.rs", "use envoy_types::pb::X;"),
            ["`envoy_types` stops at envoy, delivery; it is not for `policy`"]
        );
        assert_eq!(
            what("src/admin.rs", "fn f() -> ::tonic::Status {}"),
            ["`tonic` stops at envoy, delivery; it is not for `admin`"]
        );
        assert_eq!(what("src/envoy/x.rs", "use tonic::Code; use super::tonic::x;"), Vec::<String>::new());
    }

    #[test]
    fn pure_rooms_stay_pure() {
        assert_eq!(what("src/token/x.rs", "use std::fs::File;"), ["`fs` in `token`, which is pure"]);
        assert_eq!(what("src/policy/x.rs", "async fn f() {}"), ["`async` in `policy`, which is pure"]);
        assert_eq!(what("src/policy/x.rs", "let a = SystemTime::now();"), ["`SystemTime` in `policy`, which is pure"]);
        assert_eq!(what("src/entra/x.rs", "use std::fs::File;"), Vec::<String>::new());
    }
}
