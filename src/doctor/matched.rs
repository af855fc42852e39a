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
    let mut picked = Vec::new();
    settings.field("xds_matcher")?.walk(&mut |node| {
        if node.unwrapped().0 == "ExecuteFilterAction" {
            picked.extend(node.at(&["typed_config", "typed_config"]));
        }
    });
    // One that asks an authorizer says most about the rest.
    Some(picked.into_iter().find(|filter| filter.unwrapped().0 == "ExtAuthz").unwrap_or(inner))
}
