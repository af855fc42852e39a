//! Where audit lines go: standard output, or a file that is rotated by size.
//!
//! Rotation renames `audit.log` to `audit.log.1`, that one to `audit.log.2`, and so on; the oldest is deleted. A batch
//! is never split, so a file ends with a whole line.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Where to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// A file.
    File(FileOutput),
}

/// A file that is rotated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOutput {
    /// The file that is written to; created with mode 0640.
    pub path: PathBuf,
    /// Rotate before it grows beyond this many bytes.
    pub max_bytes: u64,
    /// Rotated files to keep; with 0 the file starts anew.
    pub keep: u32,
}

impl Output {
    /// Opens it for appending.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(self) -> io::Result<Box<dyn Writer>> {
        match self {
            Self::Stdout => Ok(Box::new(Stdout)),
            Self::File(settings) => Ok(Box::new(Rotating::open(settings)?)),
        }
    }
}

/// Takes whole lines.
pub trait Writer: Send {
    /// Writes some lines, and makes sure that they have left this process.
    ///
    /// # Errors
    /// Not all was written.
    fn write_batch(&mut self, lines: &[u8]) -> io::Result<()>;
}

struct Stdout;

impl Writer for Stdout {
    fn write_batch(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(lines)?;
        out.flush()
    }
}

struct Rotating {
    settings: FileOutput,
    file: File,
    size: u64,
}

impl Rotating {
    fn open(settings: FileOutput) -> io::Result<Self> {
        let file = append(&settings.path)?;
        let size = file.metadata()?.len();
        Ok(Self { settings, file, size })
    }

    fn rotate(&mut self) -> io::Result<()> {
        // Taken away by somebody, or renamed by an attempt that then failed: older files must not move up once more.
        if self.settings.path.try_exists()? {
            self.make_room()?;
        }
        self.file = append(&self.settings.path)?;
        self.size = 0;
        Ok(())
    }

    fn make_room(&self) -> io::Result<()> {
        let FileOutput { path, keep, .. } = &self.settings;
        for number in (1..*keep).rev() {
            let from = numbered(path, number);
            if from.try_exists()? {
                fs::rename(from, numbered(path, number.saturating_add(1)))?;
            }
        }
        if *keep == 0 {
            fs::remove_file(path)?;
        } else {
            fs::rename(path, numbered(path, 1))?;
        }
        Ok(())
    }
}

impl Writer for Rotating {
    fn write_batch(&mut self, lines: &[u8]) -> io::Result<()> {
        let more = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        if self.size > 0 && self.size.saturating_add(more) > self.settings.max_bytes {
            // a file that cannot be rotated grows on: a long log is better than none
            if let Err(error) = self.rotate() {
                tracing::warn!(%error, "the audit log cannot be rotated");
            }
        }
        self.file.write_all(lines)?;
        self.size = self.size.saturating_add(more);
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::{FileOutput, Output};
    use std::fs;
    use tempfile::tempdir;

    #[test]
    fn a_file_is_rotated_before_it_grows_too_large() {
        let directory = tempdir().unwrap();
        let path = directory.path().join("audit.log");
        let settings = FileOutput { path: path.clone(), max_bytes: 8, keep: 2 };
        let mut writer = Output::File(settings).open().unwrap();
        for line in ["one\n", "two\n", "three\n", "four\n", "five\n"] {
            writer.write_batch(line.as_bytes()).unwrap();
        }
        let read = |suffix: &str| fs::read_to_string(directory.path().join(format!("audit.log{suffix}"))).ok();
        assert_eq!(read("").as_deref(), Some("five\n"));
        assert_eq!(read(".1").as_deref(), Some("four\n"));
        assert_eq!(read(".2").as_deref(), Some("three\n"));
        assert_eq!(read(".3"), None);
    }

    #[test]
    fn a_file_that_was_taken_away_is_begun_anew_and_costs_no_older_one() {
        let directory = tempdir().unwrap();
        let path = directory.path().join("audit.log");
        let mut writer = Output::File(FileOutput { path: path.clone(), max_bytes: 8, keep: 3 }).open().unwrap();
        let mut write = |line: &str| writer.write_batch(line.as_bytes()).unwrap();
        for line in ["first\n", "second\n", "third\n"] {
            write(line);
        }
        fs::remove_file(&path).unwrap();
        for line in ["fourth\n", "fifth\n", "sixth\n"] {
            write(line);
        }
        let read = |suffix: &str| fs::read_to_string(directory.path().join(format!("audit.log{suffix}"))).ok();
        assert_eq!(read("").as_deref(), Some("sixth\n"));
        assert_eq!(read(".1").as_deref(), Some("fifth\n"));
        assert_eq!(read(".2").as_deref(), Some("fourth\n"));
        assert_eq!(read(".3").as_deref(), Some("second\n"));
    }

    #[test]
    fn an_existing_file_is_continued_and_its_size_counts() {
        let directory = tempdir().unwrap();
        let path = directory.path().join("audit.log");
        fs::write(&path, "old old\n").unwrap();
        let settings = FileOutput { path: path.clone(), max_bytes: 10, keep: 0 };
        let mut writer = Output::File(settings).open().unwrap();
        writer.write_batch(b"new\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
    }
}
