//! HTTP/2 by hand (RFC 9113): streams with fields that no client library sends.
//!
//! Fields go out as literals without Huffman coding. Of answers only the frames are looked at, and their payloads kept:
//! fields are not decoded, but the name of one can be looked for.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::door::Wire;
use super::reply::{MOST_BYTES, Reply};
use super::script::{Filling, Script};
use super::trick::Stream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
// Frame types and flags (RFC 9113 §6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The number of a client's first stream (RFC 9113 §5.1.1).
pub(super) const FIRST: u32 = 1;
/// The number of the one after it.
pub(super) const SECOND: u32 = 3;

/// Everything that a client sends to open a connection with these streams, of which the first has this number.
pub(super) fn opening((first, streams): (u32, &[Stream]), with: Filling<'_>) -> Vec<u8> {
    let mut out = PREFACE.to_vec();
    frame((SETTINGS, 0, 0), &[], &mut out);
    for (stream, id) in streams.iter().zip(numbers(first)) {
        let more = stream.body.is_some() || !stream.trailers.is_empty();
        let last = if more { 0 } else { END_STREAM };
        frame((HEADERS, END_HEADERS | last, id), &block(&stream.fields, with), &mut out);
        if let Some(body) = &stream.body {
            let last = if stream.trailers.is_empty() { END_STREAM } else { 0 };
            frame((DATA, last, id), &body.filled(with), &mut out);
        }
        if !stream.trailers.is_empty() {
            frame((HEADERS, END_HEADERS | END_STREAM, id), &block(&stream.trailers, with), &mut out);
        }
    }
    out
}

/// The numbers of a client's streams from this one on.
fn numbers(first: u32) -> impl Iterator<Item = u32> {
    (first..).step_by(2)
}

/// Whether the other end answers the preface of HTTP/2 with its own (RFC 9113 §3.4): with a SETTINGS frame.
pub(super) async fn is_spoken(mut connection: Box<dyn Wire>, patience: Duration) -> bool {
    let exchange = async {
        let mut greeting = PREFACE.to_vec();
        frame((SETTINGS, 0, 0), &[], &mut greeting);
        connection.write_all(&greeting).await?;
        let mut head = [0; 9];
        connection.read_exact(&mut head).await?;
        let [_, _, _, kind, flags, stream @ ..] = head;
        std::io::Result::Ok((kind, flags, stream) == (SETTINGS, 0, [0; 4]))
    };
    matches!(timeout(patience, exchange).await, Ok(Ok(true)))
}

/// Sends it, and reads until every stream has ended in some way.
pub(super) async fn converse(mut connection: Box<dyn Wire>, opening: &[u8], until: (usize, Duration)) -> Reply {
    let (streams, patience) = until;
    let mut reply = Reply::default();
    let mut open: BTreeSet<u32> = numbers(FIRST).take(streams).collect();
    let exchange = async {
        connection.write_all(opening).await?;
        while !open.is_empty() && reply.bytes.len() < MOST_BYTES {
            let mut head = [0; 9];
            connection.read_exact(&mut head).await?;
            let [a, b, c, kind, flags, s, t, u, v] = head;
            let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX);
            if length > MOST_BYTES {
                break;
            }
            let mut payload = vec![0; length];
            connection.read_exact(&mut payload).await?;
            let stream = u32::from_be_bytes([s & 0x7f, t, u, v]);
            match kind {
                SETTINGS if flags & ACK == 0 => {
                    let mut acknowledged = Vec::new();
                    frame((SETTINGS, ACK, 0), &[], &mut acknowledged);
                    connection.write_all(&acknowledged).await?;
                }
                HEADERS => {
                    reply.statuses.push(0);
                    reply.bytes.extend_from_slice(&payload);
                }
                DATA => reply.bytes.extend_from_slice(&payload),
                GOAWAY => open.clear(),
                _ => {}
            }
            if kind == RST_STREAM || (matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0) {
                open.remove(&stream);
            }
        }
        std::io::Result::Ok(())
    };
    // Whoever closes the connection, or says nothing, has answered, too.
    match timeout(patience, exchange).await {
        Ok(Ok(()) | Err(_)) | Err(_) => reply,
    }
}

