//! What holds for each file on its own: its size, its first line, and words that belong into one place only.

use super::source::{Complaint, Source};

const FILE: usize = 400;
const TEST_FILE: usize = 600;
const FUNCTION: usize = 60;

/// Tests in which time passes with nothing to wait for, and why that is meant.
const SLEEPERS: [(&str, &str); 2] = [
    ("tests/envoy/service.rs", "a stand-in that decides slowly"),
    ("tests/support/authority.rs", "a stand-in that answers late"),
];

type Rule = fn(&Source) -> Vec<Complaint>;

/// The rules for Rust files.
const RULES: [Rule; 8] = [length, opening, functions, permits, answers, unfinished, sleeps, bare_notes];

/// Everything that is wrong with these Rust files.
pub(crate) fn complaints(sources: &[Source]) -> Vec<Complaint> {
    let mut found: Vec<Complaint> =
        sources.iter().flat_map(|source| RULES.iter().flat_map(|rule| rule(source))).collect();
    let idle = SLEEPERS
        .iter()
        .filter(|(path, _)| sources.iter().all(|source| source.path != *path || naps(source).is_empty()));
    found.extend(idle.map(|(path, _)| Complaint {
        path: (*path).to_owned(),
        line: 1,
        what: "does not sleep: take it out of SLEEPERS".to_owned(),
    }));
    found
}

/// Everything that is wrong with these texts, of whatever kind.
pub(crate) fn text_complaints(sources: &[Source]) -> Vec<Complaint> {
    sources.iter().flat_map(machine_paths).collect()
}

fn is_test(source: &Source) -> bool {
    source.path.starts_with("tests/")
}

fn length(source: &Source) -> Vec<Complaint> {
    let (lines, most) = (source.text.lines().count(), if is_test(source) { TEST_FILE } else { FILE });
    let what = format!("has {lines} lines, more than {most}: split it by subject");
    (lines > most).then(|| source.complaint(0, what)).into_iter().collect()
}

fn opening(source: &Source) -> Vec<Complaint> {
    let what = "does not begin with `//!`: say what it is for";
    let opens = source.text.lines().next().is_some_and(|line| line.len() > 12 && line.starts_with("//! "));
    (!opens || source.text.starts_with("//! Placeholder")).then(|| source.complaint(0, what)).into_iter().collect()
}

fn functions(source: &Source) -> Vec<Complaint> {
    let mut found = Vec::new();
    for at in (0..source.tokens.len()).filter(|at| source.reads(*at, &["fn"])) {
        let ends = |token: &&str| matches!(*token, "{" | ";");
        let words = source.tokens.iter().skip(at).map(|token| token.text.as_str());
        let Some(open) = words.clone().position(|word| ends(&word)).map(|ahead| at + ahead) else { continue };
        if source.reads(open, &["{"]) {
            let last = source.tokens.get(source.close(open)).map_or(0, |token| token.line);
            let lines = (last + 1).saturating_sub(source.tokens[at].line);
            if lines > FUNCTION {
                found.push(source.complaint(at, format!("a function of {lines} lines, more than {FUNCTION}")));
            }
        }
    }
    found
}

/// One function makes permits, in one place. A test cannot make one at all, and neither must it look as if it could.
fn permits(source: &Source) -> Vec<Complaint> {
    let literals = (0..source.tokens.len()).filter(|at| {
        let item = *at > 0 && ["struct", "impl", "for"].iter().any(|word| source.reads(at - 1, &[word]));
        source.reads(*at, &["Permit", "{"]) && !item
    });
    let allowed = usize::from(source.path == "src/policy/decide.rs");
    literals.skip(allowed).map(|at| source.complaint(at, "a second place that makes a `Permit`")).collect()
}

/// One file makes answers, and one line of it says OK.
fn answers(source: &Source) -> Vec<Complaint> {
    if !source.path.starts_with("src/") {
        return Vec::new();
    }
    let messages = ["CheckResponse", "OkHttpResponse", "DeniedHttpResponse", "HttpResponse"];
    let mut found = Vec::new();
    let mut oks = usize::from(source.path == "src/envoy/answer.rs");
    for (at, token) in source.tokens.iter().enumerate() {
        if source.path != "src/envoy/answer.rs" && messages.contains(&token.text.as_str()) {
            found.push(source.complaint(at, format!("`{}` outside src/envoy/answer.rs", token.text)));
        }
        if source.reads(at, &["Code", "::", "Ok"]) {
            if oks == 0 {
                found.push(source.complaint(at, "a second place that says `Code::Ok`"));
            }
            oks = oks.saturating_sub(1);
        }
    }
    found
}

