//! A JSON value that knows where it stands, read as protobuf's JSON is: in either spelling of a name, through `Any`.

use serde_json::Value;

use crate::api::fault::FieldPath;

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

    /// A switch in a field, also one that is wrapped as `{value: true}`; off if absent.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.field(name).is_some_and(|node| {
            node.value.as_bool().or_else(|| node.field("value")?.value.as_bool()).unwrap_or_default()
        })
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

fn camel(name: &str) -> String {
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
