//! The audit log: one JSON line for every decision, in a stream of its own.
//!
//! The request path hands a [`Record`] over (pointers and a short copy) and goes on. One thread takes records from a bounded
//! queue in batches, renders them into one reused buffer and writes. While it is busy it looks at the queue every few
//! milliseconds and is never woken; only when nothing came for a while does it sleep until the next record.
//!
//! A full queue or a failing disk never delays a request. What is lost is counted in the metrics, and the log itself
//! says so in a line `{"event":"records_lost", …}` as soon as it can. On shutdown the queue is written out.
//!
//! A line never holds a token: not in clear, since the record has none, and not by way of a path or another header,
//! since everything that looks like the beginning of one is blotted out ([`render`]).

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use crossbeam_queue::ArrayQueue;

use crate::authorize::ports::{AuditSink, Record};
use crate::clock::Clock;
use crate::metrics::Metrics;

pub mod output;
pub mod render;

use output::{Output, Writer};

/// Records that wait at most.
pub const QUEUE: usize = 8192;

/// Bytes that are written at once, about.
const BATCH: usize = 64 * 1024;

/// Between two looks at the queue while records come in.
const PAUSE: Duration = Duration::from_millis(4);

/// Empty looks before the thread sleeps.
const PATIENCE: u32 = 25;

/// The longest sleep.
const NAP: Duration = Duration::from_secs(1);

/// The longest wait for the last records to be written: a pipe that nobody reads must not keep the process.
const FAREWELL: Duration = Duration::from_secs(5);

/// The audit log. Cheap to share; [`AuditThread::close`] ends it.
pub struct Audit {
    shared: Arc<Shared>,
    writer: Thread,
}

/// The thread of an [`Audit`].
pub struct AuditThread {
    shared: Arc<Shared>,
    handle: JoinHandle<()>,
    /// Nothing comes; it is closed when the thread ends.
    ended: mpsc::Receiver<()>,
}

struct Shared {
    /// Boxed: a queue has all its slots from the start, and these are idle most of the time.
    queue: ArrayQueue<Box<Record>>,
    asleep: AtomicBool,
    closing: AtomicBool,
    metrics: Arc<Metrics>,
}

/// Opens the output and starts the thread that writes to it.
///
/// # Errors
/// The file cannot be opened, or the thread cannot be started.
pub fn start(output: Output, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> io::Result<(Audit, AuditThread)> {
    spawn(output.open()?, clock, metrics)
}

fn spawn(out: Box<dyn Writer>, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> io::Result<(Audit, AuditThread)> {
    let shared = Arc::new(Shared {
        queue: ArrayQueue::new(QUEUE),
        asleep: AtomicBool::new(false),
        closing: AtomicBool::new(false),
        metrics,
    });
    let mut scribe = Scribe {
        shared: Arc::clone(&shared),
        out,
        clock,
        buffer: Vec::with_capacity(BATCH.saturating_mul(2)),
        batch: 0,
        reported: 0,
        failing: false,
    };
    let (running, ended) = mpsc::channel();
    let work = move || {
        let _running: mpsc::Sender<()> = running;
        scribe.run();
    };
    let handle = thread::Builder::new().name("audit".to_owned()).spawn(work)?;
    let audit = Audit { shared: Arc::clone(&shared), writer: handle.thread().clone() };
    Ok((audit, AuditThread { shared, handle, ended }))
}

impl AuditSink for Audit {
    fn record(&self, record: Record) {
        let closing = self.shared.closing.load(Ordering::Relaxed);
        if closing || self.shared.queue.push(Box::new(record)).is_err() {
            self.shared.metrics.audit_lost(1);
        }
        if self.shared.asleep.load(Ordering::SeqCst) && self.shared.asleep.swap(false, Ordering::SeqCst) {
            self.writer.unpark();
        }
    }
}

impl AuditThread {
    /// Writes out what is queued and ends the thread, within five seconds. Records that come in later are lost.
    pub fn close(self) {
        self.close_within(FAREWELL);
    }

    fn close_within(self, patience: Duration) {
        self.shared.closing.store(true, Ordering::SeqCst);
        self.handle.thread().unpark();
        match self.ended.recv_timeout(patience) {
            Err(RecvTimeoutError::Timeout) => {
                tracing::warn!("the audit log takes no more lines; the last records are lost");
            }
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                if self.handle.join().is_err() {
                    self.shared.metrics.panicked();
                }
            }
        }
        // a record that was on its way into the queue while the thread looked there for the last time, or that it is
        // too late for
        while self.shared.queue.pop().is_some() {
            self.shared.metrics.audit_lost(1);
        }
    }
}

struct Scribe {
    shared: Arc<Shared>,
    out: Box<dyn Writer>,
    clock: Arc<dyn Clock>,
    buffer: Vec<u8>,
    /// Records in the buffer.
    batch: u64,
    /// Losses that the log has told of.
    reported: u64,
    /// The last write failed.
    failing: bool,
}

impl Scribe {
    fn run(&mut self) {
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
            thread::park_timeout(NAP);
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
    use super::{BATCH, QUEUE, Scribe, Shared, spawn};
    use crate::audit::output::Writer;
    use crate::authorize::decision::{DecisionId, RequestFacts};
    use crate::authorize::ports::{AuditSink as _, Outcome, Record};
    use crate::clock::{FixedClock, UnixTime};
    use crate::metrics::Metrics;
    use crossbeam_queue::ArrayQueue;
    use std::io::{self, Error};
    use std::sync::atomic::AtomicBool;
    use std::sync::{Arc, Mutex, mpsc};
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

    fn record(number: u128) -> Record {
        Record {
            time: Duration::ZERO,
            took: Duration::ZERO,
            id: DecisionId::new(number),
            outcome: Outcome::Deny,
            reason: "no_route",
            detail: None,
            matched: None,
            authenticated: None,
            rejection: None,
            token_detail: None,
            shadow: None,
            generation: 1,
            cached: false,
            request: RequestFacts::default(),
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
        let scribe = Scribe {
            shared,
            out: Box::new(Moody(moods, Arc::clone(&written))),
            clock: Arc::new(FixedClock(UnixTime(0))),
            buffer: Vec::with_capacity(BATCH),
            batch: 0,
            reported: 0,
            failing: false,
        };
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

    /// Writes when it is told to, like a pipe that is read at last.
    struct Blocked {
        begun: mpsc::Sender<()>,
        read: mpsc::Receiver<()>,
    }

    impl Writer for Blocked {
        fn write_batch(&mut self, _: &[u8]) -> io::Result<()> {
            self.begun.send(()).map_err(Error::other)?;
            self.read.recv().map_err(Error::other)
        }
    }

    #[test]
    fn an_output_that_takes_nothing_does_not_keep_the_process() {
        let (read, blocked) = mpsc::channel();
        let (begun, writing) = mpsc::channel();
        let metrics = Arc::<Metrics>::default();
        let clock = Arc::new(FixedClock(UnixTime(0)));
        let (audit, thread) = spawn(Box::new(Blocked { begun, read: blocked }), clock, Arc::clone(&metrics)).unwrap();
        audit.record(record(1));
        writing.recv().unwrap();
        audit.record(record(2));
        thread.close_within(Duration::from_millis(1));
        assert_eq!(metrics.audit_losses(), 1, "the one that was still queued");
        read.send(()).unwrap();
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
