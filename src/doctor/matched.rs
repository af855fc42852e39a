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
    let (mut checks, mut others) = (Vec::new(), Vec::new());
    settings.walk(&mut |node| match node.unwrapped() {
        ("ExtAuthz", check) => checks.push(("ExtAuthz", check)),
        ("ExecuteFilterAction", _) => {
            others.extend(node.at(&["typed_config"]).and_then(|filter| filter.typed("typed_config")))
        }
        _ => {}
    });
    // One that asks an authorizer says most about the rest.
    Some(checks.into_iter().chain(others).next().unwrap_or(inner))
}
