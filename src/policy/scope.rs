//! The part of the rules that the proxy itself names for a request, in place of the request's host: one policy, or all
//! policies of one application in the application's namespace.
//!
//! A scope narrows and never opens: what cannot be found denies, and a policy that only records leaves the decision to
//! those that decide for the host.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::reason::ReasonCode;
use crate::request::Named;

use super::rules::{Poison, Policy};
use super::table::HostTable;

/// What stands under one name, in any order of policies.
#[derive(Debug)]
pub struct Scope {
    policies: Vec<Arc<Policy>>,
    poison: Option<Poison>,
    /// Merged when somebody asks: most names are never asked for.
    table: OnceLock<Box<HostTable>>,
}

impl Scope {
    /// Takes the policies. With `poison` the scope denies everything.
    #[must_use]
    pub const fn new(policies: Vec<Arc<Policy>>, poison: Option<Poison>) -> Self {
        Self { policies, poison, table: OnceLock::new() }
    }

    /// The policies, merged as those of one host are.
    #[must_use]
    pub fn table(&self) -> &HostTable {
        if let Some(table) = self.table.get() {
            return table;
        }
        // Two who ask at once both merge, so that neither waits for the other.
        let table = Box::new(HostTable::build(self.policies.clone(), self.poison.clone()));
        self.table.get_or_init(|| table)
    }

    /// Whether somebody asked.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.table.get().is_some()
    }

    /// Whether it is made of just these.
    #[must_use]
    pub fn is_of(&self, policies: &[Arc<Policy>], poison: Option<&Poison>) -> bool {
        self.poison.as_ref() == poison && self.policies.iter().map(Arc::as_ptr).eq(policies.iter().map(Arc::as_ptr))
    }
}

/// Scopes by `namespace/name`.
pub type ByName = HashMap<Arc<str>, Arc<Scope>, foldhash::fast::RandomState>;

/// Everything that a proxy may name.
#[derive(Clone, Debug, Default)]
pub struct Scopes {
    /// One policy each.
    pub policies: ByName,
    /// The policies of one application each.
    pub applications: ByName,
}

/// Why what the proxy names is no scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeFault {
    /// Said twice, or under a key that nobody knows.
    Garbled,
    /// No such policy is enforced here.
    Policy,
    /// No policy of such an application is enforced here.
    Application,
    /// The policy is not one of the application.
    Apart,
}

impl ScopeFault {
    /// The stable reason.
    #[must_use]
    pub const fn reason(self) -> ReasonCode {
        match self {
            Self::Garbled => ReasonCode::ScopeInvalid,
            Self::Policy | Self::Application | Self::Apart => ReasonCode::ScopeUnknown,
        }
    }
}

impl fmt::Display for ScopeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Garbled => {
                "the proxy's configuration has a key of `entrance.dev/` twice, or one other than \
                 `entrance.dev/policy` and `entrance.dev/application`"
            }
            Self::Policy => "the proxy's configuration names a policy that is not enforced here",
            Self::Application => {
                "the proxy's configuration names an application without a policy that is enforced here"
            }
            Self::Apart => "the proxy's configuration names a policy and another application than that of the policy",
        })
    }
}

impl Scopes {
    /// What is named, if anything is.
    ///
    /// # Errors
    /// What is named is not there.
    pub fn find(&self, named: &Named<'_>) -> Result<Option<&HostTable>, ScopeFault> {
        if named.is_garbled {
            return Err(ScopeFault::Garbled);
        }
        let application = named.application.map(|name| at(&self.applications, name).ok_or(ScopeFault::Application));
        let policy = named.policy.map(|name| at(&self.policies, name).ok_or(ScopeFault::Policy));
        let scope = match (policy.transpose()?, application.transpose()?) {
            (Some(policy), Some(_)) if !policy.is_part_of(named.application) => return Err(ScopeFault::Apart),
            (Some(policy), _) => policy,
            (None, Some(application)) => application,
            (None, None) => return Ok(None),
        };
        Ok(Some(scope.table()))
    }
}

fn at<'s>(scopes: &'s ByName, name: &Bytes) -> Option<&'s Scope> {
    scopes.get(std::str::from_utf8(name).ok()?).map(Arc::as_ref)
}

impl Scope {
    fn is_part_of(&self, application: Option<&Bytes>) -> bool {
        self.policies.iter().all(|policy| {
            let own = policy.application.as_ref();
            own.zip(application).is_some_and(|(own, named)| own.0.as_bytes() == named)
        })
    }
}
