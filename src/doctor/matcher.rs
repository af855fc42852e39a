//! String matchers of Envoy, asked about the name of a header.
//!
//! Names are in lower case when Envoy asks; the matchers are as they were written, so that `exact: Authorization` is about
//! no header at all. A regular expression is about whole names. It is run as an automaton of bounded size; what does not
//! fit, or is no expression, cannot be told.

use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, MatchKind};

use super::node::Node;

/// Most memory for one expression, in bytes, and most to find out.
const MAX_AUTOMATON: usize = 256 * 1024;
const MAX_WORK: usize = 1024 * 1024;

/// Whether a `ListStringMatcher` covers a name; `None` if that cannot be told.
pub(super) fn covers(list: &Node<'_>, name: &str) -> Option<bool> {
    let told: Vec<_> = list.list("patterns").iter().map(|pattern| matches(pattern, name)).collect();
    if told.contains(&Some(true)) {
        return Some(true);
    }
    (!told.contains(&None)).then_some(false)
}

/// Whether a `StringMatcher` matches a name; `None` if that cannot be told.
pub(super) fn matches(pattern: &Node<'_>, name: &str) -> Option<bool> {
    if let Some(expression) = pattern.field("safe_regex") {
        return matches_whole(expression.text("regex"), name);
    }
    let text = |kind: &str| {
        let text = pattern.field(kind)?.value.as_str()?;
        Some(if pattern.is_surely_on("ignore_case") { text.to_ascii_lowercase() } else { text.to_owned() })
    };
    let exact = || text("exact").map(|text| name == text);
    let prefix = || text("prefix").map(|text| name.starts_with(&text));
    let suffix = || text("suffix").map(|text| name.ends_with(&text));
    let contains = || text("contains").map(|text| name.contains(&text));
    exact().or_else(prefix).or_else(suffix).or_else(contains)
}

/// Whether an expression matches all of a text.
pub(super) fn matches_whole(expression: &str, text: &str) -> Option<bool> {
    let config = dense::Config::new()
        .start_kind(StartKind::Anchored)
        // The longest match, whichever alternative comes first.
        .match_kind(MatchKind::All)
        .dfa_size_limit(Some(MAX_AUTOMATON))
        .determinize_size_limit(Some(MAX_WORK));
    let automaton = dense::Builder::new()
        .configure(config)
        .syntax(syntax::Config::new().unicode(false).utf8(false).nest_limit(32))
        .thompson(thompson::Config::new().utf8(false).nfa_size_limit(Some(MAX_WORK)))
        .build(expression)
        .ok()?;
    let found = automaton.try_search_fwd(&Input::new(text).anchored(Anchored::Yes)).ok()?;
    Some(found.is_some_and(|end| end.offset() == text.len()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{covers, matches};
    use crate::doctor::node::Node;

    fn told(pattern: Value) -> Option<bool> {
        matches(&Node::root(&pattern), "authorization")
    }

    #[test]
    fn a_pattern_is_about_names_in_lower_case() {
        for (pattern, is_match) in [
            (json!({"exact": "authorization"}), Some(true)),
            (json!({"exact": "Authorization"}), Some(false)),
            (json!({"exact": "Authorization", "ignore_case": true}), Some(true)),
            (json!({"prefix": "auth"}), Some(true)),
            (json!({"prefix": "AUTH"}), Some(false)),
            (json!({"prefix": "AUTH", "ignoreCase": true}), Some(true)),
            (json!({"suffix": "zation"}), Some(true)),
            (json!({"contains": "horiz"}), Some(true)),
            (json!({"contains": "x"}), Some(false)),
            (json!({"custom": {"name": "x"}}), None),
        ] {
            assert_eq!(told(pattern.clone()), is_match, "{pattern}");
        }
    }

    #[test]
    fn an_expression_is_about_all_of_a_name() {
        for (expression, is_match) in [
            ("authorization|x-.*", Some(true)),
            ("x-.*|authorization", Some(true)),
            ("auth|authorization", Some(true)),
            ("auth", Some(false)),
            ("horiz", Some(false)),
            (".*horiz.*", Some(true)),
            ("AUTHORIZATION", Some(false)),
            ("(?i)AUTHORIZATION", Some(true)),
            ("^authorization$", Some(true)),
            (".*", Some(true)),
            ("", Some(false)),
            ("(", None),
            ("(a{1000}){1000}", None),
        ] {
            assert_eq!(told(json!({"safe_regex": {"regex": expression}})), is_match, "{expression}");
        }
    }

    #[test]
    fn a_list_covers_what_one_of_its_patterns_matches() {
        for (patterns, is_covered) in [
            (json!([]), Some(false)),
            (json!([{"exact": "cookie"}]), Some(false)),
            (json!([{"exact": "cookie"}, {"prefix": "auth"}]), Some(true)),
            (json!([{"safe_regex": {"regex": "("}}, {"prefix": "auth"}]), Some(true)),
            (json!([{"safe_regex": {"regex": "("}}, {"exact": "cookie"}]), None),
        ] {
            assert_eq!(covers(&Node::root(&json!({"patterns": patterns})), "authorization"), is_covered, "{patterns}");
        }
    }
}
