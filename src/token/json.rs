//! JSON objects of strangers: read by `serde_json`, with the duplicate names that it would swallow refused.
//!
//! RFC 8259 §4 leaves the meaning of a repeated name open, and parsers differ: two of them reading one token
//! differently is an attack. So a name occurs once, at any depth, and nesting is bounded.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Deepest nesting, the object itself counted.
const MAX_DEPTH: u8 = 16;

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

/// Reads one object.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, JsonFault> {
    let fault = Cell::new(JsonFault::Syntax);
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = Level { depth: 1, fault: &fault }.deserialize(&mut json).map_err(|_| fault.get())?;
    json.end().map_err(|_| JsonFault::Syntax)?;
    match value {
        Value::Object(map) => Ok(map),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(JsonFault::NotObject)
        }
    }
}

/// Whether any of `names` occurs in two spellings that differ in case only: two readers might pick different ones.
pub(super) fn two_spellings(members: &Map<String, Value>, names: &[&str]) -> bool {
    members
        .keys()
        .filter(|name| !names.contains(&name.as_str()))
        .filter(|name| names.iter().any(|read| read.eq_ignore_ascii_case(name)))
        .any(|name| {
            let same = |other: &&String| other.eq_ignore_ascii_case(name);
            members.keys().filter(same).nth(1).is_some()
        })
}

#[derive(Clone, Copy)]
struct Level<'a> {
    depth: u8,
    fault: &'a Cell<JsonFault>,
}

impl Level<'_> {
    fn below<E: serde::de::Error>(self) -> Result<Self, E> {
        let depth = self.depth.saturating_add(1);
        if self.depth > MAX_DEPTH {
            self.fault.set(JsonFault::TooDeep);
            return Err(E::custom("too deep"));
        }
        Ok(Self { depth, fault: self.fault })
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(below)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if map.contains_key(&name) {
                self.fault.set(JsonFault::Duplicate);
                return Err(A::Error::custom("duplicate name"));
            }
            let value = members.next_value_seed(below)?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::{JsonFault, object};

    #[test]
    fn names_occur_once_at_any_depth_and_in_any_spelling() {
        assert_eq!(object(br#"{"a":1,"a":2}"#), Err(JsonFault::Duplicate));
        assert_eq!(object(br#"{"a":{"b":1,"\u0062":2}}"#), Err(JsonFault::Duplicate));
        assert!(object(br#"{"a":{"a":1}}"#).is_ok());
    }

    #[test]
    fn only_objects_of_bounded_depth_pass() {
        assert_eq!(object(b"[1]"), Err(JsonFault::NotObject));
        assert_eq!(object(b"{} x"), Err(JsonFault::Syntax));
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(object(nested(15).as_bytes()).is_ok());
        assert_eq!(object(nested(16).as_bytes()), Err(JsonFault::TooDeep));
    }
}
