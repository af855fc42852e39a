//! Reads a directory again when it may have changed: told by the operating system, or else every ten seconds.
//!
//! What the operating system tells is a hint and no more. What counts is what the [`Shelf`] reads afterwards; watches are
//! laid anew before each reading, so that a directory that took the place of another is watched before it is read.

mod ground;

use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::shelf::{Reading, Shelf};

use ground::Ground;

/// How long to wait, and for what.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// For silence after a change: one change is rarely the only one.
    quiet: Duration,
    /// For that silence at most.
    patience: Duration,
    /// For news of a change, before looking without any.
    poll: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let [quiet, patience, poll] = [25, 250, 10_000].map(Duration::from_millis);
        Self { quiet, patience, poll }
    }
}

/// Tells when a directory may have changed.
#[derive(Debug)]
pub struct Watch {
    directory: PathBuf,
    shutdown: CancellationToken,
    pace: Pace,
    bell: Arc<Notify>,
    watcher: Option<RecommendedWatcher>,
    is_blind: bool,
}

impl Watch {
    /// Watches from now on, until told to stop. The directory need not exist.
    pub async fn new(directory: impl Into<PathBuf>, shutdown: CancellationToken) -> Self {
        Self::at(Pace::default(), directory.into(), shutdown).await
    }

    async fn at(pace: Pace, directory: PathBuf, shutdown: CancellationToken) -> Self {
        let mut watch = Self { directory, shutdown, pace, bell: Arc::default(), watcher: None, is_blind: false };
        watch.arm().await;
        watch
    }

    /// Waits until the directory may have changed since the last time; false once told to stop.
    pub async fn changed(&mut self) -> bool {
        tokio::select! {
            () = self.shutdown.cancelled() => return false,
            () = self.bell.notified() => self.settle().await,
            () = sleep(self.pace.poll) => {}
        }
        self.arm().await;
        !self.shutdown.is_cancelled()
    }

    /// Waits for silence.
    async fn settle(&self) {
        let silence = async { while timeout(self.pace.quiet, self.bell.notified()).await.is_ok() {} };
        tokio::select! {
            () = self.shutdown.cancelled() => {}
            () = silence => {}
            () = sleep(self.pace.patience) => {}
        }
    }

    /// Lays the watches anew. Where that fails the old ones stay, for what they are worth.
    async fn arm(&mut self) {
        let (directory, bell) = (self.directory.clone(), Arc::clone(&self.bell));
        let fault = match blocking(move || lay(Ground::of(&directory), &directory, &bell)).await {
            Some(Ok((watcher, fault))) => {
                self.watcher = Some(watcher);
                fault
            }
            Some(Err(fault)) => Some(fault),
            None => None,
        };
        if let Some(fault) = fault.as_ref().filter(|_| !self.is_blind) {
            let (directory, seconds) = (self.directory.display(), self.pace.poll.as_secs());
            tracing::warn!(code = "policies_not_watched", %directory, %fault, seconds, "changes are found by looking only");
        }
        self.is_blind = fault.is_some();
    }
}

/// Watches that ring the bell, and why some of them could not be laid.
///
/// Nothing is missed, though directories may come and go meanwhile: what happens to one after the watch of the directory
/// above it was laid rings the bell, and what happened before is seen when its own watch is laid, or by looking again.
fn lay(
    ground: Ground,
    directory: &Path,
    bell: &Arc<Notify>,
) -> notify::Result<(RecommendedWatcher, Option<notify::Error>)> {
    let ground = Arc::new(ground);
    let (seen, rope) = (Arc::clone(&ground), Arc::clone(bell));
    let mut watcher = notify::recommended_watcher(move |event| {
        if seen.concerns(&event) {
            rope.notify_one();
        }
    })?;
    // A directory with two names keeps the name that it is watched by last. The ground counts every event in those that
    // are read, and few in the others: so these come first, and need not succeed.
    for directory in ground.bystanders() {
        watcher.watch(directory, RecursiveMode::NonRecursive).ok();
    }
    let mut fault = None;
    for directory in ground.directories() {
        fault = fault.or(watcher.watch(directory, RecursiveMode::NonRecursive).err());
    }
    if Ground::of(directory) != *ground {
        bell.notify_one();
    }
    Ok((watcher, fault))
}

/// Reads the directory at once, and whenever it may have changed, until told to stop. `on_reading` learns of the first
/// reading and of every one that differs from the one before; it is called on a thread that may block, never twice at a
/// time, and not after this has returned.
pub async fn run(directory: PathBuf, shutdown: CancellationToken, on_reading: impl FnMut(Reading) + Send + 'static) {
    let watch = Watch::new(directory.clone(), shutdown).await;
    read_whenever(watch, Reader { shelf: Shelf::new(directory), last: None, on_reading }).await;
}

