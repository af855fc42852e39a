//! One check, from its bytes to the bytes of its answer.
//!
//! There is no way out of [`Service::check`] without an answer: a message that cannot be read, a queue that is full, a
//! deadline and a panic each become a refusal of their own, recorded like every other decision.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::HeaderMap;
use hyper::body::Body;

use crate::authorize::decision::RequestFacts;
use crate::authorize::ports::Decide;
use crate::clock::Stopwatch;
use crate::policy::decide::Verdict;
use crate::reason::ReasonCode;
use crate::recorder::{Recorder, Surroundings, Undecided};
use crate::request::Headers;

use super::answer::{answer, last_resort};
use super::budget::{Budget, Lease};
use super::check::Check;
use super::frame::{self, Fault};

/// To get an answer home before the caller's deadline.
const MARGIN: Duration = Duration::from_millis(20);

/// How much one server takes on.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest check in bytes. Envoy sends at most 60 KiB of headers unless told otherwise, and bodies if asked.
    pub message: usize,
    /// How many bytes of messages that come in several frames may be held at a time; what is beyond is answered 503.
    pub memory: usize,
    /// How many checks may wait for keys at a time; one more is answered 503 at once.
    pub waiting: u64,
    /// The longest time a check takes to come in and to wait, if Envoy sets no nearer deadline.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { message: 4 * 1024 * 1024, memory: 64 * 1024 * 1024, waiting: 1024, patience: Duration::from_secs(5) }
    }
}

/// Answers checks.
pub struct Service<D> {
    recorder: Recorder<D>,
    limits: Limits,
    memory: Budget,
}

impl<D: Decide> Service<D> {
    /// A service that answers what `decide` decides.
    #[must_use]
    pub fn new(decide: Arc<D>, surroundings: Surroundings, limits: Limits) -> Self {
        let recorder = Recorder::new(decide, surroundings, limits.waiting);
        Self { recorder, limits, memory: Budget::new(limits.memory) }
    }

    /// Answers one call: reads its message, as long as its deadline lets it, and returns the framed answer.
    ///
    /// The usual call is over at the first poll. What it would need to wait is made only if it waits, so that its future
    /// stays small: the server moves and allocates one for every call.
    pub async fn check<B>(&self, body: B, patience: Duration) -> Bytes
    where
        B: Body<Data = Bytes> + Send,
    {
        let watch = Stopwatch::start();
        // held until the answer is made, as long as the message is
        let mut lease = self.memory.lease();
        let message = self.message(body, patience, &mut lease).await;
        self.guarded(message, patience.saturating_sub(watch.elapsed())).await
    }

    /// Answers one message. `None`: there was none that can be read.
    pub async fn answer(&self, message: Option<Bytes>, patience: Duration) -> Bytes {
        self.guarded(message.ok_or(ReasonCode::RequestMalformed), patience).await
    }

    async fn message<B>(&self, body: B, patience: Duration, lease: &mut Lease<'_>) -> Result<Bytes, ReasonCode>
    where
        B: Body<Data = Bytes> + Send,
    {
        let mut reading = std::pin::pin!(frame::read(body, self.limits.message, lease));
        let read = match reading.as_mut().now_or_never() {
            Some(read) => read,
            None => Box::pin(tokio::time::timeout(patience, reading)).await.unwrap_or(Err(Fault::Incomplete)),
        };
        read.map_err(|fault| match fault {
            Fault::NoRoom => ReasonCode::InternalError,
            Fault::Incomplete | Fault::TooLarge | Fault::Compressed | Fault::Trailing => ReasonCode::RequestMalformed,
        })
    }

    async fn guarded(&self, message: Result<Bytes, ReasonCode>, patience: Duration) -> Bytes {
        let answered = match catch_unwind(AssertUnwindSafe(|| self.answer_now(message))) {
            Ok(Ok(answer)) => return answer,
            Ok(Err(undecided)) => {
                AssertUnwindSafe(Box::pin(self.answer_later(undecided, patience))).catch_unwind().await
            }
            Err(panic) => Err(panic),
        };
        answered.unwrap_or_else(|_| {
            self.recorder.panicked();
            last_resort()
        })
    }

    fn answer_now(&self, message: Result<Bytes, ReasonCode>) -> Result<Bytes, Box<Undecided<D, Check>>> {
        let watch = Stopwatch::start();
        let check = match message.and_then(|message| Check::parse(message).ok_or(ReasonCode::RequestMalformed)) {
            Ok(check) => check,
            Err(reason) => {
                let decision = self.recorder.refuse(Verdict::refusal(reason), (RequestFacts::default(), watch));
                return Ok(answer(decision, &NoHeaders));
            }
        };
        let (decision, check) = self.recorder.decide_now(check, watch)?;
        Ok(answer(decision, &check))
    }

    async fn answer_later(&self, undecided: Box<Undecided<D, Check>>, patience: Duration) -> Bytes {
        let (decision, check) = self.recorder.decide_later(undecided, patience).await;
        answer(decision, &check)
    }

    /// How long a call with these headers may take: its own deadline less a margin to get the answer home, or ours.
    #[must_use]
    pub fn patience(&self, headers: &HeaderMap) -> Duration {
        let given = headers.get("grpc-timeout").and_then(|value| grpc_timeout(value.as_bytes()));
        match given {
            Some(given) => {
                given.saturating_sub(given.checked_div(5).unwrap_or(given).min(MARGIN)).min(self.limits.patience)
            }
            None => self.limits.patience,
        }
    }
}

struct NoHeaders;

impl Headers for NoHeaders {
    fn each(&self, _: &mut dyn FnMut(&Bytes, &Bytes)) {}
}

/// `Timeout` of gRPC over HTTP/2: at most eight digits and a unit.
fn grpc_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.len() > 8 {
        return None;
    }
    let amount: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    match unit {
        b'H' => Some(Duration::from_secs(amount.saturating_mul(3600))),
        b'M' => Some(Duration::from_secs(amount.saturating_mul(60))),
        b'S' => Some(Duration::from_secs(amount)),
        b'm' => Some(Duration::from_millis(amount)),
        b'u' => Some(Duration::from_micros(amount)),
        b'n' => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::grpc_timeout;
    use std::time::Duration;

    #[test]
    fn deadlines_are_read_as_grpc_writes_them() {
        let cases: [(&[u8], Option<Duration>); 10] = [
            (b"200m", Some(Duration::from_millis(200))),
            (b"2S", Some(Duration::from_secs(2))),
            (b"99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            (b"1M", Some(Duration::from_secs(60))),
            (b"5u", Some(Duration::from_micros(5))),
            (b"5n", Some(Duration::from_nanos(5))),
            (b"123456789m", None),
            (b"m", None),
            (b"", None),
            (b"5x", None),
        ];
        for (text, expected) in cases {
            assert_eq!(grpc_timeout(text), expected, "{text:?}");
        }
    }
}
