//! The first bytes of a connection: HTTP/2's preface (RFC 9113 §3.4), or no connection.
//!
//! Keep-alive begins with the preface. Whoever connects and stays silent would hold a file descriptor for ever, and
//! those are what new connections of Envoy need.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::listen::Connection;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection whose preface was read, and is read once more.
pub(super) struct Greeted {
    preface: &'static [u8],
    connection: Box<dyn Connection>,
}

/// Waits for the preface.
///
/// # Errors
/// The connection ends before it, or begins with something else.
pub(super) async fn greeted(mut connection: Box<dyn Connection>) -> io::Result<Greeted> {
    let mut begun = [0; PREFACE.len()];
    connection.read_exact(&mut begun).await?;
    if begun == PREFACE {
        return Ok(Greeted { preface: PREFACE, connection });
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "the peer does not speak HTTP/2 with prior knowledge"))
}

impl AsyncRead for Greeted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.preface.is_empty() {
            return Pin::new(&mut self.connection).poll_read(cx, buffer);
        }
        let (now, later) = self.preface.split_at(self.preface.len().min(buffer.remaining()));
        buffer.put_slice(now);
        self.preface = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Greeted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(cx, bytes)
    }

    /// Never: the HTTP/2 layer then gathers frames of up to a kilobyte and writes many answers with one system call,
    /// where it would write each answer by itself from slices.
    fn is_write_vectored(&self) -> bool {
        false
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::{PREFACE, greeted};
    use std::io::ErrorKind;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test]
    async fn the_preface_is_read_again_and_what_follows_once() {
        let (mut near, far) = duplex(1024);
        near.write_all(PREFACE).await.unwrap();
        near.write_all(b"and more").await.unwrap();
        let mut connection = greeted(Box::new(far)).await.unwrap();
        let mut whole = vec![0; PREFACE.len() + 8];
        connection.read_exact(&mut whole[..7]).await.unwrap();
        connection.read_exact(&mut whole[7..]).await.unwrap();
        assert_eq!(whole, [PREFACE, b"and more"].concat());
        connection.write_all(b"answer").await.unwrap();
        let mut answer = [0; 6];
        near.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"answer");
    }

    #[tokio::test]
    async fn another_protocol_and_an_early_end_are_no_connection() {
        for (begun, kind) in
            [(&b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..], ErrorKind::InvalidData), (b"PRI *", ErrorKind::UnexpectedEof)]
        {
            let (mut near, far) = duplex(1024);
            near.write_all(begun).await.unwrap();
            drop(near);
            assert_eq!(greeted(Box::new(far)).await.err().map(|error| error.kind()), Some(kind));
        }
    }
}
