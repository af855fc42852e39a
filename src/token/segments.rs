//! The three segments of a compact JWS (RFC 7515 §3.1), bounded before anything is decoded.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

use crate::reason::ReasonCode;

use super::rejection::TokenRejection;

/// Longest token, in bytes. 200 groups take some 10 KiB.
pub const MAX_TOKEN: usize = 16 * 1024;
/// Longest header segment, in bytes, encoded.
pub const MAX_HEADER: usize = 4 * 1024;

/// base64url without padding; bits that no byte holds must be zero (RFC 4648 §3.5).
const BASE64URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, NO_PAD);

/// The parts of a token.
pub(super) struct Segments<'a> {
    /// The header, encoded: often it need not be read.
    pub(super) header: &'a [u8],
    /// Payload and signature, decoded into one block of memory,
    decoded: Vec<u8>,
    /// and where the second begins.
    signature: usize,
    /// What is signed: header and payload with the dot between them, as sent.
    pub(super) signed: &'a [u8],
}

impl Segments<'_> {
    /// The payload's bytes.
    pub(super) fn payload(&self) -> &[u8] {
        self.decoded.get(..self.signature).unwrap_or_default()
    }

    /// The signature.
    pub(super) fn signature(&self) -> &[u8] {
        self.decoded.get(self.signature..).unwrap_or_default()
    }
}

/// Takes a token apart.
pub(super) fn split(token: &[u8]) -> Result<Segments<'_>, TokenRejection> {
    if token.len() > MAX_TOKEN {
        return Err(TokenRejection::new(ReasonCode::TokenTooLarge, "more than 16 KiB"));
    }
    let malformed = |detail| TokenRejection::new(ReasonCode::TokenMalformed, detail);
    let text = std::str::from_utf8(token).map_err(|_| malformed("not ASCII"))?;
    let mut parts = text.split('.');
    let (Some(header), Some(payload), Some(signature)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(malformed("fewer than three segments"));
    };
    match parts.count() {
        0 => {}
        2 => {
            return Err(TokenRejection::new(ReasonCode::TokenEncrypted, "five segments: a JWE"));
        }
        _ => return Err(malformed("more than three segments")),
    }
    if header.is_empty() || payload.is_empty() || signature.is_empty() {
        return Err(malformed("an empty segment"));
    }
    if header.len() > MAX_HEADER {
        return Err(TokenRejection::new(ReasonCode::TokenTooLarge, "header segment of more than 4 KiB"));
    }
    // three bytes for four, both parts rounded up
    let mut decoded = Vec::with_capacity(token.len().saturating_mul(3).div_ceil(4).saturating_add(6));
    append(payload, &mut decoded)?;
    let end = decoded.len();
    append(signature, &mut decoded)?;
    let signed = token.get(..header.len().saturating_add(1).saturating_add(payload.len())).unwrap_or_default();
    Ok(Segments { header: header.as_bytes(), decoded, signature: end, signed })
}

/// Decodes the header.
pub(super) fn decode(header: &[u8]) -> Result<Vec<u8>, TokenRejection> {
    let mut decoded = Vec::new();
    append(header, &mut decoded)?;
    Ok(decoded)
}

fn append(segment: impl AsRef<[u8]>, decoded: &mut Vec<u8>) -> Result<(), TokenRejection> {
    let malformed = |_| TokenRejection::new(ReasonCode::TokenMalformed, "a segment is not base64url");
    BASE64URL.decode_vec(segment, decoded).map_err(malformed)
}
