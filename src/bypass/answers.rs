//! HTTP/1 answers in a stream of bytes: how many are complete, and their statuses (RFC 9112 §6.3).

/// Answers that are complete.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answers {
    pub(super) statuses: Vec<u16>,
    /// Where the last complete one ends.
    rest: usize,
}

/// The complete answers at the beginning of `bytes`. `heads` says which of them, by number, have no body because they
/// answer a `HEAD`. An answer that ends with the connection is not complete before `closed`.
pub(super) fn complete(bytes: &[u8], heads: impl Fn(usize) -> bool, closed: bool) -> Answers {
    let mut found = Answers::default();
    while let Some(rest) = bytes.get(found.rest..).filter(|rest| !rest.is_empty()) {
        let Some(head) = Head::read(rest) else { break };
        let body = rest.get(head.length..).unwrap_or_default();
        // an interim answer is not the one that is waited for (RFC 9110 §15.2)
        let interim = matches!(head.status, 100 | 102..=199);
        let empty = interim || matches!(head.status, 101 | 204 | 304) || heads(found.statuses.len());
        let length = match head.framing {
            _ if empty => Some(0),
            Framing::Length(length) => (body.len() >= length).then_some(length),
            Framing::Chunks => chunked(body),
            Framing::Close => closed.then_some(body.len()),
        };
        let Some(length) = length else { break };
        found.rest = found.rest.saturating_add(head.length).saturating_add(length);
        if !interim {
            found.statuses.push(head.status);
        }
    }
    found
}

/// Status and body of the one answer in `bytes`, of a connection that is closed.
pub(super) fn whole(bytes: &[u8]) -> Option<(u16, Vec<u8>)> {
    let head = Head::read(bytes)?;
    let body = bytes.get(head.length..)?;
    let body = match head.framing {
        Framing::Length(length) => body.get(..length)?.to_vec(),
        Framing::Chunks => unchunked(body)?,
        Framing::Close => body.to_vec(),
    };
    Some((head.status, body))
}

enum Framing {
    Length(usize),
    Chunks,
    Close,
}

struct Head {
    status: u16,
    framing: Framing,
    length: usize,
}

impl Head {
    fn read(bytes: &[u8]) -> Option<Self> {
        let length = find(bytes, b"\r\n\r\n")?.saturating_add(4);
        let text = String::from_utf8_lossy(bytes.get(..length)?);
        let mut lines = text.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let mut framing = Framing::Close;
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("transfer-encoding") {
                framing = Framing::Chunks;
            } else if name.eq_ignore_ascii_case("content-length") && !matches!(framing, Framing::Chunks) {
                framing = Framing::Length(value.trim().parse().ok()?);
            }
        }
        Some(Self { status, framing, length })
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Size and data of the first chunk, and how many bytes it takes.
fn chunk(body: &[u8]) -> Option<(&[u8], usize)> {
    let line = find(body, b"\r\n")?;
    let size = std::str::from_utf8(body.get(..line)?).ok()?.split(';').next()?.trim();
    let size = usize::from_str_radix(size, 16).ok()?;
    let begin = line.checked_add(2)?;
    let end = begin.checked_add(size)?;
    Some((body.get(begin..end)?, end.checked_add(if size == 0 { 0 } else { 2 })?))
}

/// The length of a chunked body, if all of it is there.
fn chunked(body: &[u8]) -> Option<usize> {
    let mut at = 0_usize;
    loop {
        let (data, length) = chunk(body.get(at..)?)?;
        at = at.checked_add(length)?;
        if data.is_empty() {
            // trailers, and the empty line
            let rest = body.get(at..)?;
            let end = if rest.starts_with(b"\r\n") { 0 } else { find(rest, b"\r\n\r\n")?.checked_add(2)? };
            return at.checked_add(end)?.checked_add(2);
        }
    }
}

fn unchunked(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let (data, length) = chunk(body)?;
        if data.is_empty() {
            return Some(out);
        }
        out.extend_from_slice(data);
        body = body.get(length..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::complete;

    fn statuses(text: &str, closed: bool) -> Vec<u16> {
        complete(text.as_bytes(), |_| false, closed).statuses
    }

    #[test]
    fn answers_end_where_their_heads_say() {
        let sized = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";
        assert_eq!(statuses(sized, false), [403]);
        assert_eq!(statuses(sized.strip_suffix('o').unwrap(), true), Vec::<u16>::new());
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
        assert_eq!(statuses(&format!("{chunked}{sized}{chunked}"), false), [200, 403, 200]);
        assert_eq!(
            statuses("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx: y\r\n\r\n", false),
            [200]
        );
    }

    #[test]
    fn some_answers_have_no_body_whatever_they_say() {
        let head = "HTTP/1.1 401 x\r\ncontent-length: 9\r\n\r\n";
        assert_eq!(complete(head.as_bytes(), |_| true, false).statuses, [401]);
        assert_eq!(statuses("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 x\r\n\r\n", false), [204]);
    }

    #[test]
    fn an_answer_without_a_length_ends_with_the_connection() {
        assert_eq!(statuses("HTTP/1.0 200 OK\r\n\r\nsome", false), Vec::<u16>::new());
        assert_eq!(statuses("HTTP/1.0 200 OK\r\n\r\nsome", true), [200]);
    }

    #[test]
    fn a_whole_answer_has_a_body() {
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n1\r\n!\r\n0\r\n\r\n";
        assert_eq!(super::whole(chunked), Some((200, b"ok!".to_vec())));
        assert_eq!(super::whole(b"HTTP/1.1 404 x\r\ncontent-length: 1\r\n\r\nno"), Some((404, b"n".to_vec())));
        assert_eq!(super::whole(b"HTTP/1.1 200 x\r\ncontent-length: 3\r\n\r\nno"), None);
    }

    #[test]
    fn rubbish_is_no_answer() {
        for text in ["", "x", "HTTP/1.1\r\n\r\n", "HTTP/1.1 200 x\r\ncontent-length: x\r\n\r\n", "\0\0\r\n\r\n"] {
            assert_eq!(statuses(text, true), Vec::<u16>::new(), "{text}");
        }
    }
}
