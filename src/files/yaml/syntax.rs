//! What is wrong with a text that is not YAML, in words that help to repair it.

use saphyr_parser::ScanError;

use super::lines::Place;
use super::{MOST_DEPTH, Problem};

/// Why there are no aliases. Hosts with a wildcard are the usual cause.
pub(super) const ALIAS: &str =
    "`*` begins an alias, which is not supported; put a text that begins with `*` in quotes, write anything else out";
/// Why there are no anchors.
pub(super) const ANCHOR: &str =
    "`&` begins an anchor, which is not supported; put a text that begins with `&` in quotes, write anything else out";

/// The problem behind an error of the parser. The character at its place says more about the remedy than its words.
pub(super) fn problem(text: &str, error: &ScanError) -> Problem {
    let marker = error.marker();
    let what = error.info();
    let message = match text.chars().nth(marker.index()) {
        Some('*') => ALIAS.to_owned(),
        Some('&') => ANCHOR.to_owned(),
        Some('\t') => "a tab cannot indent here; use spaces".to_owned(),
        Some('@' | '`' | '%') => "no plain value begins with this character; put the value in quotes".to_owned(),
        Some('[' | '{') => format!(
            "a bracket is out of place here, or more than {MOST_DEPTH} levels deep: {what}; remove it, or put the text in quotes"
        ),
        Some('"' | '\'') => format!(
            "the quoted text that begins here is not valid YAML: {what}; end it with the same quote, and write a backslash in double quotes twice"
        ),
        Some(_) => format!("is not valid YAML: {what}; check indentation, colons, quotes and brackets here and above"),
        None => format!("the file ends too early: {what}; check colons, quotes and brackets above"),
    };
    Place::of(*marker).problem(message)
}
