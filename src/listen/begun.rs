//! A connection whose heads must end soon after they began, however long it may be idle between them.
//!
//! What was read last says whether a head is under way: everything that is read and does not end as a head ends is the
//! beginning of one. Questions have no bodies. The body of one that has would count as a beginning, too, and a peer that
//! sends one is cut off if it then stays idle for as long as a head may take; that is no worse than a short idle time.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A connection over which heads come in.
pub(super) struct Begun<S> {
    stream: S,
    /// For the rest of a head.
    patience: Duration,
    /// The last bytes that were read.
    last: [u8; 3],
    under_way: bool,
    /// There while somebody waits for the rest of a head.
    late: Option<Pin<Box<Sleep>>>,
}

impl<S> Begun<S> {
    pub(super) const fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, last: [0; 3], under_way: false, late: None }
    }

    /// Takes note of what was read.
    fn note(&mut self, read: &[u8]) {
        if read.is_empty() {
            return;
        }
        for byte in read.iter().skip(read.len().saturating_sub(3)) {
            let [_, before, last] = self.last;
            self.last = [before, last, *byte];
        }
        // an empty line, however its end is written
        self.under_way = !matches!(self.last, [_, b'\n', b'\n'] | [b'\n', b'\r', b'\n']);
        if !self.under_way {
            self.late = None;
        }
    }

    fn waited(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.under_way {
            return Poll::Pending;
        }
        let patience = self.patience;
        let late = self.late.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(late.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the head of a request did not end in time")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Begun<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buffer) else { return self.waited(cx) };
        self.note(buffer.filled().get(before..).unwrap_or_default());
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Begun<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // something is answered: what is under way is the head of another request
        self.late = None;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.late = None;
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