fn unfinished(source: &Source) -> Vec<Complaint> {
    let begins = [&["todo", "!"][..], &["unimplemented", "!"], &["#", "[", "ignore"]];
    let at = (0..source.tokens.len()).filter(|at| begins.iter().any(|words| source.reads(*at, words)));
    at.map(|at| source.complaint(at, "unfinished or switched off: finish it, or take it out")).collect()
}

/// A test waits for a condition, in a loop with a deadline.
fn sleeps(source: &Source) -> Vec<Complaint> {
    if SLEEPERS.iter().any(|(path, _)| *path == source.path) {
        return Vec::new();
    }
    naps(source).into_iter().map(|at| source.complaint(at, "sleeps: wait for a condition with a deadline")).collect()
}

/// Where test code sleeps outside of any loop.
fn naps(source: &Source) -> Vec<usize> {
    let inline = (0..source.tokens.len()).find(|at| source.reads(*at, &["#", "[", "cfg", "(", "test", ")", "]"]));
    let from = if is_test(source) { 0 } else { inline.unwrap_or(source.tokens.len()) };
    let mut loops = Vec::new();
    let mut found = Vec::new();
    for at in from..source.tokens.len() {
        loops.retain(|end| at < *end);
        if ["loop", "while", "for"].iter().any(|word| source.reads(at, &[word])) {
            let open = (at..source.tokens.len()).find(|at| source.reads(*at, &["{"])).unwrap_or(at);
            // `impl T for S {` is no loop
            if !source.reads(at, &["for"]) || (at..open).any(|at| source.reads(at, &["in"])) {
                loops.push(source.close(open));
            }
        }
        if source.reads(at, &["sleep", "("]) && loops.is_empty() {
            found.push(at);
        }
    }
    found
}

/// A note of what is left to do names the issue where it is written down.
fn bare_notes(source: &Source) -> Vec<Complaint> {
    let notes = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["XX", "X:"].concat()];
    let bare =
        |line: &str| notes.iter().any(|note| line.split(note.as_str()).skip(1).any(|after| !after.starts_with("(#")));
    lines(source, bare, "a note without an issue: write it as NOTE(#1): …, or do it")
}

/// Nothing in the tree knows the machine on which it was written.
fn machine_paths(source: &Source) -> Vec<Complaint> {
    let homes = [["/ro", "ot/"], ["/ho", "me/"], ["/Us", "ers/"], ["/wo", "rk/"], ["C:\\", "Users"]]
        .map(|parts| parts.concat());
    let begins = |line: &str, home: &str| {
        let before = |at: usize| line.get(..at).and_then(|before| before.chars().next_back());
        line.match_indices(home)
            .any(|(at, _)| before(at).is_none_or(|letter| !letter.is_alphanumeric() && letter != '.'))
    };
    lines(source, |line| homes.iter().any(|home| begins(line, home)), "names a folder of somebody's machine")
}

fn lines(source: &Source, wrong: impl Fn(&str) -> bool, what: &str) -> Vec<Complaint> {
    let numbered = source.text.lines().enumerate().filter(|(_, line)| wrong(line));
    let complaint = |(at, _)| Complaint { path: source.path.clone(), line: at + 1, what: what.to_owned() };
    numbered.map(complaint).collect()
}

#[cfg(test)]
mod tests {
    use super::{Rule, answers, bare_notes, functions, length, machine_paths, opening, permits, sleeps, unfinished};
    use crate::source::Source;

    /// How many complaints a rule has about a file.
    fn count(rule: Rule, path: &str, text: &str) -> usize {
        rule(&Source::new(path, text)).len()
    }

