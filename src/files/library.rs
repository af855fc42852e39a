//! The resources of a directory, and the way back from a fault to file, line and column.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::api::fault::Fault;
use crate::api::object::{ObjectId, Resources};

use super::contents::{self, Contents, Held};
use super::directory;
use super::shelf::printable;
use super::yaml::{Packed, Problem};

/// The resources of all files of a directory, read at one moment.
#[derive(Debug, Default)]
pub struct Library {
    /// The resources.
    pub resources: Resources,
    /// How many files there are.
    pub files: usize,
    /// How many resources of kinds that do not concern us the files hold.
    pub foreign: usize,
    origins: BTreeMap<ObjectId, Origin>,
}

/// Where a resource comes from.
#[derive(Debug)]
struct Origin {
    file: Arc<str>,
    lines: Arc<Packed>,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The file, relative to the directory.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1, in characters.
    pub column: u32,
}

impl Location {
    fn of(file: &Arc<str>, (line, column): (u32, u32)) -> Self {
        Self { file: Arc::clone(file), line, column }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Why a file cannot be read as it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileProblem {
    /// The file, relative to the directory; the directory itself, as it was named, if that is what cannot be read.
    pub file: Arc<str>,
    /// The line, from 1; 1 if the whole file is meant.
    pub line: u32,
    /// The column, from 1, in characters.
    pub column: u32,
    /// What is wrong there, and what to do about it.
    pub message: Box<str>,
}

impl FileProblem {
    /// A problem of a whole file.
    pub(super) fn whole(file: &Arc<str>, message: impl Into<Box<str>>) -> Self {
        Self { file: Arc::clone(file), line: 1, column: 1, message: message.into() }
    }

    /// A problem at a place in a file.
    pub(super) fn of(file: &Arc<str>, problem: Problem) -> Self {
        let Problem { line, column, message } = problem;
        Self { file: Arc::clone(file), line, column, message }
    }
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

impl std::error::Error for FileProblem {}

impl Library {
    /// The resources of one file, in no directory. Blocks.
    ///
    /// # Errors
    /// All that is wrong with the file.
    pub fn read(file: &Path) -> Result<Self, Vec<FileProblem>> {
        let name = printable(file);
        let bytes = directory::read(file).map_err(|why| vec![FileProblem::whole(&name, why)])?;
        let place = |problem| FileProblem::of(&name, problem);
        let contents = contents::read(&bytes);
        let contents = contents.map_err(|problems| problems.into_iter().map(place).collect::<Vec<_>>())?;
        Self::assemble(std::iter::once((&name, &contents)))
    }

    /// Puts the contents of files together.
    ///
    /// # Errors
    /// All resources that an earlier file holds, too.
    pub(super) fn assemble<'c>(
        files: impl Iterator<Item = (&'c Arc<str>, &'c Contents)>,
    ) -> Result<Self, Vec<FileProblem>> {
        let mut library = Self::default();
        let mut problems = Vec::new();
        for (file, contents) in files {
            library.files = library.files.saturating_add(1);
            library.foreign = library.foreign.saturating_add(contents.foreign);
            problems.extend(contents.held.iter().filter_map(|held| library.add(file, held)));
        }
        if problems.is_empty() { Ok(library) } else { Err(problems) }
    }

    /// Adds a resource, unless there is one of its identity.
    fn add(&mut self, file: &Arc<str>, held: &Held) -> Option<FileProblem> {
        let id = &held.object.id;
        if let Some(first) = self.origins.get(id) {
            let first = Location::of(&first.file, contents::named(&first.lines));
            let (line, column) = contents::named(&held.lines);
            let message = format!("{id} stands at {first} already; remove one of the two").into();
            return Some(FileProblem { file: Arc::clone(file), line, column, message });
        }
        self.origins.insert(id.clone(), Origin { file: Arc::clone(file), lines: Arc::clone(&held.lines) });
        self.resources.put(Arc::clone(&held.object));
        None
    }

    /// Where the field stands that a fault is about, or else the nearest one above it. `None` if the resource does not
    /// come from here.
    #[must_use]
    pub fn locate(&self, fault: &Fault) -> Option<Location> {
        let origin = self.origins.get(&fault.object)?;
        Some(Location::of(&origin.file, origin.lines.line(&fault.path)?))
    }

    /// A fault with its place: `orders/policy.yaml:12:5: AccessPolicy shop/orders: spec.routes[0].path: must begin …`.
    #[must_use]
    pub fn describe(&self, fault: &Fault) -> String {
        self.locate(fault).map_or_else(|| fault.to_string(), |location| format!("{location}: {fault}"))
    }
}
