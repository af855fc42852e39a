//! A connection with its place, which is lost when its peer stops to read.
//!
//! Whoever asks and never reads the answers would fill the buffers of the system, and keep them and a file descriptor for
//! as long as it likes. A write that goes nowhere ends the connection, and its buffers with it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Sleep, sleep};

use super::places::Place;

/// A stream of the system.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Closing will throw away what was not sent, and tell the peer that.
    fn give_up(&self);
}

impl Transport for TcpStream {
    fn give_up(&self) {
        // otherwise the system would go on offering what it holds, for minutes
        let (Ok(()) | Err(_)) = self.set_zero_linger();
    }
}

impl Transport for UnixStream {
    fn give_up(&self) {}
}

/// A connection that has a place.
#[derive(Debug)]
pub struct Guarded<S> {
    stream: S,
    /// For a write to make progress.
    patience: Duration,
    /// There while a write makes none.
    stalled: Option<Pin<Box<Sleep>>>,
    _place: Place,
}

impl<S: Transport> Guarded<S> {
    pub(super) fn new(stream: S, (place, patience): (Place, Duration)) -> Self {
        Self { stream, patience, stalled: None, _place: place }
    }

    /// A connection whose peer reads costs one comparison here.
    fn bounded(&mut self, wrote: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if wrote.is_ready() {
            self.stalled = None;
            return wrote;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        if stalled.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.stream.give_up();
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read what it asked for")))
    }
}

impl<S: Transport> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: Transport> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.bounded(wrote, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.bounded(wrote, cx)
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

#[cfg(test)]
mod tests {
    use super::Guarded;
    use crate::listen::places::Places;
    use std::io::ErrorKind;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixStream;
    use tokio::time::{Instant, sleep, timeout};

    const LIMIT: Duration = Duration::from_secs(30);
    const PATIENCE: Duration = Duration::from_secs(1);
    /// More than the system keeps for a peer that does not read.
    const MUCH: usize = 4 << 20;

    fn pair() -> (Guarded<UnixStream>, UnixStream) {
        let (near, far) = UnixStream::pair().unwrap();
        (Guarded::new(near, (Places::new(1).take(None).unwrap(), PATIENCE)), far)
    }

    #[tokio::test]
    async fn a_write_that_goes_nowhere_ends() {
        let (mut near, _far) = pair();
        let begun = Instant::now();
        let error = timeout(LIMIT, near.write_all(&[0; MUCH])).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(begun.elapsed() >= PATIENCE);
    }

    #[tokio::test]
    async fn a_write_that_goes_on_has_its_time_anew() {
        let (mut near, mut far) = pair();
        let begun = Instant::now();
        let reading = async {
            let mut part = vec![0; MUCH / 6];
            for _ in 0..6 {
                sleep(PATIENCE / 3).await;
                far.read_exact(&mut part).await.unwrap();
            }
        };
        let writing = near.write_all(&[0; MUCH / 6 * 6]);
        let (wrote, ()) = timeout(LIMIT, async { tokio::join!(writing, reading) }).await.unwrap();
        wrote.unwrap();
        assert!(begun.elapsed() > PATIENCE, "the whole took longer than one write may stand still");
    }
}
