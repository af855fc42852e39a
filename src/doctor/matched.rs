//! Filters that run only where a matcher says so: those with an `ExtensionWithMatcher` around them, and those that a
//! `Composite` picks.

use super::node::Node;

/// A filter's message type and settings behind its matcher; `None` if it has no matcher.
pub(super) fn behind<'a>(kind: &str, settings: &Node<'a>) -> Option<(&'a str, Node<'a>)> {
    if kind != "ExtensionWithMatcher" {
        return None;
    }
    let inner = settings.field("extension_config")?.typed("typed_config")?;
    if inner.0 != "Composite" {
        return Some(inner);
    }
    let mut picked = Vec::new();
    settings.field("xds_matcher")?.walk(&mut |node| {
        if node.unwrapped().0 == "ExecuteFilterAction" {
            picked.extend(node.field("typed_config").and_then(|filter| filter.typed("typed_config")));
        }
    });
    // One that asks an authorizer says most about the rest.
    let at = picked.iter().position(|(kind, _)| *kind == "ExtAuthz").unwrap_or_default();
    Some(picked.into_iter().nth(at).unwrap_or(inner))
}
