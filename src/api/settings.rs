//! For whom resources are compiled, and what the installer laid down.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::policy::host::HostPattern;
use crate::token::KeySet;

/// For whom is compiled, and by which rules of the installation.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Who enforces.
    pub scope: Scope,
    /// Hosts that the installer gave to a namespace, whoever named them first.
    pub pins: BTreeMap<HostPattern, Arc<str>>,
    /// Keys to use instead of those that the applications name: no network is needed then.
    pub keys: Option<KeySet>,
}

/// Who enforces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// A shared gateway: all policies without a selector.
    #[default]
    Gateway,
    /// The sidecar of one workload: policies of its namespace, those with a selector if they match its labels.
    Workload {
        /// The namespace.
        namespace: Arc<str>,
        /// The pod's labels.
        labels: BTreeMap<String, String>,
    },
}
