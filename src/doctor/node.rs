//! A JSON value that knows where it stands, read as protobuf's JSON is: in either spelling of a name, through `Any`.
//!
//! Switches are read with suspicion: Envoy takes `"true"`, `yes` and `t` for `true`, and of two spellings of one field the
//! one that it happens to see last. What is not plainly `true` or `false` counts as what it must not be.

use serde_json::Value;

use crate::api::field_path::FieldPath;

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    pub(super) value: &'a Value,
    pub(super) path: FieldPath,
}

impl<'a> Node<'a> {
    /// A whole document.
    pub(super) const fn root(value: &'a Value) -> Self {
        Self { value, path: FieldPath::root() }
    }

    /// The field of this name, written `like_this` or `likeThis`; `null` is as good as absent.
    pub(super) fn field(&self, name: &str) -> Option<Self> {
        let members = self.value.as_object()?;
        let camel = camel(name);
        let (name, value) = members.get_key_value(name).or_else(|| members.get_key_value(camel.as_str()))?;
        (!value.is_null()).then(|| Self { value, path: self.path.field(name) })
    }

    /// A field below, one name after another.
    pub(super) fn at(&self, names: &[&str]) -> Option<Self> {
        names.iter().try_fold(self.clone(), |node, name| node.field(name))
    }

    /// The path of a field, whether it is there or not.
    pub(super) fn child_path(&self, name: &str) -> FieldPath {
        self.field(name).map_or_else(|| self.path.field(name), |node| node.path)
    }

    /// The elements of a list.
    pub(super) fn items(&self) -> impl Iterator<Item = Self> + use<'a> {
        let path = self.path.clone();
        let items = self.value.as_array().map(Vec::as_slice).unwrap_or_default();
        items.iter().enumerate().map(move |(at, value)| Self { value, path: path.index(at) })
    }

    /// The members of a map, whose names are no field names.
    pub(super) fn members(&self) -> impl Iterator<Item = (&'a str, Self)> + use<'a> {
        let path = self.path.clone();
        let members = self.value.as_object().into_iter().flatten();
        members.map(move |(name, value)| (name.as_str(), Self { value, path: path.field(name) }))
    }

    /// The elements of a list in a field; none if it is absent.
    pub(super) fn list(&self, name: &str) -> Vec<Self> {
        self.field(name).map(|list| list.items().collect()).unwrap_or_default()
    }

    /// A text in a field; empty if absent, as protobuf has it.
    pub(super) fn text(&self, name: &str) -> &'a str {
        self.field(name).and_then(|node| node.value.as_str()).unwrap_or_default()
    }

    /// Whether a switch is on, or may be: for those that must be off. Off if absent.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.switches(name).any(|switch| switch != Some(false))
    }

    /// Whether a switch is on for certain: for those that must be on. Off if absent.
    pub(super) fn is_surely_on(&self, name: &str) -> bool {
        let mut switches = self.switches(name).peekable();
        switches.peek().is_some() && switches.all(|switch| switch == Some(true))
    }

    /// What either spelling of a switch says; `None` if that is neither `true` nor `false`.
    fn switches(&self, name: &str) -> impl Iterator<Item = Option<bool>> + use<'a> {
        let members = self.value.as_object();
        let camel = camel(name);
        let spellings = [Some(name), (camel != name).then_some(camel.as_str())].map(|spelling| members?.get(spelling?));
        spellings.into_iter().flatten().filter(|value| !value.is_null()).map(switch)
    }

    /// The word of an enumeration, which Envoy takes in upper and lower case, and by its number; the first one if absent,
    /// empty if there is no such word.
    pub(super) fn choice(&self, name: &str, words: &[&'static str]) -> &'static str {
        let Some(field) = self.field(name) else { return words.first().copied().unwrap_or_default() };
        let text = field.value.as_str().unwrap_or_default();
        let number = field.value.as_u64().or_else(|| text.parse().ok()).and_then(|at| usize::try_from(at).ok());
        let by_number = number.and_then(|at| words.get(at));
        let known = by_number.or_else(|| words.iter().find(|word| word.eq_ignore_ascii_case(text))).copied();
        known.unwrap_or_default()
    }

    /// A number, also as text.
    pub(super) fn number(&self) -> Option<f64> {
        self.value.as_f64().or_else(|| self.value.as_str()?.parse().ok())
    }

    /// This one and everything below it.
    pub(super) fn walk(&self, look: &mut dyn FnMut(&Self)) {
        look(self);
        self.items().for_each(|item| item.walk(look));
        self.members().for_each(|(_, member)| member.walk(look));
    }

    /// What a `typed_config` holds, and its message type without the package; through `TypedStruct`.
    pub(super) fn typed(&self, name: &str) -> Option<(&'a str, Self)> {
        self.field(name).map(|config| config.unwrapped())
    }

    /// This `Any`: its message type without the package, and what it holds.
    pub(super) fn unwrapped(&self) -> (&'a str, Self) {
        let url = self.text("@type");
        match (short(url), self.field("value")) {
            ("TypedStruct", Some(value)) => (short(self.text("type_url")), value),
            (kind, _) => (kind, self.clone()),
        }
    }
}

/// The last part of a type's name.
fn short(url: &str) -> &str {
    url.rsplit(['.', '/']).next().unwrap_or_default()
}

/// A switch, also one that is wrapped as `{value: true}`.
pub(super) fn switch(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| value.get("value")?.as_bool())
}

