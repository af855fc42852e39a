//! Calls that come in together are answered together: by the task of their connection, in one write.
//!
//! Usually a call becomes a task of its own. An answer takes microseconds, and a task costs as much: its memory, its turn,
//! and a system call for each answer, since the connection is woken for it and finds nothing else to send yet. Here the
//! connection reads what there is, then answers it, then writes. A call that has to wait becomes a task after all, and so
//! do those beyond [`TOGETHER`]: a crowd of them would keep the first waiting, and other threads may be idle.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::Executor;
use hyper_util::rt::TokioExecutor;
use tokio::sync::mpsc;

/// Calls that one connection answers before it writes.
const TOGETHER: usize = 16;
/// Rounds of reading, answering and writing after which other connections have their turn.
const ROUNDS: usize = 8;

type Call = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Takes the calls of one connection; for hyper.
#[derive(Clone)]
pub(super) struct Calls(mpsc::Sender<Call>);

impl<F> Executor<F> for Calls
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, call: F) {
        if let Err(mpsc::error::TrySendError::Full(call) | mpsc::error::TrySendError::Closed(call)) =
            self.0.try_send(Box::pin(call))
        {
            TokioExecutor::new().execute(call);
        }
    }
}

/// A place to put calls, and where [`Together`] takes them from.
pub(super) fn calls() -> (Calls, mpsc::Receiver<Call>) {
    let (calls, waiting) = mpsc::channel(TOGETHER);
    (Calls(calls), waiting)
}

/// A connection that answers its own calls.
pub(super) struct Together<C> {
    connection: Pin<Box<C>>,
    waiting: mpsc::Receiver<Call>,
}

impl<C> Together<C> {
    /// The calls are those that `connection` gave to the other end of `waiting`.
    pub(super) fn new(connection: C, waiting: mpsc::Receiver<Call>) -> Self {
        Self { connection: Box::pin(connection), waiting }
    }

    /// The connection itself.
    pub(super) fn connection(&mut self) -> Pin<&mut C> {
        self.connection.as_mut()
    }

    /// Answers what came in. Whether there was anything.
    fn answer(&mut self, context: &mut Context<'_>) -> bool {
        let mut any = false;
        while let Ok(mut call) = self.waiting.try_recv() {
            any = true;
            // As in a task of its own, a panic ends the one call.
            let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context)));
            if matches!(polled, Ok(Poll::Pending)) {
                TokioExecutor::new().execute(call);
            }
        }
        any
    }
}

impl<C: Future> Future for Together<C> {
    type Output = C::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<C::Output> {
        let this = self.get_mut();
        for _ in 0..ROUNDS {
            if let Poll::Ready(end) = this.connection.as_mut().poll(context) {
                // What is still unanswered has nobody to be answered to.
                return Poll::Ready(end);
            }
            if !this.answer(context) {
                return Poll::Pending;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Poll;

    use futures_util::FutureExt as _;
    use hyper::rt::Executor as _;

    use super::{Calls, TOGETHER, Together, calls};

    /// A connection that hands out calls when it is first polled, and ends with how many were answered by then when it is
    /// polled once more.
    fn connection(calls: Calls, count: usize) -> impl Future<Output = usize> {
        let answered = Arc::new(AtomicUsize::new(0));
        let mut once = false;
        poll_fn(move |_| {
            if std::mem::replace(&mut once, true) {
                return Poll::Ready(answered.load(Ordering::SeqCst));
            }
            for _ in 0..count {
                let answered = Arc::clone(&answered);
                calls.execute(async move {
                    answered.fetch_add(1, Ordering::SeqCst);
                });
            }
            Poll::Pending
        })
    }

    #[test]
    fn calls_are_answered_before_the_connection_goes_on() {
        let (given, waiting) = calls();
        assert_eq!(Together::new(connection(given, TOGETHER), waiting).now_or_never(), Some(TOGETHER));
    }

    #[tokio::test]
    async fn calls_beyond_the_bound_have_tasks_of_their_own() {
        let (given, waiting) = calls();
        assert_eq!(Together::new(connection(given, TOGETHER + 3), waiting).now_or_never(), Some(TOGETHER));
    }

    #[tokio::test]
    async fn a_call_that_waits_goes_on_without_the_connection() {
        let (given, waiting) = calls();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let (done, end) = tokio::sync::oneshot::channel();
        given.execute(async move {
            let news: Result<(), _> = receiver.await;
            assert!(news.is_ok() && done.send(()).is_ok());
        });
        assert_eq!(Together::new(pending::<()>(), waiting).now_or_never(), None);
        sender.send(()).unwrap();
        assert_eq!(end.await, Ok(()));
    }

    #[test]
    fn a_panic_ends_one_call() {
        let (given, waiting) = calls();
        given.execute(async { panic!("as planned") });
        assert_eq!(Together::new(connection(given, 1), waiting).now_or_never(), Some(1));
    }
}
