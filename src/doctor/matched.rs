//! Filters that run only where a matcher says so: those with an `ExtensionWithMatcher` around them, and those that a
//! `Composite` picks.

use super::node::Node;

/// The settings of a filter behind its matcher, as an `Any`; `None` if it has no matcher.
pub(super) fn behind<'a>(any: &Node<'a>) -> Option<Node<'a>> {
    let (kind, settings) = any.unwrapped();
    let inner = settings.at(&["extension_config", "typed_config"]).filter(|_| kind == "ExtensionWithMatcher")?;
    if inner.unwrapped().0 != "Composite" {
        return Some(inner);
    }
    let mut checks = Vec::new();
    settings.walk(&mut |node| {
        if node.unwrapped().0 == "ExtAuthz" {
            checks.push(node.clone());
        }
    });
    // One that asks an authorizer says most about the rest; of others nobody knows which will run.
    Some(checks.into_iter().next().unwrap_or(inner))
}
