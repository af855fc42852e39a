//! One gRPC message on one HTTP/2 stream (gRPC over HTTP/2: Length-Prefixed-Message, Trailers).
//!
//! Reading never fails in gRPC's sense: what is not exactly one complete, uncompressed message of bearable size is
//! [`Fault`], and the caller answers it with a refusal.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};
use hyper::body::{Body, Frame, SizeHint};

use super::budget::Lease;

/// The flag and the length in front of a message.
pub(super) const PREFIX: usize = 5;

/// Why there is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The stream ended, or broke, before the message did.
    Incomplete,
    /// More bytes than the limit.
    TooLarge,
    /// Other messages take all the memory there is for them.
    NoRoom,
    /// The compressed flag is set; no compression was ever offered.
    Compressed,
    /// There are bytes after the message.
    Trailing,
}

/// Reads the one message of a unary call, up to `limit` bytes. Bytes are copied, and taken from the lease, only if they
/// come in several frames. What is too much is read and dropped, so that the sender gets to read its answer.
///
/// # Errors
/// Whatever is not exactly one message.
pub(super) async fn read<B>(body: B, limit: usize, lease: &mut Lease<'_>) -> Result<Bytes, Fault>
where
    B: Body<Data = Bytes>,
{
    let mut body = std::pin::pin!(body);
    let mut whole = Ok(Bytes::new());
    while !body.is_end_stream() {
        let frame = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| Fault::Incomplete)?;
        if let Ok(data) = frame.into_data() {
            whole = whole.and_then(|bytes| {
                let length = bytes.len().saturating_add(data.len());
                if !bytes.is_empty() && !lease.grow_to(length) {
                    return Err(Fault::NoRoom);
                }
                join(bytes, data, limit.saturating_add(PREFIX))
            });
        }
    }
    message(whole?)
}

fn join(first: Bytes, second: Bytes, limit: usize) -> Result<Bytes, Fault> {
    if first.len().saturating_add(second.len()) > limit {
        return Err(Fault::TooLarge);
    }
    if first.is_empty() {
        return Ok(second);
    }
    let mut both = BytesMut::from(first);
    both.extend_from_slice(&second);
    Ok(both.freeze())
}

fn message(mut whole: Bytes) -> Result<Bytes, Fault> {
    if whole.len() < PREFIX {
        return Err(Fault::Incomplete);
    }
    let flag = whole.get_u8();
    let length = usize::try_from(whole.get_u32()).map_err(|_| Fault::TooLarge)?;
    match (flag, whole.len().cmp(&length)) {
        (0, std::cmp::Ordering::Equal) => Ok(whole),
        (0, std::cmp::Ordering::Less) => Err(Fault::Incomplete),
        (0, std::cmp::Ordering::Greater) => Err(Fault::Trailing),
        (_, _) => Err(Fault::Compressed),
    }
}

/// The prefix of a message of `length` bytes.
pub(super) fn prefix(length: usize) -> [u8; PREFIX] {
    // INVARIANT: answers are far smaller than 4 GiB; a length beyond that cannot be sent and must not look short.
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    let [a, b, c, d] = length.to_be_bytes();
    [0, a, b, c, d]
}

/// The largest piece of a reply. Pieces of a kilobyte and more are not gathered with others, but written one by one
/// (`CHAIN_THRESHOLD_WITHOUT_VECTORED_IO` of the h2 crate): a system call each, which costs more than the decision.
const PIECE: usize = 1000;

/// The body of a reply: one message in small pieces, then the trailer that says the call succeeded.
#[derive(Debug)]
pub(super) struct Reply {
    message: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Reply {
    /// A reply with this message, prefix included.
    pub(super) fn new(framed: Bytes) -> Self {
        let mut trailers = HeaderMap::with_capacity(1);
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        Self { message: Some(framed), trailers: Some(trailers) }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match self.message.take() {
            Some(mut message) if message.len() > PIECE => {
                let piece = message.split_to(PIECE);
                self.message = Some(message);
                Some(Frame::data(piece))
            }
            Some(message) => Some(Frame::data(message)),
            None => self.trailers.take().map(Frame::trailers),
        };
        Poll::Ready(next.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.message.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(
            self.message.as_ref().map_or(0, |message| u64::try_from(message.len()).unwrap_or(u64::MAX)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, PIECE, Reply, join, message, prefix, read};
    use crate::envoy::budget::Budget;
    use bytes::Bytes;
    use futures_util::FutureExt;
    use hyper::body::{Body, Frame};
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    fn framed(text: &'static [u8]) -> Bytes {
        let mut whole = prefix(text.len()).to_vec();
        whole.extend_from_slice(text);
        whole.into()
    }

    #[test]
    fn one_whole_message_is_read_without_its_prefix() {
        assert_eq!(message(framed(b"hello")), Ok(Bytes::from_static(b"hello")));
        assert_eq!(message(framed(b"")), Ok(Bytes::new()));
    }

    #[test]
    fn anything_but_one_whole_message_is_a_fault() {
        assert_eq!(message(Bytes::new()), Err(Fault::Incomplete));
        assert_eq!(message(framed(b"hello").slice(..8)), Err(Fault::Incomplete));
        let two = join(framed(b"hello"), framed(b"again"), 100).unwrap();
        assert_eq!(message(two), Err(Fault::Trailing));
        let mut compressed = framed(b"hello").to_vec();
        compressed[0] = 1;
        assert_eq!(message(compressed.into()), Err(Fault::Compressed));
    }

    #[test]
    fn a_reply_comes_in_small_pieces_that_make_the_whole() {
        let whole = Bytes::from(vec![7; 2 * PIECE + 1]);
        let mut reply = Reply::new(whole.clone());
        let (mut pieces, mut context) = (Vec::new(), Context::from_waker(Waker::noop()));
        while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut reply).poll_frame(&mut context) {
            pieces.extend(frame.into_data().ok());
        }
        assert_eq!(pieces.iter().map(Bytes::len).collect::<Vec<_>>(), [PIECE, PIECE, 1]);
        assert_eq!(pieces.concat(), whole);
        assert!(reply.is_end_stream());
    }

    #[test]
    fn a_message_beyond_the_limit_is_not_collected() {
        let budget = Budget::new(0);
        let read = |limit| read(Reply::new(framed(b"hello")), limit, &mut budget.lease()).now_or_never();
        assert_eq!(read(5), Some(Ok(Bytes::from_static(b"hello"))));
        assert_eq!(read(4), Some(Err(Fault::TooLarge)));
    }

    /// A body that comes byte by byte.
    struct Drip(Bytes);

    impl Body for Drip {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let more = !self.0.is_empty();
            Poll::Ready(more.then(|| Ok(Frame::data(self.0.split_to(1)))))
        }
    }

    #[test]
    fn a_message_in_pieces_takes_memory_that_others_may_have() {
        let budget = Budget::new(10);
        let (mut one, mut two) = (budget.lease(), budget.lease());
        let hello = || Drip(framed(b"hello"));
        assert_eq!(read(hello(), 5, &mut one).now_or_never(), Some(Ok(Bytes::from_static(b"hello"))));
        assert_eq!(read(hello(), 5, &mut two).now_or_never(), Some(Err(Fault::NoRoom)));
        drop((one, two));
        assert_eq!(read(hello(), 5, &mut budget.lease()).now_or_never(), Some(Ok(Bytes::from_static(b"hello"))));
    }
}