async fn read_whenever(mut watch: Watch, mut reader: Reader<impl FnMut(Reading) + Send + 'static>) {
    loop {
        let shutdown = watch.shutdown.clone();
        match blocking(move || reader.read(&shutdown)).await {
            Some(returned) => reader = returned,
            None => return,
        }
        if !watch.changed().await {
            return;
        }
    }
}

struct Reader<F> {
    shelf: Shelf,
    last: Option<Reading>,
    on_reading: F,
}

impl<F: FnMut(Reading)> Reader<F> {
    fn read(mut self, shutdown: &CancellationToken) -> Self {
        let reading = self.shelf.reread();
        let is_news = self.last.as_ref().is_none_or(|last| !last.is_same(&reading));
        if is_news && !shutdown.is_cancelled() {
            (self.on_reading)(reading.clone());
            self.last = Some(reading);
        }
        self
    }
}

/// Does work that blocks, off the async workers. `None` if the runtime ends; a panic goes on here, to be noticed.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    match spawn_blocking(work).await {
        Ok(done) => Some(done),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::sync::mpsc::unbounded_channel;
    use tokio::time::timeout;
    use tokio_util::sync::CancellationToken;

    use super::{Ground, Pace, Reader, Shelf, Watch, lay, read_whenever};

    const SOON: Duration = Duration::from_secs(8);

    #[tokio::test]
    async fn what_the_system_does_not_tell_is_found_by_looking() {
        let outside = tempfile::tempdir().unwrap();
        let inside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("x"), "").unwrap();
        symlink(outside.path().join("x"), inside.path().join("x.yaml")).unwrap();

        let shutdown = CancellationToken::new();
        let pace = Pace { poll: Duration::from_millis(20), ..Pace::default() };
        let watch = Watch::at(pace, inside.path().to_owned(), shutdown.clone()).await;
        let (sender, mut readings) = unbounded_channel();
        let on_reading = move |reading| drop(sender.send(reading));
        let task =
            tokio::spawn(read_whenever(watch, Reader { shelf: Shelf::new(inside.path()), last: None, on_reading }));

        let first = timeout(SOON, readings.recv()).await.unwrap().unwrap();
        assert_eq!(first.library.unwrap().foreign, 0);
        fs::write(outside.path().join("x"), "{apiVersion: v1, kind: Secret}").unwrap();
        let second = timeout(SOON, readings.recv()).await.unwrap().unwrap();
        assert_eq!(second.library.unwrap().foreign, 1);
        shutdown.cancel();
        timeout(SOON, task).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_directory_that_comes_before_the_watches_do_rings_the_bell() {
        let outer = tempfile::tempdir().unwrap();
        let top = outer.path().join("top");
        let bell = Arc::default();
        let early = Ground::of(&top);
        fs::create_dir(&top).unwrap();
        let (first, _) = lay(early, &top, &bell).unwrap();
        timeout(SOON, bell.notified()).await.unwrap();
        drop(first);
        let (_second, fault) = lay(Ground::of(&top), &top, &bell).unwrap();
        assert!(fault.is_none());
        fs::write(top.join("x.yaml"), "").unwrap();
        timeout(SOON, bell.notified()).await.unwrap();
    }

    #[test]
    fn what_brings_nothing_new_is_not_delivered() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("x.yaml");
        let delivered = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&delivered);
        let on_reading = move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
        };
        let mut reader = Reader { shelf: Shelf::new(directory.path()), last: None, on_reading };
        let shutdown = CancellationToken::new();
        let service = "{apiVersion: v1, kind: Service}";
        for (text, expected) in
            [("", 1), ("", 1), (service, 2), (service, 2), ("a: @", 3), ("a: @", 3), (service, 4), ("@", 5)]
        {
            fs::write(&file, text).unwrap();
            reader = reader.read(&shutdown);
            assert_eq!(delivered.load(Ordering::Relaxed), expected, "{text}");
        }
        fs::write(&file, "").unwrap();
        shutdown.cancel();
        drop(reader.read(&shutdown));
        assert_eq!(delivered.load(Ordering::Relaxed), 5);
    }

    #[tokio::test]
    async fn a_bell_that_never_rests_is_heard_all_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let pace = Pace { quiet: Duration::from_secs(60), patience: Duration::from_millis(20), ..Pace::default() };
        let watch = Watch::at(pace, directory.path().to_owned(), CancellationToken::new()).await;
        let ring = async {
            loop {
                watch.bell.notify_one();
                tokio::task::yield_now().await;
            }
        };
        let heard = async {
            tokio::select! {
                () = watch.settle() => {}
                () = ring => {}
            }
        };
        timeout(SOON, heard).await.unwrap();
    }
}
