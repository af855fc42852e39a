//! Where the fields of a document stand.

use std::collections::HashSet;
use std::sync::Arc;

use saphyr_parser::Marker;

use crate::api::field_path::{FieldPath, Step};

use super::Problem;

/// A place in a text, counted from 1; columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: u32,
    pub(super) column: u32,
}

impl Place {
    /// The beginning of a text.
    pub(super) const START: Self = Self { line: 1, column: 1 };

    /// Where the parser is.
    pub(super) fn of(marker: Marker) -> Self {
        Self { line: narrow(marker.line()), column: narrow(marker.col().saturating_add(1)) }
    }

    /// Where a text that begins with `before` goes on. A line ends with LF, CR, or both.
    pub(super) fn after(before: &str) -> Self {
        let breaks = before.matches('\n').count().saturating_add(before.matches('\r').count());
        let lines = breaks.saturating_sub(before.matches("\r\n").count());
        let column = before.chars().rev().take_while(|character| !matches!(character, '\n' | '\r')).count();
        Self { line: narrow(lines.saturating_add(1)), column: narrow(column.saturating_add(1)) }
    }

    /// A problem here.
    pub(super) fn problem(self, message: impl Into<Box<str>>) -> Problem {
        Problem { line: self.line, column: self.column, message: message.into() }
    }
}

fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The places of all fields of a document.
///
/// INVARIANT: entries stand in the order of the document, each before what it contains; `end` is the first entry behind
/// that, and so greater than the entry's own position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines(pub(super) Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The name of a member; `None` for an element of a list, and for the document itself.
    pub(super) name: Option<Arc<str>>,
    pub(super) at: Place,
    pub(super) end: usize,
}

impl Lines {
    /// Line and column of a field, counted from 1: of its name, or of the value of a list's element. If there is no such
    /// field, of the nearest one above it that exists. `None` if nothing is known of the document.
    #[must_use]
    pub fn line(&self, path: &FieldPath) -> Option<(u32, u32)> {
        let mut nearest = 0;
        for step in path.steps() {
            let Some(child) = self.child(nearest, step) else { break };
            nearest = child;
        }
        self.0.get(nearest).map(|entry| (entry.at.line, entry.at.column))
    }

    /// The places of the fields below `path`, as of a document of its own; none if there is no such field.
    #[must_use]
    pub fn below(&self, path: &FieldPath) -> Self {
        let found = path.steps().iter().try_fold(0, |at, step| self.child(at, step));
        let Some((start, top)) = found.and_then(|start| Some((start, self.0.get(start)?))) else {
            return Self::default();
        };
        let mut entries = self.0.get(start..top.end).unwrap_or_default().to_vec();
        for entry in &mut entries {
            entry.end = entry.end.saturating_sub(start);
        }
        if let Some(top) = entries.first_mut() {
            top.name = None;
        }
        Self(entries)
    }

    /// The entry that one step leads to.
    fn child(&self, parent: usize, step: &Step) -> Option<usize> {
        let end = self.0.get(parent)?.end;
        let first = Some(parent.saturating_add(1)).filter(|first| *first < end);
        let mut children =
            std::iter::successors(first, |child| Some(self.0.get(*child)?.end).filter(|next| *next < end));
        match step {
            Step::Field(name) => children.find(|child| self.name(*child) == Some(name)),
            Step::Index(index) => children.nth(*index).filter(|child| self.name(*child).is_none()),
        }
    }

    fn name(&self, entry: usize) -> Option<&str> {
        self.0.get(entry)?.name.as_deref()
    }
}

/// [`Lines`] that grow while a stream is read. Names are shared by all documents of the stream.
#[derive(Debug, Default)]
pub(super) struct Draft {
    lines: Lines,
    names: HashSet<Arc<str>>,
}

impl Draft {
    /// Notes a member's name.
    pub(super) fn member(&mut self, name: &str, at: Place) -> usize {
        let name = self.names.get(name).cloned().unwrap_or_else(|| {
            let name: Arc<str> = name.into();
            self.names.insert(Arc::clone(&name));
            name
        });
        self.push(Some(name), at)
    }

    /// Notes an element of a list, or the document itself.
    pub(super) fn element(&mut self, at: Place) -> usize {
        self.push(None, at)
    }

    /// Says that everything in this entry was noted.
    pub(super) fn close(&mut self, entry: usize) {
        let end = self.lines.0.len();
        if let Some(entry) = self.lines.0.get_mut(entry) {
            entry.end = end;
        }
    }

    /// The line of a member that was noted in this entry.
    pub(super) fn line_of(&mut self, entry: usize, name: &str) -> Option<u32> {
        self.close(entry);
        let child = self.lines.child(entry, &Step::Field(name.into()))?;
        self.lines.0.get(child).map(|entry| entry.at.line)
    }

    /// The document is over.
    pub(super) fn finish(&mut self) -> Lines {
        let mut lines = std::mem::take(&mut self.lines);
        lines.0.shrink_to_fit();
        lines
    }

    fn push(&mut self, name: Option<Arc<str>>, at: Place) -> usize {
        let entry = self.lines.0.len();
        self.lines.0.push(Entry { name, at, end: entry.saturating_add(1) });
        entry
    }
}
