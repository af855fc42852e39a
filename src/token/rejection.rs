//! Why a token was not accepted: the reason that everybody may see, and a detail for the audit log.

use crate::reason::ReasonCode;

/// What the audit log may know beside the reason: fixed words and names of claims, never a part of the token.
pub type Detail = &'static str;

/// A token that was not accepted. Has no `Display`: the detail is not for answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenRejection {
    reason: ReasonCode,
    detail: Detail,
}

impl TokenRejection {
    /// A rejection; the corridor makes one where it has no key to ask.
    #[must_use]
    pub const fn new(reason: ReasonCode, detail: Detail) -> Self {
        Self { reason, detail }
    }

    /// The stable reason.
    #[must_use]
    pub const fn reason(&self) -> ReasonCode {
        self.reason
    }

    /// For the audit log only.
    #[must_use]
    pub const fn detail(&self) -> Detail {
        self.detail
    }
}