/// `failureModeAllow` for `failure_mode_allow`.
pub(super) fn camel(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    let mut raise = false;
    for character in name.chars() {
        match (character, raise) {
            ('_', _) => raise = true,
            (character, true) => {
                text.push(character.to_ascii_uppercase());
                raise = false;
            }
            (character, false) => text.push(character),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::Node;
    use serde_json::json;

    #[test]
    fn both_spellings_of_a_name_and_wrapped_values_are_read() {
        let value = json!({
            "failureModeAllow": true, "stat_prefix": "x", "use_remote_address": {"value": true}, "null_one": null,
        });
        let node = Node::root(&value);
        assert!(node.is_on("failure_mode_allow") && node.is_on("use_remote_address"));
        assert_eq!(node.text("stat_prefix"), "x");
        assert!(node.field("null_one").is_none());
        assert_eq!(node.child_path("failure_mode_allow").to_string(), "failureModeAllow");
        assert_eq!(node.child_path("status_on_error").to_string(), "status_on_error");
    }

    #[test]
    fn what_is_no_plain_switch_is_what_it_must_not_be() {
        for (value, is_on, is_surely_on) in [
            (json!({"merge_slashes": true}), true, true),
            (json!({"mergeSlashes": true}), true, true),
            (json!({"merge_slashes": false}), false, false),
            (json!({"merge_slashes": null}), false, false),
            (json!({}), false, false),
            (json!({"merge_slashes": "true"}), true, false),
            (json!({"merge_slashes": "no"}), true, false),
            (json!({"merge_slashes": 1}), true, false),
            (json!({"merge_slashes": true, "mergeSlashes": false}), true, false),
            (json!({"merge_slashes": true, "mergeSlashes": true}), true, true),
        ] {
            let node = Node::root(&value);
            let found = (node.is_on("merge_slashes"), node.is_surely_on("merge_slashes"));
            assert_eq!(found, (is_on, is_surely_on), "{value}");
        }
    }

    #[test]
    fn words_of_enumerations_are_read_as_envoy_reads_them() {
        let words = ["HUNDRED", "TEN_THOUSAND", "MILLION"];
        for (value, word) in [
            (json!({}), "HUNDRED"),
            (json!({"denominator": "MILLION"}), "MILLION"),
            (json!({"denominator": "million"}), "MILLION"),
            (json!({"denominator": 1}), "TEN_THOUSAND"),
            (json!({"denominator": "2"}), "MILLION"),
            (json!({"denominator": 3}), ""),
            (json!({"denominator": "PERCENT"}), ""),
        ] {
            assert_eq!(Node::root(&value).choice("denominator", &words), word, "{value}");
        }
    }

    #[test]
    fn typed_structs_are_seen_through() {
        let value = json!({"typed_config": {
            "@type": "type.googleapis.com/xds.type.v3.TypedStruct",
            "type_url": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
            "value": {"failure_mode_allow": true},
        }});
        let node = Node::root(&value);
        let (kind, config) = node.typed("typed_config").unwrap();
        assert_eq!((kind, config.is_on("failure_mode_allow")), ("ExtAuthz", true));
    }
}
