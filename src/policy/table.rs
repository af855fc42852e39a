//! One host: the policies that speak for it, merged into a tree of routes for those that decide and one for those that
//! only record.

use std::sync::Arc;

use super::rules::{Methods, Mode, Poison, Policy};
use super::slot::Place;
use super::tree::{MAX_WALK, Tree};

/// What is wrong with routes that would make a request walk too long.
pub const TANGLED: &str = "too many templates differ in having a literal or a parameter at the same places; write one \
                           template with parameters where the same callers may";

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
    /// One of them is broken as a whole, or all of them together are.
    pub poison: Option<Poison>,
    /// Their routes would make a request walk too long.
    pub is_tangled: bool,
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

    /// Whether it does more than record.
    #[must_use]
    pub const fn decides(&self) -> bool {
        self.enforcing.is_some() || self.poison.is_some()
    }

    /// Why everything on this host is denied, if it is.
    #[must_use]
    pub const fn poison(&self) -> Option<&Poison> {
        self.poison.as_ref()
    }

    /// The youngest policy of each mode whose routes make requests walk too long.
    pub fn tangled(&self) -> impl Iterator<Item = &Policy> {
        let sides = [(self.enforcing(), Mode::Enforce), (self.shadow(), Mode::Shadow)];
        let tangled = sides.into_iter().filter(|(side, _)| side.is_some_and(|side| side.is_tangled));
        tangled.filter_map(|(_, mode)| self.policies.iter().rev().find(|policy| policy.mode == mode)).map(Arc::as_ref)
    }

    /// Whether the policies are of this namespace.
    #[must_use]
    pub fn is_of(&self, namespace: &str) -> bool {
        self.policies.first().is_some_and(|policy| *policy.id().namespace == *namespace)
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
    let (mut side, mut all) = (Side::default(), Vec::new());
    for policy in of_mode {
        if side.poison.is_none() {
            side.poison.clone_from(&policy.poison);
        }
        let places =
            || policy.routes.iter().map(|route| Place { policy: Arc::clone(policy), route: Arc::clone(route) });
        // Within one policy, too, a route whose methods cannot be read may have been meant for any of them.
        let unclear = |place: &Place| place.route.methods == Methods::Unknown;
        all.extend(places().filter(unclear));
        all.extend(places().filter(|place| !unclear(place)));
    }
    side.tree = Tree::of(&all);
    side.is_tangled = side.tree.longest_walk() > MAX_WALK;
    if side.is_tangled {
        side.poison.get_or_insert_with(|| Poison(TANGLED.into()));
    }
    Some(side)
}
