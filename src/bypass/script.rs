//! What is sent, with places for what differs from run to run or must not be shown: nonces and tokens.

use super::http2;
use super::tokens::Tokens;
use super::trick::{Sent, Stream};

/// The header that tells arrivals apart.
pub const NONCE: &str = "x-bypass-nonce";

/// How long a nonce is: always, because lengths are computed before nonces are known.
pub(super) const NONCE_LENGTH: usize = 12;

/// A part of a script.
#[derive(Clone, Debug)]
enum Piece {
    Bytes(Vec<u8>),
    /// The token of this name.
    Token(String),
    Nonce,
    /// The nonce of a request that is permitted.
    Permit,
    /// What opens an HTTP/2 connection with these streams, of which the first has this number.
    Frames(u32, Vec<Stream>),
}

/// Bytes with places to be filled.
#[derive(Clone, Debug, Default)]
pub struct Script(Vec<Piece>);

/// What fills the places.
#[derive(Clone, Copy)]
pub struct Filling<'a> {
    /// The tokens by name.
    pub tokens: &'a Tokens,
    /// The trick's nonce.
    pub nonce: &'a str,
}

/// The nonce of what is permitted in the trick that has this nonce.
pub(super) fn permit(nonce: &str) -> String {
    format!("{nonce}p")
}

impl Script {
    /// These bytes.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self::default().then(bytes)
    }

    /// A token by its name.
    pub(super) fn token(name: &str) -> Self {
        Self(vec![Piece::Token(name.to_owned())])
    }

    /// The nonce, or that of what is permitted.
    pub(super) fn nonce(permitted: Permitted) -> Self {
        Self(vec![match permitted {
            Permitted::No => Piece::Nonce,
            Permitted::Yes => Piece::Permit,
        }])
    }

    /// An HTTP/2 connection with these streams, as far as a client opens it.
    pub(super) fn frames(streams: Vec<Stream>) -> Self {
        Self(vec![Piece::Frames(http2::FIRST, streams)])
    }

    /// The same on a connection that was upgraded, whose first number belongs to the request that asked for it.
    pub(super) fn frames_behind_an_upgrade(streams: Vec<Stream>) -> Self {
        Self(vec![Piece::Frames(http2::SECOND, streams)])
    }

    /// Goes on with bytes.
    #[must_use]
    pub fn then(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.push(Piece::Bytes(bytes.as_ref().to_vec()));
        self
    }

    /// Goes on with another script.
    #[must_use]
    pub(super) fn and(mut self, more: Self) -> Self {
        self.0.extend(more.0);
        self
    }

    /// The bytes to send.
    pub(super) fn filled(&self, with: Filling<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Bytes(bytes) => out.extend_from_slice(bytes),
                Piece::Token(name) => out.extend_from_slice(with.tokens.value(name).as_bytes()),
                Piece::Nonce => out.extend_from_slice(with.nonce.as_bytes()),
                Piece::Permit => out.extend_from_slice(permit(with.nonce).as_bytes()),
                Piece::Frames(first, streams) => out.extend(http2::opening((*first, streams), with)),
            }
        }
        out
    }

    /// How many bytes will be sent, of a script without tokens and frames.
    pub(super) fn length(&self) -> usize {
        let length = |piece: &Piece| match piece {
            Piece::Bytes(bytes) => bytes.len(),
            Piece::Nonce => NONCE_LENGTH,
            Piece::Permit => permit("").len().saturating_add(NONCE_LENGTH),
            Piece::Token(_) | Piece::Frames(..) => 0,
        };
        self.0.iter().map(length).sum()
    }

    /// For people: other bytes than printable ones escaped, tokens by their names.
    #[must_use]
    pub fn shown(&self) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Bytes(bytes) => bytes.escape_ascii().to_string(),
            Piece::Token(name) => format!("<token {name}>"),
            Piece::Nonce => "<nonce>".to_owned(),
            Piece::Permit => "<nonce of a permitted request>".to_owned(),
            Piece::Frames(_, streams) => Sent::Http2(streams.clone()).shown(),
        };
        self.0.iter().map(piece).collect()
    }
}

/// Whether a request may arrive at what is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permitted {
    /// It has no permit.
    No,
    /// It carries the right token.
    Yes,
}
