//! `yaml`: any bytes as a policy file. What is read means the same once more as JSON, and everything has a place in it.

use entrance::api::field_path::FieldPath;
use entrance::files::yaml::{Document, Problem, parse, parse_with_aliases};
use serde_json::Value;

/// For mutations.
pub const WORDS: &[&str] = &[
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "kind: AccessPolicy\n",
    "spec:\n",
    "  routes:\n",
    "  - name: a\n",
    "- ",
    "? ",
    ": ",
    "\n  ",
    "{",
    "}",
    "[",
    "]",
    ", ",
    "\"",
    "'",
    "\"\\u00e9\\x41\\U0001f600\"",
    "\\ud83d",
    "|\n  ",
    ">-\n  ",
    "|2+\n",
    "&anchor ",
    "*anchor",
    "<<: ",
    "!!str ",
    "!!binary ",
    "!own ",
    "# comment\n",
    "~",
    "null",
    "yes",
    "0o17",
    "0x1F",
    "1_000",
    ".inf",
    ".nan",
    "-0",
    "1e400",
    "9223372036854775808",
    "\t",
    "\r\n",
    "\u{85}",
    "\u{2028}",
    "\u{feff}",
];

/// Longest message about one place: it quotes one key or scalar at most, cut short.
const LONGEST_MESSAGE: usize = 600;

/// The target.
///
/// # Panics
/// A value that does not survive being written as JSON, a field without a place, a problem outside the file, or a file
/// without aliases that means something else where they are allowed.
pub fn yaml(data: &[u8]) {
    let plain = parse(data);
    match parse_with_aliases(data) {
        Ok(documents) => {
            assert!(
                plain.as_ref().is_ok_and(|plain| *plain == documents) || plain.is_err(),
                "{plain:?}, {documents:?}"
            );
            documents.iter().for_each(|document| everywhere(document, data));
        }
        Err(problem) => placed(&problem, data),
    }
    match plain {
        Ok(documents) => documents.iter().for_each(|document| sound(document, data)),
        Err(problem) => placed(&problem, data),
    }
}

fn sound(document: &Document, data: &[u8]) {
    let text = serde_json::to_string_pretty(&document.body).expect("JSON");
    let again = parse(text.as_bytes()).map(|documents| documents.into_iter().map(|document| document.body).collect());
    assert_eq!(again, Ok(vec![document.body.clone()]), "{text}");
    everywhere(document, data);
}

/// Every field has a place.
fn everywhere(document: &Document, data: &[u8]) {
    let place = |path: &FieldPath| {
        let (line, column) = document.lines.line(path).expect("a place");
        assert!(inside(line, column, data), "{line}:{column}");
    };
    each(&document.body, &FieldPath::root(), &place);
}

fn each(value: &Value, path: &FieldPath, place: &dyn Fn(&FieldPath)) {
    place(path);
    match value {
        Value::Array(items) => items.iter().enumerate().for_each(|(at, item)| each(item, &path.index(at), place)),
        Value::Object(members) => members.iter().for_each(|(name, member)| each(member, &path.field(name), place)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn placed(problem: &Problem, data: &[u8]) {
    assert!(inside(problem.line, problem.column, data), "{problem}");
    assert!(problem.message.len() <= LONGEST_MESSAGE, "{problem}");
    assert!(!problem.message.contains(char::is_control), "{problem:?}");
    assert!(!problem.message.contains("which is a bug"), "the parser panics");
}

/// Whether there is such a place. Lines end as YAML ends them. What is missing at the end of the file is missed where the
/// next line would begin.
fn inside(line: u32, column: u32, data: &[u8]) -> bool {
    let ends = data.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
    let line = usize::try_from(line).expect("a small number");
    let column = usize::try_from(column).expect("a small number");
    (1..=ends + 2).contains(&line) && (1..=data.len() + 1).contains(&column)
}