    #[test]
    fn long_files_are_found() {
        assert_eq!(count(length, "src/a.rs", &"x\n".repeat(400)), 0);
        assert_eq!(count(length, "src/a.rs", &"x\n".repeat(401)), 1);
        assert_eq!(count(length, "tests/a.rs", &"x\n".repeat(600)), 0);
        assert_eq!(count(length, "tests/a.rs", &"x\n".repeat(601)), 1);
    }

    #[test]
    fn files_that_do_not_say_what_they_are_for_are_found() {
        assert_eq!(count(opening, "src/a.rs", "//! What it is for.\n"), 0);
        for text in ["", "use x;\n//! What it is for.", "// What it is for.", "//!\n", "//! Placeholder.\n"] {
            assert_eq!(count(opening, "src/a.rs", text), 1, "{text}");
        }
    }

    #[test]
    fn long_functions_are_found() {
        let body = |lines: usize| {
            format!("trait T {{ fn a(); }}\nfn long() -> u8 {{\n{}}}\nfn short() {{}}", "x();\n".repeat(lines))
        };
        assert_eq!(count(functions, "src/a.rs", &body(58)), 0);
        assert_eq!(count(functions, "src/a.rs", &body(59)), 1);
    }

    #[test]
    fn a_second_maker_of_permits_is_found() {
        let made = "struct Permit { a: u8 } impl Permit { fn f() { Verdict::Permit(Permit { a }) } }";
        assert_eq!(count(permits, "src/policy/decide.rs", made), 0);
        assert_eq!(count(permits, "src/policy/decide.rs", &made.repeat(2)), 1);
        assert_eq!(count(permits, "src/policy/weigh.rs", made), 1);
        assert_eq!(count(permits, "tests/a.rs", "let p = Permit { a: 1 };"), 1);
    }

    #[test]
    fn a_second_maker_of_answers_is_found() {
        assert_eq!(count(answers, "src/envoy/server.rs", "CheckResponse::default()"), 1);
        assert_eq!(count(answers, "src/envoy/answer.rs", "CheckResponse { status: s(Code::Ok) }"), 0);
        assert_eq!(count(answers, "src/envoy/answer.rs", "f(Code::Ok); g(Code::Ok)"), 1);
        assert_eq!(count(answers, "src/envoy/server.rs", "f(Code::Ok)"), 1);
    }

    #[test]
    fn unfinished_things_are_found() {
        // In pieces, so that a search of the repository finds no mark where none is meant.
        let marks = [["to", "do!()"], ["unimpl", "emented!(\"x\")"], ["#[ig", "nore]"], ["#[ig", "nore = \"slow\"]"]];
        for text in marks.map(|pieces| pieces.concat()) {
            assert_eq!(count(unfinished, "tests/a.rs", &text), 1, "{text}");
        }
        let [mark, ..] = marks.map(|pieces| pieces.concat());
        assert_eq!(count(unfinished, "tests/a.rs", &format!("// todo!\nlet ignore = \"{mark}\";")), 0);
        let note = ["// TO", "DO: later"].concat();
        assert_eq!(count(bare_notes, "src/a.rs", &note), 1);
        assert_eq!(count(bare_notes, "src/a.rs", &note.replace(':', "(#12):")), 0);
    }

    #[test]
    fn sleeping_tests_are_found_and_waiting_ones_are_not() {
        assert_eq!(count(sleeps, "tests/a.rs", "while !ready() { check(); } sleep(SECOND).await;"), 1);
        assert_eq!(count(sleeps, "tests/a.rs", "while !ready() { { sleep(SECOND).await; } }"), 0);
        assert_eq!(count(sleeps, "tests/a.rs", "loop { if ready() { break } std::thread::sleep(SECOND); }"), 0);
        assert_eq!(count(sleeps, "tests/a.rs", "impl A for B { fn f() { sleep(SECOND) } }"), 1);
        assert_eq!(count(sleeps, "src/a.rs", "sleep(SECOND); #[cfg(test)] mod tests { fn f() { sleep(SECOND) } }"), 1);
    }

    #[test]
    fn paths_of_a_machine_are_found() {
        let home = ["/ho", "me/"].concat();
        assert_eq!(count(machine_paths, "docs/a.md", &format!("see {home}me/x and `{home}me/y`")), 1);
        assert_eq!(count(machine_paths, "docs/a.md", &format!("see https://example.com{home}page")), 0);
    }
}
