//! What came back on a connection, whatever it was.

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
        !text.is_empty() && self.bytes.windows(text.len()).any(|window| window == text.as_bytes())
    }

    /// For people.
    pub(super) fn shown(&self) -> String {
        let status = |status: &u16| if *status == 0 { "an answer over HTTP/2".to_owned() } else { status.to_string() };
        match &self.statuses[..] {
            [] => "no answer".to_owned(),
            statuses => format!("answered {}", statuses.iter().map(status).collect::<Vec<_>>().join(", ")),
        }
    }
}
