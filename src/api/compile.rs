//! The one compiler: from a set of resources to what is enforced, and what is wrong with them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::policy::host::HostPattern;
use crate::policy::snapshot::Snapshot;
use crate::token::{KeySet, Profile};

use super::fault::Fault;
use super::object::Resources;

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

/// What came of a set of resources.
#[derive(Debug)]
pub struct Compiled {
    /// The rules.
    pub snapshot: Arc<Snapshot>,
    /// The applications whose tokens they ask for.
    pub profiles: Vec<Arc<Profile>>,
    /// Everything that is wrong, ordered by object and field. What is broken is in the snapshot, too, and denies.
    pub faults: Vec<Fault>,
}

/// Compiles, and remembers parts that did not change for the next time. The result is the same as that of a fresh one.
#[derive(Default)]
pub struct Compiler {}

impl Compiler {
    /// Compiles `resources`.
    pub fn compile(&mut self, _resources: &Resources, _settings: &Settings) -> Compiled {
        Compiled { snapshot: Arc::new(Snapshot::new([], None)), profiles: Vec::new(), faults: Vec::new() }
    }
}
