//! The one way to standard output, so that a closed pipe is an ordinary end and nothing else prints by accident.

use std::io::{self, Write};

/// Writes to standard output, complaints to standard error.
#[derive(Debug, Default)]
pub struct Out;

impl Out {
    /// Writes a line to standard output. A reader that went away is not an error.
    pub fn line(&self, text: &str) {
        write_line(io::stdout().lock(), text);
    }

    /// Writes a line to standard error.
    pub fn complain(&self, text: &str) {
        write_line(io::stderr().lock(), text);
    }
}

fn write_line(mut to: impl Write, text: &str) {
    if writeln!(to, "{text}").and_then(|()| to.flush()).is_err() {
        // Nobody is left to tell: the stream that would carry the complaint is the one that failed.
    }
}
