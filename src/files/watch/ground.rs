//! Which directories to watch, and which of the events there may have changed what is read.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

use notify::event::{AccessKind, AccessMode, EventKind};

use super::super::directory::Listing;

/// Links in a row that are followed; Linux follows as many.
const MOST_LINKS: usize = 40;

/// The directories that are read, and the names that lead to them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ground {
    /// The directories that are read: everything that happens there counts.
    directories: BTreeSet<PathBuf>,
    /// The links on the way to the top, and the directory at its end: whoever renames or turns one of them turns the
    /// whole directory. Of what happens beside them nothing else counts.
    turns: BTreeSet<PathBuf>,
}

impl Ground {
    /// The ground of `directory`, as it is at this moment.
    pub(super) fn of(directory: &Path) -> Self {
        let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
        let Listing { directories, .. } = Listing::of(&directory);
        Self { directories, turns: turns(&directory) }
    }

    /// The directories that are read, each before those below it.
    pub(super) fn directories(&self) -> impl Iterator<Item = &PathBuf> {
        self.directories.iter()
    }

    /// The directories in which the way to the top can turn.
    pub(super) fn bystanders(&self) -> impl Iterator<Item = &Path> {
        self.turns.iter().filter_map(|turn| turn.parent())
    }

    /// Whether after this event something else may be read than before. In doubt it is.
    pub(super) fn concerns(&self, event: &notify::Result<notify::Event>) -> bool {
        let Ok(event) = event else { return true };
        let is_reading = matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write));
        if is_reading {
            return false;
        }
        event.paths.is_empty() || event.paths.iter().any(|path| self.holds(path))
    }

    fn holds(&self, path: &Path) -> bool {
        let is_inside = path.parent().is_some_and(|parent| self.directories.contains(parent));
        is_inside || self.directories.contains(path) || self.turns.contains(path)
    }
}

/// The links that lead to `directory`, which is absolute, and where they end.
fn turns(directory: &Path) -> BTreeSet<PathBuf> {
    let mut turns = BTreeSet::new();
    let mut here = PathBuf::new();
    let mut ahead = steps(directory);
    while let Some(step) = ahead.pop_front() {
        if step == ".." {
            here.pop();
            continue;
        }
        here.push(step);
        let Ok(target) = fs::read_link(&here) else { continue };
        if turns.len() == MOST_LINKS {
            break;
        }
        turns.insert(here.clone());
        here.pop();
        let mut target = steps(&target);
        target.append(&mut ahead);
        ahead = target;
    }
    turns.insert(here);
    turns
}

/// The components of a path. One that is absolute takes the place of what it is joined to.
fn steps(path: &Path) -> VecDeque<OsString> {
    let names = path.components().filter(|component| *component != Component::CurDir);
    names.map(|component| component.as_os_str().to_owned()).collect()
}
