//! What came back on a connection, whatever it was.

use super::http2;

/// Bytes read from one connection at most: nobody who is tested makes the suite keep more.
pub(super) const MOST_BYTES: usize = 1 << 20;

/// What came back.
#[derive(Clone, Debug, Default)]
pub(super) struct Reply {
    /// The statuses that were answered, in their order. HTTP/2 answers count without one, as 0.
    pub(super) statuses: Vec<u16>,
    /// Everything that was read; of HTTP/2 the payloads.
    pub(super) bytes: Vec<u8>,
}

impl Reply {
    /// Whether the text occurs in it.
    pub(super) fn contains(&self, text: &str) -> bool {
        self.holds(text.as_bytes())
    }

    /// Whether there is a header of this name, in lower case, in one of the answers.
    pub(super) fn has_header(&self, name: &str) -> bool {
        !name.is_empty()
            && (self.holds(format!("\n{name}:").as_bytes())
                || http2::huffman(name).is_some_and(|coded| self.statuses.contains(&0) && self.holds(&coded)))
    }

    /// Whether the last answer is one of success; over HTTP/2 if it is the first, and its status 200 in short (RFC 7541
    /// appendix A).
    pub(super) fn is_success(&self) -> bool {
        match self.statuses.last() {
            Some(0) => self.bytes.first() == Some(&0x88),
            Some(status) => (200..300).contains(status),
            None => false,
        }
    }

    /// Whether nobody answered, or a proxy that had nobody to ask; over HTTP/2 whatever is not said in short.
    pub(super) fn is_failure(&self) -> bool {
        match self.statuses.last() {
            Some(0) => !self.bytes.first().is_some_and(|first| (0x88..=0x8d).contains(first)),
            Some(status) => *status >= 500,
            None => true,
        }
    }

    /// An answer over HTTP/2: its status in short, or as text behind the name of that (RFC 7541 §6.1, §6.2, appendices A and B).
    fn of_http2(&self) -> String {
        const SHORT: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
        const CODED: [(&[u8], u16); 6] = [
            (b"\x82\x68\x01", 401),
            (b"\x83\x68\x0c\xff", 403),
            (b"\x83\x68\x4f\xff", 429),
            (b"\x82\x6c\x02", 502),
            (b"\x83\x6c\x0c\xff", 503),
            (b"\x83\x6c\x0d\x7f", 504),
        ];
        let status = match self.bytes.as_slice() {
            [first @ 0x88..=0x8e, ..] => SHORT.get(usize::from(first & 7)).map(ToString::to_string),
            [0x48 | 0x08 | 0x18, 3, text @ ..] => text.get(..3).map(|text| String::from_utf8_lossy(text).into_owned()),
            [0x48 | 0x08 | 0x18, text @ ..] => {
                CODED.iter().find(|(coded, _)| text.starts_with(coded)).map(|(_, status)| status.to_string())
            }
            _ => None,
        };
        status.map_or_else(|| "an answer over HTTP/2".to_owned(), |status| format!("{status} over HTTP/2"))
    }

    fn holds(&self, wanted: &[u8]) -> bool {
        !wanted.is_empty() && self.bytes.windows(wanted.len()).any(|window| window.eq_ignore_ascii_case(wanted))
    }

    /// For people.
    pub(super) fn shown(&self) -> String {
        let status = |status: &u16| if *status == 0 { self.of_http2() } else { status.to_string() };
        match &self.statuses[..] {
            [] => "no answer".to_owned(),
            statuses => format!("answered {}", statuses.iter().map(status).collect::<Vec<_>>().join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Reply;

    #[test]
    fn successes_and_failures_are_told_apart() {
        let reply = |statuses: &[u16], bytes: &[u8]| Reply { statuses: statuses.to_vec(), bytes: bytes.to_vec() };
        let all = [reply(&[200], b""), reply(&[0], &[0x88]), reply(&[403], b""), reply(&[503], b""), reply(&[], b"")];
        let coded = reply(&[0], b"\x48\x03503");
        assert_eq!(all.each_ref().map(Reply::is_success), [true, true, false, false, false]);
        assert_eq!(all.each_ref().map(Reply::is_failure), [false, false, false, true, true]);
        assert!(coded.is_failure() && !coded.is_success());
        let huffman = reply(&[0], b"\x48\x82\x6c\x02");
        let shown =
            [reply(&[0], &[0x8e]), coded, huffman, reply(&[0], &[0xff]), reply(&[403], b"")].map(|reply| reply.shown());
        let over = ["500 over HTTP/2", "503 over HTTP/2", "502 over HTTP/2", "an answer over HTTP/2", "403"];
        assert_eq!(shown, over.map(|said| format!("answered {said}")));
    }

    #[test]
    fn headers_are_found_in_both_versions() {
        let plain = Reply { statuses: vec![200], bytes: b"HTTP/1.1 200 OK\r\nNo-Cache: x\r\n\r\nx-y: z".to_vec() };
        assert!(plain.has_header("no-cache") && !plain.has_header("cache"));
        let coded = Reply { statuses: vec![0], bytes: vec![1, 0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf, 2] };
        assert!(coded.has_header("no-cache") && !coded.has_header("custom-key") && !coded.has_header(""));
    }
}
