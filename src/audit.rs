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

/// The audit log. Cheap to share; [`AuditThread::close`] ends it.
pub struct Audit {
    shared: Arc<Shared>,
    writer: Thread,
}

/// The thread of an [`Audit`].
pub struct AuditThread {
    shared: Arc<Shared>,
    handle: JoinHandle<()>,
}

struct Shared {
    queue: ArrayQueue<Record>,
    asleep: AtomicBool,
    closing: AtomicBool,
    metrics: Arc<Metrics>,
}

/// Opens the output and starts the thread that writes to it.
///
/// # Errors
/// The file cannot be opened, or the thread cannot be started.
pub fn start(output: Output, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> io::Result<(Audit, AuditThread)> {
    let out = output.open()?;
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
        reported: 0,
        failing: false,
    };
    let handle = thread::Builder::new().name("audit".to_owned()).spawn(move || scribe.run())?;
    let audit = Audit { shared: Arc::clone(&shared), writer: handle.thread().clone() };
    Ok((audit, AuditThread { shared, handle }))
}

impl AuditSink for Audit {
    fn record(&self, record: Record) {
        let closing = self.shared.closing.load(Ordering::Relaxed);
        if closing || self.shared.queue.push(record).is_err() {
            self.shared.metrics.audit_lost(1);
        }
        if self.shared.asleep.load(Ordering::SeqCst) && self.shared.asleep.swap(false, Ordering::SeqCst) {
            self.writer.unpark();
        }
    }
}

impl AuditThread {
    /// Writes out what is queued and ends the thread. Records that come in later are lost.
    pub fn close(self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        self.handle.thread().unpark();
        if self.handle.join().is_err() {
            self.shared.metrics.panicked();
        }
    }
}

struct Scribe {
    shared: Arc<Shared>,
    out: Box<dyn Writer>,
    clock: Arc<dyn Clock>,
    buffer: Vec<u8>,
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

    /// Writes everything that is queued; whether there was anything.
    fn drain(&mut self) -> bool {
        let mut any = false;
        loop {
            let mut records = 0_u64;
            while self.buffer.len() < BATCH {
                let Some(record) = self.shared.queue.pop() else {
                    break;
                };
                render::line(&record, &mut self.buffer);
                records = records.saturating_add(1);
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
            if !self.write(records) {
                return any;
            }
            self.reported = losses;
        }
    }

    /// Writes the buffer; whether that worked. A failed batch counts as lost.
    fn write(&mut self, records: u64) -> bool {
        let written = self.out.write_batch(&self.buffer);
        self.buffer.clear();
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
