//! One host: the policies that speak for it, merged into a tree of routes for those that decide and one for those that
//! only record.

use std::sync::Arc;

use super::rules::{Methods, Mode, Poison, Policy};
use super::slot::Place;
use super::tree::Tree;

/// What is known of one host.
#[derive(Debug)]
pub struct HostTable {
    enforcing: Option<Side>,
    shadow: Option<Side>,
    poison: Option<Poison>,
    policies: Vec<Arc<Policy>>,
}

/// The policies of one mode.
#[derive(Debug, Default)]
pub struct Side {
    /// Their routes.
    pub tree: Tree,
    /// One of them is broken as a whole.
    pub poison: Option<Poison>,
}

impl HostTable {
    /// Merges the policies of one host, in any order. With `poison` the host denies everything.
    #[must_use]
    pub fn build(mut policies: Vec<Arc<Policy>>, poison: Option<Poison>) -> Self {
        policies.sort_by(|left, right| left.seniority.cmp(&right.seniority));
        Self { enforcing: side(&policies, Mode::Enforce), shadow: side(&policies, Mode::Shadow), poison, policies }
    }

    /// The policies that decide; `None` if there are none.
    #[must_use]
    pub const fn enforcing(&self) -> Option<&Side> {
        self.enforcing.as_ref()
    }

    /// The policies that record; `None` if there are none.
    #[must_use]
    pub const fn shadow(&self) -> Option<&Side> {
        self.shadow.as_ref()
    }

    /// Why everything on this host is denied, if it is.
    #[must_use]
    pub const fn poison(&self) -> Option<&Poison> {
        self.poison.as_ref()
    }

    /// All policies of the host, the oldest first.
    #[must_use]
    pub fn policies(&self) -> &[Arc<Policy>] {
        &self.policies
    }
}

fn side(policies: &[Arc<Policy>], mode: Mode) -> Option<Side> {
    let mut of_mode = policies.iter().filter(|policy| policy.mode == mode).peekable();
    of_mode.peek()?;
    let mut side = Side::default();
    for policy in of_mode {
        if side.poison.is_none() {
            side.poison.clone_from(&policy.poison);
        }
        let places =
            || policy.routes.iter().map(|route| Place { policy: Arc::clone(policy), route: Arc::clone(route) });
        // Within one policy, too, a route whose methods cannot be read may have been meant for any of them.
        let unclear = |place: &Place| place.route.methods == Methods::Unknown;
        places().filter(unclear).for_each(|place| side.tree.add(&place));
        places().filter(|place| !unclear(place)).for_each(|place| side.tree.add(&place));
    }
    Some(side)
}
