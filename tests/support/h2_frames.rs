//! HTTP/2 by hand: one request with header fields that no client library sends.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::children::LIMIT;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
// Frame types and flags (RFC 9113 §6).
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;
const END_STREAM_AND_HEADERS: u8 = 5;

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// An answer, whatever it says.
    Answered,
    /// The stream or the connection was closed.
    Refused,
}

/// Sends one request with these fields, pseudo-headers first, and waits until it is over.
pub(crate) async fn request(address: SocketAddr, fields: &[(&str, &str)]) -> Reply {
    let exchange = async { send(address, fields).await.unwrap_or(Reply::Refused) };
    tokio::time::timeout(LIMIT, exchange).await.unwrap_or_else(|_| panic!("no reply to {fields:?}"))
}

async fn send(address: SocketAddr, fields: &[(&str, &str)]) -> std::io::Result<Reply> {
    let mut stream = TcpStream::connect(address).await?;
    let mut block = Vec::new();
    for (name, value) in fields {
        // a literal without indexing and with a new name (RFC 7541 §6.2.2)
        block.push(0);
        text(name, &mut block);
        text(value, &mut block);
    }
    let mut opening = PREFACE.to_vec();
    frame((SETTINGS, 0, 0), &[], &mut opening);
    frame((HEADERS, END_STREAM_AND_HEADERS, 1), &block, &mut opening);
    stream.write_all(&opening).await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut payload).await?;
        match (head[3], head[4]) {
            (HEADERS, _) => return Ok(Reply::Answered),
            (RST_STREAM | GOAWAY, _) => return Ok(Reply::Refused),
            (SETTINGS, flags) if flags & ACK == 0 => {
                let mut ack = Vec::new();
                frame((SETTINGS, ACK, 0), &[], &mut ack);
                stream.write_all(&ack).await?;
            }
            _ => {}
        }
    }
}

fn frame((kind, flags, stream): (u8, u8, u32), payload: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    out.extend_from_slice(&length[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// A string without Huffman coding (RFC 7541 §5.2).
fn text(value: &str, out: &mut Vec<u8>) {
    let length = value.len();
    if length < 127 {
        out.push(u8::try_from(length).unwrap());
    } else {
        out.push(127);
        let mut rest = length - 127;
        while rest >= 128 {
            out.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
        out.push(u8::try_from(rest).unwrap());
    }
    out.extend_from_slice(value.as_bytes());
}
