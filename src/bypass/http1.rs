//! Conversations over HTTP/1: bytes go out as they are, and what comes back is read until enough answers are there.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::answers;
use super::door::Wire;
use super::reply::{MOST_BYTES, Reply};

/// After a first answer, a second one that does not come for so long is not waited for.
const QUIET: Duration = Duration::from_secs(1);

/// Bytes to send, and how many answers are waited for then.
pub(super) struct Part {
    pub(super) bytes: Vec<u8>,
    pub(super) answers: usize,
}

/// Sends each part when those before are answered. Never an error: a proxy that closes the connection has answered.
pub(super) async fn converse(mut stream: Box<dyn Wire>, parts: &[Part], patience: Duration) -> Reply {
    let mut reply = Reply::default();
    let mut wanted = 0_usize;
    let heads: Vec<bool> = parts.iter().map(|part| part.bytes.starts_with(b"HEAD ")).collect();
    for part in parts {
        wanted = wanted.saturating_add(part.answers);
        if !matches!(timeout(patience, stream.write_all(&part.bytes)).await, Ok(Ok(()))) {
            // it may have answered before it closed
            read(&mut *stream, &mut reply, (wanted, patience), &heads).await;
            break;
        }
        if read(&mut *stream, &mut reply, (wanted, patience), &heads).await == End::Closed {
            break;
        }
    }
    reply
}

#[derive(PartialEq, Eq)]
enum End {
    Answered,
    Closed,
}

async fn read(stream: &mut dyn Wire, reply: &mut Reply, until: (usize, Duration), heads: &[bool]) -> End {
    let (wanted, patience) = until;
    let is_head = |at: usize| heads.get(at).copied().unwrap_or(false);
    let exchange = async {
        let mut buffer = [0; 8192];
        loop {
            reply.statuses = answers::complete(&reply.bytes, is_head, false).statuses;
            if reply.statuses.len() >= wanted || reply.bytes.len() >= MOST_BYTES {
                return End::Answered;
            }
            let pause = if reply.statuses.is_empty() { patience } else { QUIET };
            let Ok(came) = timeout(pause, stream.read(&mut buffer)).await else { return End::Closed };
            match came.ok().and_then(|length| buffer.get(..length)) {
                None | Some([]) => {
                    reply.statuses = answers::complete(&reply.bytes, is_head, true).statuses;
                    return End::Closed;
                }
                Some(bytes) => reply.bytes.extend_from_slice(bytes),
            }
        }
    };
    timeout(patience, exchange).await.unwrap_or(End::Closed)
}
