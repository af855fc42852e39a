//! Lines on their way to a stream that may stand still: a pipe that nobody reads, a terminal that was stopped.
//!
//! Whoever logs hands a line over and goes on. One thread writes. Lines that come while too many wait are lost, and the next
//! one that is written says how many.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Lines that wait at most.
const MOST: usize = 4096;

/// What waits.
#[derive(Clone, Default)]
pub(super) struct Lines(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    lines: VecDeque<Box<[u8]>>,
    /// Some were taken, and may not be written yet.
    writing: bool,
    lost: u64,
}

impl Lines {
    /// Starts the thread that writes to `out`. It goes on as long as the process.
    pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let lines = Self::default();
        let taken = lines.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || taken.write(out))?;
        Ok(lines)
    }

    /// Waits until all of them are written, but no longer than this.
    pub(super) fn written(&self, patience: Duration) {
        let busy = |waiting: &mut Waiting| waiting.writing || !waiting.lines.is_empty();
        let waited = self.0.changed.wait_timeout_while(self.lock(), patience, busy);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn put(&self, line: &[u8]) {
        let mut waiting = self.lock();
        if waiting.lines.len() < MOST {
            waiting.lines.push_back(line.into());
            self.0.changed.notify_all();
        } else {
            waiting.lost = waiting.lost.saturating_add(1);
        }
    }

    fn write(&self, mut out: impl Write) {
        loop {
            let (lines, lost) = self.take();
            for line in lines {
                // Nobody is left to tell: the stream that would carry the complaint is the one that failed.
                let (Ok(()) | Err(_)) = out.write_all(&line);
            }
            if lost > 0 {
                tracing::warn!(
                    code = "log_lines_lost",
                    lost,
                    "the log was not read, and more lines came than can wait"
                );
            }
        }
    }

    /// Waits for lines; gives them, and how many were lost until now.
    fn take(&self) -> (VecDeque<Box<[u8]>>, u64) {
        let mut waiting = self.lock();
        waiting.writing = false;
        self.0.changed.notify_all();
        let idle = |waiting: &mut Waiting| waiting.lines.is_empty();
        let mut waiting = self.0.changed.wait_while(waiting, idle).unwrap_or_else(PoisonError::into_inner);
        waiting.writing = true;
        (std::mem::take(&mut waiting.lines), std::mem::take(&mut waiting.lost))
    }

    /// Held for a few instructions.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Lines, MOST};
    use std::io::{self, Write};
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    const LIMIT: Duration = Duration::from_secs(60);

    /// A stream that takes a line when it is told to, and passes it on.
    struct Stream(Receiver<()>, Sender<Vec<u8>>);

    impl Write for Stream {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(io::Error::other)?;
            self.1.send(line.to_vec()).map_err(io::Error::other)?;
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Whether the thread writes, how many lines wait, and how many were lost.
    fn state(lines: &Lines) -> (bool, usize, u64) {
        let waiting = lines.lock();
        (waiting.writing, waiting.lines.len(), waiting.lost)
    }

    #[test]
    fn a_stream_that_stands_still_holds_up_nobody_and_loses_the_last_lines() {
        let (read, reading) = channel();
        let (written, seen) = channel();
        let mut lines = Lines::start(Stream(reading, written)).unwrap();
        lines.write_all(b"first\n").unwrap();
        // the thread has taken it, and stands still
        while state(&lines) != (true, 0, 0) {
            std::thread::yield_now();
        }
        for at in 0..MOST + 3 {
            lines.write_all(format!("{at}\n").as_bytes()).unwrap();
        }
        assert_eq!(state(&lines), (true, MOST, 3));
        lines.written(Duration::from_millis(1));
        for _ in 0..=MOST {
            read.send(()).unwrap();
        }
        lines.written(LIMIT);
        let all: Vec<Vec<u8>> = seen.try_iter().collect();
        assert_eq!((all.len(), all[0].as_slice(), all[MOST].as_slice()), (MOST + 1, &b"first\n"[..], &b"4095\n"[..]));
        assert_eq!(state(&lines), (false, 0, 0));
    }
}
