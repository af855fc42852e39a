//! The last good contents of every file, and what follows from them when the files are read again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};

use super::contents::{self, Contents};
use super::directory::{self, Found, Listing};
use super::library::{FileProblem, Library};
use super::yaml::Problem;

/// How often a directory that changes while it is read is read again, before that counts as a problem.
const MOST_ATTEMPTS: usize = 8;

/// What came of reading a directory.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The resources; the same pointer as before if nothing changed. `None` if rules may be missing, because a file was
    /// never readable: then nothing may be published, and what was published before stays in force.
    pub library: Option<Arc<Library>>,
    /// What is wrong with the files, ordered by file and place.
    pub problems: Vec<FileProblem>,
}

impl Reading {
    /// Whether there is nothing in the other reading that is not in this one.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let pointers = [self, other].map(|reading| reading.library.as_ref().map(Arc::as_ptr));
        pointers[0] == pointers[1] && self.problems == other.problems
    }
}

/// A directory, with the last good contents of each of its files.
#[derive(Debug)]
pub struct Shelf {
    directory: PathBuf,
    slots: BTreeMap<PathBuf, Slot>,
    /// The last one that could be put together.
    library: Option<Arc<Library>>,
    /// Whether the slots hold anything else than `library`.
    is_stale: bool,
}

#[derive(Debug)]
struct Slot {
    file: Arc<str>,
    /// Of the last bytes that were read.
    digest: Option<Box<[u8]>>,
    /// What is wrong with those bytes.
    problems: Vec<FileProblem>,
    /// What those bytes hold, or else the last ones that were good.
    good: Option<Contents>,
}

/// A directory as it was at one moment.
struct Survey {
    files: BTreeMap<PathBuf, Copy>,
    unlisted: BTreeMap<PathBuf, Box<str>>,
}

/// A file as it was at that moment.
enum Copy {
    /// The bytes of last time.
    Same,
    /// Other bytes: their digest, and what they hold.
    Other(Box<[u8]>, Result<Contents, Vec<Problem>>),
    Unreadable(Box<str>),
}

impl Shelf {
    /// A shelf on which nothing stands yet.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), slots: BTreeMap::new(), library: None, is_stale: true }
    }

    /// Reads the directory. Blocks: not for an async worker.
    pub fn reread(&mut self) -> Reading {
        let Some(survey) = self.survey() else {
            let message =
                format!("changed {MOST_ATTEMPTS} times while it was read; replace files by renaming complete ones");
            let problem = FileProblem::whole(&printable(&self.directory), message);
            return Reading { library: self.library.clone(), problems: vec![problem] };
        };
        let is_whole = self.is_whole(&survey);
        let mut problems = self.take(survey);
        let library = if is_whole && self.slots.values().all(|slot| slot.good.is_some()) {
            problems.extend(self.assemble());
            self.library.clone()
        } else {
            None
        };
        problems.sort();
        Reading { library, problems }
    }

    /// Reads until nothing changed in between.
    fn survey(&self) -> Option<Survey> {
        let mut listing = Listing::of(&self.directory);
        for _ in 0..MOST_ATTEMPTS {
            let copy = |(name, found): (&PathBuf, &Found)| (name.clone(), self.copy(name, found));
            let files = listing.files.iter().map(copy).collect();
            let after = Listing::of(&self.directory);
            if after == listing {
                return Some(Survey { files, unlisted: after.unlisted });
            }
            listing = after;
        }
        None
    }

    fn copy(&self, name: &Path, found: &Found) -> Copy {
        let bytes = match found.stamp.clone().and_then(|_| directory::read(&found.path)) {
            Ok(bytes) => bytes,
            Err(why) => return Copy::Unreadable(why),
        };
        let digest = digest(&SHA256, &bytes);
        match self.slots.get(name).and_then(|slot| slot.digest.as_deref()) {
            Some(known) if known == digest.as_ref() => Copy::Same,
            Some(_) | None => Copy::Other(digest.as_ref().into(), contents::read(&bytes)),
        }
    }

    /// Whether of every part that cannot be listed some files are known from before.
    fn is_whole(&self, survey: &Survey) -> bool {
        survey.unlisted.keys().all(|part| self.slots.keys().any(|name| name.starts_with(part)))
    }

    /// Takes in what was read. The answer is what is wrong with it.
    fn take(&mut self, survey: Survey) -> Vec<FileProblem> {
        let Survey { files, unlisted } = survey;
        let before = self.slots.len();
        self.slots.retain(|name, _| files.contains_key(name) || unlisted.keys().any(|part| name.starts_with(part)));
        self.is_stale |= self.slots.len() != before;

        let mut problems = Vec::new();
        for (part, why) in unlisted {
            let part = if part.as_os_str().is_empty() { printable(&self.directory) } else { printable(&part) };
            problems.push(FileProblem::whole(&part, why));
        }
        for (name, copy) in files {
            let slot = self.slots.entry(name).or_insert_with_key(|name| Slot::new(name));
            match copy {
                Copy::Same => {}
                Copy::Other(digest, contents) => {
                    self.is_stale |= contents.is_ok();
                    slot.digest = Some(digest);
                    slot.fill(contents, self.library.as_deref());
                }
                Copy::Unreadable(why) => {
                    problems.push(FileProblem::whole(&slot.file, why));
                    continue;
                }
            }
            problems.extend(slot.problems.iter().cloned());
        }
        problems
    }

    /// Puts the library together, if it is not the one that there is.
    fn assemble(&mut self) -> Vec<FileProblem> {
        if !self.is_stale {
            return Vec::new();
        }
        let filled = self.slots.values().filter_map(|slot| Some((&slot.file, slot.good.as_ref()?)));
        match Library::assemble(filled) {
            Ok(library) => {
                self.library = Some(Arc::new(library));
                self.is_stale = false;
                Vec::new()
            }
            Err(problems) => problems,
        }
    }
}

impl Slot {
    fn new(name: &Path) -> Self {
        Self { file: printable(name), digest: None, problems: Vec::new(), good: None }
    }

    /// Fills in what the file holds. Resources that are what they were in `former` keep their pointers.
    fn fill(&mut self, contents: Result<Contents, Vec<Problem>>, former: Option<&Library>) {
        self.problems.clear();
        match contents {
            Err(problems) => {
                self.problems.extend(problems.into_iter().map(|problem| FileProblem::of(&self.file, problem)));
            }
            Ok(mut contents) => {
                for held in &mut contents.held {
                    let known = former.and_then(|former| former.resources.get(&held.object.id));
                    if let Some(known) = known.filter(|known| **known == held.object) {
                        held.object = Arc::clone(known);
                    }
                }
                self.good = Some(contents);
            }
        }
    }
}

/// A name for people to read, on one line.
pub(super) fn printable(path: &Path) -> Arc<str> {
    let mut text = String::new();
    for character in path.to_string_lossy().chars() {
        if character.is_control() { text.extend(character.escape_default()) } else { text.push(character) }
    }
    text.into()
}
