//! JSON objects of strangers: read by `serde_json`, with the duplicate names that it would swallow refused.
//!
//! RFC 8259 §4 leaves the meaning of a repeated name open, and parsers differ: two of them reading one token
//! differently is an attack. So a name occurs once, at any depth, and nesting is bounded.
//!
//! What is read borrows from the bytes, and is looked at once and dropped: a text is copied only if it has escapes.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Deepest nesting, the object itself counted.
const MAX_DEPTH: u8 = 16;
/// Members of a usual payload.
const USUAL: usize = 24;
/// Beyond so many members a name is looked up by its hash: a stranger's object may have thousands.
const FEW: usize = 32;

/// Why bytes are not an acceptable object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JsonFault {
    /// Not JSON at all, or not UTF-8.
    Syntax,
    /// JSON, but not an object.
    NotObject,
    /// A name occurs twice.
    Duplicate,
    /// More than 16 levels.
    TooDeep,
}

/// A value.
#[derive(Debug, PartialEq)]
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    /// A number without fraction and exponent that fits.
    Whole(i64),
    /// Any other number.
    Number,
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Object(Object<'a>),
}

impl Json<'_> {
    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Bool(_) | Self::Whole(_) | Self::Number | Self::List(_) | Self::Object(_) => None,
        }
    }

    /// The whole number, if it is one.
    pub(super) const fn whole(&self) -> Option<i64> {
        match self {
            Self::Whole(number) => Some(*number),
            Self::Null | Self::Bool(_) | Self::Number | Self::Text(_) | Self::List(_) | Self::Object(_) => None,
        }
    }

    /// The items, if it is a list.
    pub(super) fn items(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            Self::Null | Self::Bool(_) | Self::Whole(_) | Self::Number | Self::Text(_) | Self::Object(_) => None,
        }
    }
}

/// The members of an object in the order of the text, each name once.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Object<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

impl<'a> Object<'a> {
    /// The value of a member.
    pub(super) fn get(&self, name: &str) -> Option<&Json<'a>> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Whether there is such a member, with whatever value.
    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether any of `names`, which are in lower case, occurs in two spellings that differ in case only: two readers
    /// might pick different ones.
    pub(super) fn two_spellings(&self, names: &[&str]) -> bool {
        let names_one = |name: &str| names.iter().any(|read| read.eq_ignore_ascii_case(name));
        let unusual = self.names().filter(|name| name.bytes().any(|byte| byte.is_ascii_uppercase()));
        unusual.filter(|name| names_one(name)).any(|name| {
            let same = |other: &&str| other.eq_ignore_ascii_case(name);
            self.names().filter(same).nth(1).is_some()
        })
    }

    /// Its members.
    pub(super) fn into_members(self) -> impl Iterator<Item = (Cow<'a, str>, Json<'a>)> {
        self.0.into_iter()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }

    /// Whether a member of this name was read already. `many` holds all names once they are many.
    fn knows(&self, name: &str, many: &HashSet<Cow<'a, str>>) -> bool {
        if many.is_empty() { self.names().any(|known| known == name) } else { many.contains(name) }
    }

    fn push(&mut self, name: Cow<'a, str>, value: Json<'a>, many: &mut HashSet<Cow<'a, str>>) {
        if !many.is_empty() {
            many.insert(name.clone());
        }
        self.0.push((name, value));
        if self.0.len() == FEW {
            many.extend(self.0.iter().map(|(known, _)| known.clone()));
        }
    }
}

/// Reads one object.
pub(super) fn object(bytes: &[u8]) -> Result<Object<'_>, JsonFault> {
    let fault = Cell::new(JsonFault::Syntax);
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = Level { depth: 1, fault: &fault }.deserialize(&mut json).map_err(|_| fault.get())?;
    json.end().map_err(|_| JsonFault::Syntax)?;
    match value {
        Json::Object(object) => Ok(object),
        Json::Null | Json::Bool(_) | Json::Whole(_) | Json::Number | Json::Text(_) | Json::List(_) => {
            Err(JsonFault::NotObject)
        }
    }
}

#[derive(Clone, Copy)]
struct Level<'f> {
    depth: u8,
    fault: &'f Cell<JsonFault>,
}

