//! The one way to standard output, so that a closed pipe is an ordinary end and nothing else prints by accident.

use std::io::{self, Write};

/// Writes to standard output, complaints to standard error.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Out;

impl Out {
    /// Writes a line to standard output. A reader that went away is not an error.
    pub(super) fn line(self, text: &str) {
        write(io::stdout().lock(), format_args!("{text}\n"));
    }

    /// Writes bytes to standard output as they are.
    pub(super) fn bytes(self, bytes: &[u8]) {
        let mut out = io::stdout().lock();
        if out.write_all(bytes).and_then(|()| out.flush()).is_err() {
            // As in `write`.
        }
    }

    /// Writes a line to standard error.
    pub(super) fn complain(self, text: &str) {
        write(io::stderr().lock(), format_args!("{text}\n"));
    }
}

fn write(mut to: impl Write, text: std::fmt::Arguments<'_>) {
    if to.write_fmt(text).and_then(|()| to.flush()).is_err() {
        // Nobody is left to tell: the stream that would carry the complaint is the one that failed.
    }
}
