//! Microsoft Entra ID tokens: from a header line to a verified caller, or to exactly one reason why not.
//!
//! Pure: no I/O, no clock, no policy. Keys come in as an [`Authority`], the time as an argument. The order of checks is
//! fixed and written down in [`verify`]; every rule follows RFC 7515, RFC 7519 and Microsoft's "Access tokens" and
//! "Secure applications and APIs by validating claims", and is stricter where Microsoft's own validator is.

mod authority;
mod claims;
pub mod cloud;
mod crypto;
mod fields;
mod header;
mod json;
pub mod jwks;
mod kind;
pub mod metadata;
mod profile;
mod raw;
mod rejection;
pub mod revocation;
mod segments;
mod verify;

pub use authority::{Authority, IssuerTemplate};
pub use crypto::{CryptoFault, install_crypto};
pub use header::KnownHeader;
pub use jwks::{Key, KeySet};
pub use profile::{ChallengeUris, Discovery, ExpectedIssuer, KeySource, Profile, TenantKeys};
pub use raw::{RawToken, credential};
pub use rejection::{Detail, TokenRejection};
pub use segments::{MAX_HEADER, MAX_TOKEN};
pub use verify::{Unverified, inspect, inspect_knowing, recheck};

/// The token version, as the API's registration asks for it (`requestedAccessTokenVersion`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// `ver` 1.0.
    V1,
    /// `ver` 2.0.
    V2,
}

impl Version {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::V1 => Self::V2,
            Self::V2 => Self::V1,
        }
    }
}
