//! The thread that writes the audit log: takes records from the queue in batches, renders and writes them.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use crate::clock::Clock;

use super::output::Writer;
use super::{Shared, render};

/// Bytes that are written at once, about.
const BATCH: usize = 64 * 1024;

/// Between two looks at the queue while records come in.
const PAUSE: Duration = Duration::from_millis(4);

/// Empty looks before the thread sleeps.
const PATIENCE: u32 = 25;

/// Writes what is queued.
pub(super) struct Scribe {
    shared: Arc<Shared>,
    out: Box<dyn Writer>,
    clock: Arc<dyn Clock>,
    /// The longest sleep.
    nap: Duration,
    buffer: Vec<u8>,
    /// Records in the buffer.
    batch: u64,
    /// Losses that the log has told of.
    reported: u64,
    /// The last write failed.
    failing: bool,
}

impl Scribe {
    /// Writes to `out`, and sleeps no longer than `nap` when nothing comes.
    pub(super) fn new(shared: Arc<Shared>, out: Box<dyn Writer>, (clock, nap): (Arc<dyn Clock>, Duration)) -> Self {
        let buffer = Vec::with_capacity(BATCH.saturating_mul(2));
        Self { shared, out, clock, nap, buffer, batch: 0, reported: 0, failing: false }
    }

    /// Goes on until the log is closed, and nothing is queued.
    pub(super) fn run(&mut self) {
        let mut idle = 0_u32;
        loop {
            // read before the queue: what was queued before closing is seen by the drain that follows
            let closing = self.shared.closing.load(Ordering::SeqCst);
            if self.drain() {
                idle = 0;
            } else {
                idle = idle.saturating_add(1);
            }
            if closing {
                // a batch that cannot be written ends a drain early
                while !self.shared.queue.is_empty() {
                    self.drain();
                }
                return;
            }
            self.rest(idle);
        }
    }

    fn rest(&self, idle: u32) {
        if idle < PATIENCE {
            thread::park_timeout(PAUSE);
            return;
        }
        self.shared.asleep.store(true, Ordering::SeqCst);
        // a record that came between the last look and the store above has woken nobody
        if self.shared.queue.is_empty() {
            thread::park_timeout(self.nap);
        }
        self.shared.asleep.store(false, Ordering::SeqCst);
    }

    /// Writes everything that is queued; whether there was anything. A panic costs one batch, not the log.
    fn drain(&mut self) -> bool {
        panic::catch_unwind(AssertUnwindSafe(|| self.drain_unguarded())).unwrap_or_else(|_| {
            self.shared.metrics.panicked();
            self.shared.metrics.audit_lost(std::mem::take(&mut self.batch));
            self.buffer.clear();
            self.failing = true;
            true
        })
    }

    fn drain_unguarded(&mut self) -> bool {
        let mut any = false;
        loop {
            while self.buffer.len() < BATCH {
                let Some(record) = self.shared.queue.pop() else {
                    break;
                };
                self.batch = self.batch.saturating_add(1);
                render::line(&record, &mut self.buffer);
            }
            let losses = self.shared.metrics.audit_losses();
            let more = losses.saturating_sub(self.reported);
            if more > 0 {
                render::losses(self.clock.now(), (more, losses), &mut self.buffer);
            }
            if self.buffer.is_empty() {
                return any;
            }
            any = true;
            if !self.write() {
                return any;
            }
            self.reported = losses;
        }
    }

    /// Writes the buffer; whether that worked. A failed batch counts as lost.
    fn write(&mut self) -> bool {
        if self.failing {
            // The batch that failed may have left a part of a line behind, which must not spoil the first one after it.
            self.buffer.insert(0, b'\n');
        }
        let written = self.out.write_batch(&self.buffer);
        self.buffer.clear();
        let records = std::mem::take(&mut self.batch);
        match written {
            Ok(()) => {
                self.shared.metrics.audit_written(records);
                self.failing = false;
            }
            Err(error) => {
                self.shared.metrics.audit_lost(records);
                if !self.failing {
                    tracing::warn!(%error, "the audit log cannot be written");
                }
                self.failing = true;
            }
        }
        !self.failing
    }
}

#[cfg(test)]
mod tests {
    use super::{Scribe, Shared};
    use crate::audit::QUEUE;
    use crate::audit::output::Writer;
    use crate::audit::tests::record;
    use crate::clock::{FixedClock, UnixTime};
    use crossbeam_queue::ArrayQueue;
    use std::io::{self, Error};
    use std::sync::atomic::AtomicBool;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    type Written = Arc<Mutex<Vec<u8>>>;

    /// Does these things with the next batches, in order, and writes all others.
    struct Moody(Vec<Mood>, Written);

    enum Mood {
        /// Writes so many bytes and fails.
        Tears(usize),
        Panics,
    }

    impl Writer for Moody {
        fn write_batch(&mut self, lines: &[u8]) -> io::Result<()> {
            let mood = self.0.pop();
            let (most, failed) = match mood {
                None => (lines.len(), false),
                Some(Mood::Tears(most)) => (most, true),
                Some(Mood::Panics) => panic!("the writer is broken"),
            };
            self.1.lock().unwrap().extend_from_slice(&lines[..most]);
            if failed { Err(Error::other("full")) } else { Ok(()) }
        }
    }

    fn scribe(moods: Vec<Mood>) -> (Scribe, Written) {
        let written = Written::default();
        let shared = Arc::new(Shared {
            queue: ArrayQueue::new(QUEUE),
            asleep: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            metrics: Arc::default(),
        });
        let (out, clock) = (Box::new(Moody(moods, Arc::clone(&written))), Arc::new(FixedClock(UnixTime(0))));
        let scribe = Scribe::new(shared, out, (clock, Duration::ZERO));
        (scribe, written)
    }

    #[test]
    fn a_torn_line_does_not_spoil_the_next_one() {
        let (mut scribe, written) = scribe(vec![Mood::Tears(0), Mood::Tears(20)]);
        for number in 1..=3 {
            assert!(scribe.shared.queue.push(Box::new(record(number))).is_ok());
            scribe.drain();
        }
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        let whole: Vec<serde_json::Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        assert_eq!(whole.len(), 2, "{text}");
        assert_eq!(whole[0]["metadata"]["uid"], format!("{:032x}", 3));
        assert_eq!(whole[1]["lost"], 2);
        assert!(text.ends_with('\n') && !text.ends_with("\n\n"));
    }

    #[test]
    fn a_panic_costs_one_batch_and_is_counted() {
        let (mut scribe, written) = scribe(vec![Mood::Panics]);
        for numbers in [[1, 2], [3, 4]] {
            for number in numbers {
                assert!(scribe.shared.queue.push(Box::new(record(number))).is_ok());
            }
            scribe.drain();
        }
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches("no_route").count(), 2, "{text}");
        let metrics = &scribe.shared.metrics;
        assert_eq!((metrics.panics(), metrics.audit_losses()), (1, 2));
    }
}
