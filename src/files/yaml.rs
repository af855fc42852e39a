//! From the bytes of a YAML stream to values, and to the place of every field.
//!
//! YAML 1.2 with its core schema, of which JSON is a part, without what makes one text mean two things: anchors and
//! aliases, merge keys, tags of one's own, duplicate keys, keys that are no strings. What is left means the same to
//! everybody who reads the file. [`parse`] takes any bytes at all; it is the entry for fuzzing, too.

mod anchors;
mod build;
mod lines;
mod packed;
mod scalar;
mod syntax;
mod text;

use std::fmt;
use std::panic::{UnwindSafe, catch_unwind};

use serde_json::Value;

pub use lines::Lines;
pub(super) use packed::Packed;

use anchors::Anchors;
use lines::Place;

/// Longest stream (4 MiB).
pub const MOST_BYTES: usize = 4 << 20;
/// Most scalars, lists and mappings in a stream, keys included.
pub const MOST_NODES: usize = 100_000;
/// Most lists and mappings inside one another.
pub const MOST_DEPTH: usize = 64;

/// One document of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// What it says.
    pub body: Value,
    /// Where it says so.
    pub lines: Lines,
}

/// Why a stream cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1, in characters.
    pub column: u32,
    /// What is wrong there, and what to write instead. Of the file it shows one key or scalar at most, cut short.
    pub message: Box<str>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for Problem {}

/// Reads a stream. Empty documents are left out.
///
/// # Errors
/// The first [`Problem`].
pub fn parse(bytes: &[u8]) -> Result<Vec<Document>, Problem> {
    let text = text::text(bytes)?;
    guarded(|| build::documents(text, None))
}

/// Reads a stream that was written for another program, in which aliases stand for what they name. It is no way to read
/// policies: what an alias stands for is easily overlooked.
///
/// # Errors
/// The first [`Problem`]; one is that aliases repeat too much.
pub fn parse_with_aliases(bytes: &[u8]) -> Result<Vec<Document>, Problem> {
    let text = text::text(bytes)?;
    guarded(|| build::documents(text, Some(Anchors::default())))
}

/// Does `work`. Where it panics, which would be a bug of the parser, one file is refused and reading files goes on.
fn guarded<T>(work: impl FnOnce() -> Result<T, Problem> + UnwindSafe) -> Result<T, Problem> {
    catch_unwind(work).unwrap_or_else(|_| {
        Err(Place::START.problem("the YAML parser failed on this file, which is a bug; write the file in simpler YAML"))
    })
}

#[cfg(test)]
mod tests {
    use super::guarded;

    #[test]
    fn a_panic_of_the_parser_refuses_one_file() {
        let refused = guarded::<()>(|| panic!("broken"));
        assert!(refused.is_err_and(|problem| problem.to_string().starts_with("1:1: the YAML parser failed")));
    }
}
