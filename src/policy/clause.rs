//! Names of entries, as records show them: `allow[0]`, `deny[1]`, `spec.deny[0]`.

use std::sync::{Arc, LazyLock};

/// Most entries of one list; the compiler refuses more.
pub const MAX_ENTRIES: usize = 64;

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clause {
    /// In which list.
    pub section: Section,
    /// At which position.
    pub index: usize,
}

/// The lists of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// `deny` of the policy.
    Guardrail,
    /// `deny` of the route.
    Deny,
    /// `allow` of the route.
    Allow,
}

impl Section {
    /// The list's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Guardrail => "spec.deny",
            Self::Deny => "deny",
            Self::Allow => "allow",
        }
    }
}

/// Every name that can be needed, made once: the request path only counts a reference.
static NAMES: LazyLock<[Vec<Arc<str>>; 3]> = LazyLock::new(|| {
    [Section::Guardrail, Section::Deny, Section::Allow]
        .map(|section| (0..MAX_ENTRIES).map(|index| format!("{}[{index}]", section.as_str()).into()).collect())
});

impl Clause {
    /// The entry's name.
    #[must_use]
    pub fn name(self) -> Arc<str> {
        let [guardrail, deny, allow] = &*NAMES;
        let names = match self.section {
            Section::Guardrail => guardrail,
            Section::Deny => deny,
            Section::Allow => allow,
        };
        names.get(self.index).cloned().unwrap_or_else(|| self.section.as_str().into())
    }
}