fn block(fields: &[(Script, Script)], with: Filling<'_>) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        // a literal without indexing and with a new name (RFC 7541 §6.2.2)
        block.push(0);
        text(&name.filled(with), &mut block);
        text(&value.filled(with), &mut block);
    }
    block
}

fn frame((kind, flags, stream): (u8, u8, u32), payload: &[u8], out: &mut Vec<u8>) {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// A string without Huffman coding (RFC 7541 §5.1 and §5.2).
fn text(value: &[u8], out: &mut Vec<u8>) {
    const FULL: usize = 127;
    let seven = |number: usize| u8::try_from(number & FULL).unwrap_or(0);
    match value.len().checked_sub(FULL) {
        None => out.push(seven(value.len())),
        Some(mut rest) => {
            out.push(seven(FULL));
            while rest > FULL {
                out.push(seven(rest) | 0x80);
                rest >>= 7;
            }
            out.push(seven(rest));
        }
    }
    out.extend_from_slice(value);
}

/// The Huffman codes of `a` to `z` (RFC 7541 appendix B), and how many bits they have.
const LETTERS: [(u32, u32); 26] = [
    (0x3, 5),
    (0x23, 6),
    (0x4, 5),
    (0x24, 6),
    (0x5, 5),
    (0x25, 6),
    (0x26, 6),
    (0x27, 6),
    (0x6, 5),
    (0x74, 7),
    (0x75, 7),
    (0x28, 6),
    (0x29, 6),
    (0x2a, 6),
    (0x7, 5),
    (0x2b, 6),
    (0x76, 7),
    (0x2c, 6),
    (0x8, 5),
    (0x9, 5),
    (0x2d, 6),
    (0x77, 7),
    (0x78, 7),
    (0x79, 7),
    (0x7a, 7),
    (0x7b, 7),
];

/// A field's name as Huffman coding writes it. `None` if it has other characters than lower-case letters and hyphens.
pub(super) fn huffman(name: &str) -> Option<Vec<u8>> {
    let (mut out, mut pending, mut count) = (Vec::new(), 0_u32, 0_u32);
    for byte in name.bytes() {
        let letter = byte.checked_sub(b'a').and_then(|at| LETTERS.get(usize::from(at)));
        let (code, length) = if byte == b'-' { (0x16, 6) } else { *letter? };
        pending = (pending << length) | code;
        count = count.saturating_add(length);
        if count >= 8 {
            count = count.saturating_sub(8);
            out.push(u8::try_from((pending >> count) & 0xff).ok()?);
        }
    }
    // what is left of the last byte is filled with ones
    let free = 8_u32.saturating_sub(count);
    let rest = ((pending << free) | (0xff_u32 >> count)) & 0xff;
    out.extend((count > 0).then(|| u8::try_from(rest).ok()).flatten());
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::{huffman, text};

    /// The examples of RFC 7541 appendix C.4.
    #[test]
    fn names_are_written_as_huffman_coding_does() {
        assert_eq!(huffman("no-cache").unwrap(), [0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]);
        assert_eq!(huffman("custom-key").unwrap(), [0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f]);
        assert_eq!(huffman("X"), None);
    }

    #[test]
    fn lengths_are_written_as_hpack_wants_them() {
        let begin = |length: usize| {
            let mut out = Vec::new();
            text(&vec![b'x'; length], &mut out);
            out.truncate(out.len() - length);
            out
        };
        assert_eq!(begin(0), [0]);
        assert_eq!(begin(126), [126]);
        assert_eq!(begin(127), [127, 0]);
        assert_eq!(begin(127 + 128), [127, 0x80, 1]);
        assert_eq!(begin(1337), [127, 0xba, 9]);
    }
}
