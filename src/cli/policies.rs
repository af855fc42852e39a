//! Resources from files for commands that read them once; what is wrong with them is said on standard error.

use std::path::Path;
use std::sync::Arc;

use crate::api::compile::{Compiled, Compiler};
use crate::api::settings::Settings;
use crate::files::library::{FileProblem, Library};
use crate::files::shelf::Shelf;

use super::UsageError;
use super::out::Out;

/// All resources of a directory.
pub(super) fn directory(path: &Path) -> Result<Arc<Library>, UsageError> {
    exists(path)?;
    let reading = Shelf::new(path).reread();
    match reading.library {
        // Of a file that cannot be read nobody knows what it would change.
        Some(library) if reading.problems.is_empty() => Ok(library),
        Some(_) | None => Err(unreadable(path, &reading.problems)),
    }
}

/// All resources of a file.
pub(super) fn file(path: &Path) -> Result<Library, UsageError> {
    Library::read(path).map_err(|problems| unreadable(path, &problems))
}

/// Whether there is a directory to read policies from.
pub(super) fn exists(path: &Path) -> Result<(), UsageError> {
    if path.is_dir() {
        return Ok(());
    }
    Err(UsageError::new(format!("--policies: there is no directory `{}`; name one with YAML files", path.display())))
}

/// Compiles them, and warns of each fault with its place.
pub(super) fn compile(library: &Library, settings: &Settings) -> Compiled {
    let compiled = Compiler::default().compile(&library.resources, settings);
    for fault in &compiled.faults {
        Out.complain(&format!("warning: {}", library.describe(fault)));
    }
    compiled
}

fn unreadable(path: &Path, problems: &[FileProblem]) -> UsageError {
    for problem in problems {
        Out.complain(&problem.to_string());
    }
    UsageError::new(format!("the resources in `{}` cannot be read; the lines above say where and why", path.display()))
}
