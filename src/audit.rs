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
mod scribe;

use output::{Output, Writer};
use scribe::Scribe;

/// Records that wait at most.
pub const QUEUE: usize = 8192;

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
    spawn(output.open()?, (clock, NAP), metrics)
}

fn spawn(
    out: Box<dyn Writer>,
    (clock, nap): (Arc<dyn Clock>, Duration),
    metrics: Arc<Metrics>,
) -> io::Result<(Audit, AuditThread)> {
    let shared = Arc::new(Shared {
        queue: ArrayQueue::new(QUEUE),
        asleep: AtomicBool::new(false),
        closing: AtomicBool::new(false),
        metrics,
    });
    let mut scribe = Scribe::new(Arc::clone(&shared), out, (clock, nap));
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

#[cfg(test)]
mod tests {
    use super::{NAP, spawn};
    use crate::audit::output::Writer;
    use crate::authorize::decision::{DecisionId, RequestFacts};
    use crate::authorize::ports::{AuditSink as _, Outcome, Record};
    use crate::clock::{FixedClock, UnixTime};
    use crate::metrics::Metrics;
    use std::io::{self, Error};
    use std::sync::atomic::Ordering;
    use std::sync::{Arc, mpsc};
    use std::time::Duration;

    /// A refusal.
    pub(super) fn record(number: u128) -> Record {
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
        let out = Box::new(Blocked { begun, read: blocked });
        let (audit, thread) = spawn(out, (clock, NAP), Arc::clone(&metrics)).unwrap();
        audit.record(record(1));
        writing.recv().unwrap();
        audit.record(record(2));
        thread.close_within(Duration::from_millis(1));
        assert_eq!(metrics.audit_losses(), 1, "the one that was still queued");
        read.send(()).unwrap();
    }

    #[test]
    fn a_record_after_a_long_silence_is_written_soon() {
        let (read, blocked) = mpsc::channel();
        let (begun, writing) = mpsc::channel();
        let clock = Arc::new(FixedClock(UnixTime(0)));
        // nobody wakes by itself within the time of a test
        let forever = Duration::from_secs(3600);
        let (audit, thread) =
            spawn(Box::new(Blocked { begun, read: blocked }), (clock, forever), Arc::default()).unwrap();
        while !audit.shared.asleep.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        audit.record(record(1));
        writing.recv_timeout(Duration::from_secs(60)).unwrap();
        read.send(()).unwrap();
        thread.close();
    }
}
