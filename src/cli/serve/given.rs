//! A set of resources, and where it comes from.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::fault::Fault;
use crate::api::object::Resources;
use crate::api::settings::Scope;
use crate::delivery::client::State;
use crate::files::library::Library;
use crate::policy::host::HostPattern;

/// A set of resources.
pub(super) enum Given {
    /// From a directory.
    Files(Arc<Library>),
    /// From the API server.
    Mirrored(Arc<Resources>),
    /// From the controller.
    Delivered(Arc<State>),
}

impl Given {
    /// The resources.
    pub(super) fn resources(&self) -> &Resources {
        match self {
            Self::Files(library) => &library.resources,
            Self::Mirrored(resources) => resources,
            Self::Delivered(state) => &state.resources,
        }
    }

    /// Who enforces, if whoever gave them says so.
    pub(super) fn scope(&self) -> Option<&Scope> {
        match self {
            Self::Files(_) | Self::Mirrored(_) => None,
            Self::Delivered(state) => Some(&state.scope),
        }
    }

    /// Hosts that are given to a namespace, if whoever gave the resources says so.
    pub(super) fn pins(&self) -> Option<&BTreeMap<HostPattern, Arc<str>>> {
        match self {
            Self::Files(_) | Self::Mirrored(_) => None,
            Self::Delivered(state) => Some(&state.pins),
        }
    }

    /// A fault with its place, if it has one that people can open.
    pub(super) fn describe(&self, fault: &Fault) -> String {
        match self {
            Self::Files(library) => library.describe(fault),
            Self::Mirrored(_) | Self::Delivered(_) => fault.to_string(),
        }
    }
}