impl Level<'_> {
    fn below<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth.saturating_add(1);
        if self.depth > MAX_DEPTH {
            self.fault.set(JsonFault::TooDeep);
            return Err(E::custom("too deep"));
        }
        Ok(Self { depth, fault: self.fault })
    }

    /// Room for the members of a payload, and none beforehand for what stands in it.
    const fn room(self) -> usize {
        if self.depth == 1 { USUAL } else { 0 }
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Whole(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(i64::try_from(value).map_or(Json::Number, Json::Whole))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json<'de>, E> {
        Ok(Json::Number)
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let below = self.below()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(below)? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json<'de>, A::Error> {
        let below = self.below()?;
        let mut object = Object(Vec::with_capacity(self.room()));
        let mut many = HashSet::new();
        while let Some(name) = members.next_key_seed(Name)? {
            if object.knows(&name, &many) {
                self.fault.set(JsonFault::Duplicate);
                return Err(A::Error::custom("duplicate name"));
            }
            let value = members.next_value_seed(below)?;
            object.push(name, value, &mut many);
        }
        Ok(Json::Object(object))
    }
}

/// The name of a member.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::{FEW, Json, JsonFault, Object, object};

    #[test]
    fn names_occur_once_at_any_depth_and_in_any_spelling() {
        assert_eq!(object(br#"{"a":1,"a":2}"#), Err(JsonFault::Duplicate));
        assert_eq!(object(br#"{"a":{"b":1,"\u0062":2}}"#), Err(JsonFault::Duplicate));
        assert!(object(br#"{"a":{"a":1}}"#).is_ok());
    }

    #[test]
    fn names_occur_once_however_many_there_are() {
        for count in FEW - 2..FEW + 3 {
            let names: Vec<String> = (0..count).map(|at| format!("\"n{at}\":1")).collect();
            let text = names.join(",");
            assert!(object(format!("{{{text}}}").as_bytes()).is_ok(), "{count}");
            for repeated in [0, count / 2, count - 1] {
                let twice = format!("{{{text},\"\\u006e{repeated}\":1,}}");
                assert_eq!(object(twice.as_bytes()), Err(JsonFault::Duplicate), "{repeated} of {count}");
            }
        }
    }

    #[test]
    fn only_objects_of_bounded_depth_pass() {
        assert_eq!(object(b"[1]"), Err(JsonFault::NotObject));
        assert_eq!(object(b"{} x"), Err(JsonFault::Syntax));
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(object(nested(15).as_bytes()).is_ok());
        assert_eq!(object(nested(16).as_bytes()), Err(JsonFault::TooDeep));
    }

    #[test]
    fn two_spellings_are_found_whichever_comes_first_and_whether_or_not_one_is_ours() {
        let two = |text: &'static str| object(text.as_bytes()).map(|object| object.two_spellings(&["tid", "_x"]));
        for text in [r#"{"tid":1,"Tid":1}"#, r#"{"TID":1,"tid":1}"#, r#"{"TID":1,"b":1,"Tid":1}"#, r#"{"_X":1,"_x":1}"#]
        {
            assert_eq!(two(text), Ok(true), "{text}");
        }
        for text in [r#"{"tid":1}"#, r#"{"Tid":1}"#, r#"{"a":1,"A":1}"#, r#"{"tid":1,"tıd":1,"tidx":1}"#] {
            assert_eq!(two(text), Ok(false), "{text}");
        }
    }

    #[test]
    fn values_are_what_stands_there() {
        let text = r#"{"a":-1,"b":9223372036854775808,"c":1.0,"d":null,"e":"\u0065","f":[true]}"#;
        let object = object(text.as_bytes()).unwrap();
        assert_eq!(object.get("a").and_then(Json::whole), Some(-1));
        assert_eq!(["b", "c"].map(|name| object.get(name)), [Some(&Json::Number), Some(&Json::Number)]);
        assert_eq!((object.get("d"), object.get("g")), (Some(&Json::Null), None));
        assert_eq!(object.get("e").and_then(Json::text), Some("e"));
        assert_eq!(object.get("f").and_then(Json::items), Some(&[Json::Bool(true)][..]));
        assert_eq!(super::object(b"{}"), Ok(Object::default()));
    }
}
