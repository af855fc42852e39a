//! What lies in a directory: the files that hold resources, and by what to tell that one of them is another than before.
//!
//! Kubernetes mounts a ConfigMap as a directory of links: `orders.yaml` leads to `..data/orders.yaml`, and `..data` to the
//! directory of the present generation; an update turns that one link, and then adds and removes names. Where there is
//! a `..data`, what lies behind it is therefore the truth, not the links beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::yaml::MOST_BYTES;

/// Most files that hold resources.
pub(super) const MOST_FILES: usize = 10_000;
/// The link that Kubernetes turns.
const GENERATION: &str = "..data";

/// What lies in a directory and below it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    /// The files by their names relative to the directory.
    pub(super) files: BTreeMap<PathBuf, Found>,
    /// The directories that were read, as they can be opened.
    pub(super) directories: BTreeSet<PathBuf>,
    /// What cannot be listed, by its name relative to the directory, and why not. Nobody knows which files it holds.
    pub(super) unlisted: BTreeMap<PathBuf, Box<str>>,
}

/// A file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Where it can be opened.
    pub(super) path: PathBuf,
    /// Which file it is; or why it cannot be read.
    pub(super) stamp: Result<Stamp, Box<str>>,
}

/// Another file, or other contents, have another stamp; unless they come within one tick of the file system's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    file: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            file: identity(metadata),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// A directory to be read.
struct Visit {
    /// Its name relative to the top.
    name: PathBuf,
    /// Where it can be opened.
    path: PathBuf,
    /// The directories above it, and it itself.
    above: Vec<(u64, u64)>,
}

impl Listing {
    /// Lists `directory` and all below it. Names that begin with a dot are not looked at.
    pub(super) fn of(directory: &Path) -> Self {
        let mut listing = Self::default();
        let mut visits = Vec::new();
        let top = Visit { name: PathBuf::new(), path: directory.to_owned(), above: Vec::new() };
        match fs::metadata(directory) {
            Ok(metadata) => visits.extend(top.below(&metadata, PathBuf::new(), directory.to_owned())),
            Err(error) => listing.miss(PathBuf::new(), &error),
        }
        while let Some(visit) = visits.pop() {
            if let Err(error) = listing.visit(&visit, &mut visits) {
                listing.miss(visit.name.clone(), &error);
            }
            if listing.files.len() > MOST_FILES {
                let message = format!("holds more than {MOST_FILES} files; merge some of them");
                listing.unlisted.insert(PathBuf::new(), message.into());
                break;
            }
            listing.directories.insert(visit.path);
        }
        listing
    }

    fn miss(&mut self, name: PathBuf, error: &io::Error) {
        self.unlisted.insert(name, format!("the directory cannot be listed: {}", error.kind()).into());
    }

    fn visit(&mut self, visit: &Visit, visits: &mut Vec<Visit>) -> io::Result<()> {
        for (name, path) in entries(&visit.path)? {
            let name = visit.name.join(name);
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => visits.extend(visit.below(&metadata, name, path)),
                _ if !holds_resources(&name) => {}
                Ok(metadata) if metadata.is_file() => {
                    self.files.insert(name, Found { path, stamp: Ok(Stamp::of(&metadata)) });
                }
                Ok(_) => {
                    self.files.insert(name, Found { path, stamp: Err("is not a regular file; remove it".into()) });
                }
                Err(error) => {
                    self.files.insert(name, Found { path, stamp: Err(unreadable(&error)) });
                }
            }
        }
        Ok(())
    }
}

impl Visit {
    /// The visit of a directory in this one; none if that is one of those above it, which are being read already.
    fn below(&self, metadata: &Metadata, name: PathBuf, path: PathBuf) -> Option<Self> {
        let own = identity(metadata);
        let above = || self.above.iter().copied().chain([own]).collect();
        (!self.above.contains(&own)).then(|| Self { name, path, above: above() })
    }
}

/// The bytes of a file, up to one more than may be read.
///
/// # Errors
/// Why it cannot be read.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Box<str>> {
    let mut bytes = Vec::new();
    let most = u64::try_from(MOST_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let read = File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes));
    read.map(|_| bytes).map_err(|error| unreadable(&error))
}

fn unreadable(error: &io::Error) -> Box<str> {
    format!("the file cannot be read: {}; mend or remove it", error.kind()).into()
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// The names in a directory without a dot in front, and where each can be opened.
fn entries(directory: &Path) -> io::Result<BTreeMap<PathBuf, PathBuf>> {
    let mut entries = BTreeMap::new();
    let generation = fs::read_link(directory.join(GENERATION)).ok().map(|link| directory.join(link));
    for (name, path) in names(directory)? {
        let link = fs::read_link(&path).ok().filter(|_| generation.is_some());
        if !link.is_some_and(|link| link.starts_with(GENERATION)) {
            entries.insert(name, path);
        }
    }
    if let Some(generation) = generation {
        entries.extend(names(&generation)?);
    }
    Ok(entries)
}

fn names(directory: &Path) -> io::Result<Vec<(PathBuf, PathBuf)>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = PathBuf::from(entry?.file_name());
        if !name.as_os_str().as_encoded_bytes().starts_with(b".") {
            let path = directory.join(&name);
            names.push((name, path));
        }
    }
    Ok(names)
}

fn holds_resources(name: &Path) -> bool {
    let extension = name.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|own| extension.eq_ignore_ascii_case(own)))
}
