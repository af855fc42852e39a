//! Values of the variables of a condition: only those that it names, and none so large that the estimate of its cost
//! would not hold. What is too large fails the condition.

use std::collections::HashMap;
use std::sync::Arc;

use cel::Value;
use cel::objects::Key;

use crate::clock::UnixTime;
use crate::identity::{Caller, Groups, Text};

use super::super::path::{parameters_at, unescaped};
use super::names::Names;
use super::{ConditionError, Facts};

/// Longest text of a request: its query, a header, a parameter.
pub(super) const MAX_TEXT: u64 = 8 * 1024;
/// All header lines together.
pub(super) const MAX_HEADERS: u64 = 64 * 1024;
/// Most elements of a list or members of a map.
pub(super) const MAX_ITEMS: u64 = 256;
/// What an element counts besides its texts.
pub(super) const PER_ITEM: u64 = 16;
/// Most that a member of `caller` or `claims` may count. A token has at most 16 KiB.
pub(super) const MAX_VALUE: u64 = 16 * 1024 + MAX_ITEMS * PER_ITEM;

/// Headers that conditions do not see, by the beginning of their names: credentials, and what a stranger says of his
/// own identity.
const WITHHELD: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "x-entrance-"];

type Outcome = Result<Value, ConditionError>;

/// The variables that an expression names.
pub(super) fn of(names: &Names, facts: &Facts<'_>) -> Result<Vec<(&'static str, Value)>, ConditionError> {
    let mut values = Vec::new();
    let mut whole = |root, member: &dyn Fn(&str) -> Option<Outcome>| {
        let mut members = names.members(root).peekable();
        if members.peek().is_some() {
            let present = members.filter_map(|name| member(name).map(|value| value.map(|value| (name, value))));
            values.push((root, map(present.collect::<Result<Vec<_>, _>>()?)));
        }
        Ok(())
    };
    whole("request", &|name| request(facts, name))?;
    whole("caller", &|name| caller(facts.caller, name))?;
    whole("claims", &|name| claims(facts.caller, name))?;
    if names.has("params") {
        values.push(("params", params(facts)?));
    }
    if names.has("now") {
        values.push(("now", now(facts.now)?));
    }
    Ok(values)
}

fn map<'a>(entries: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let entries: HashMap<Key, Value> =
        entries.into_iter().map(|(name, value)| (Key::String(Arc::new(name.to_owned())), value)).collect();
    Value::Map(cel::objects::Map { map: Arc::new(entries) })
}

/// Takes `size` from what is left.
fn take(left: &mut u64, size: usize) -> Result<(), ConditionError> {
    *left = fits(*left, size)?;
    Ok(())
}

/// What `size` leaves of `room`.
fn fits(room: u64, size: usize) -> Result<u64, ConditionError> {
    room.checked_sub(u64::try_from(size).map_err(|_| ConditionError)?).ok_or(ConditionError)
}

fn text(bytes: &[u8]) -> Outcome {
    fits(MAX_TEXT, bytes.len())?;
    Ok(Value::from(&*String::from_utf8_lossy(bytes)))
}

fn list<'a>(items: impl ExactSizeIterator<Item = &'a str>) -> Outcome {
    fits(MAX_ITEMS, items.len())?;
    let mut left = MAX_VALUE;
    let item = |item: &str| {
        take(&mut left, item.len())?;
        Ok(Value::from(item))
    };
    Ok(Value::List(Arc::new(items.map(item).collect::<Result<_, _>>()?)))
}

fn request(facts: &Facts<'_>, member: &str) -> Option<Outcome> {
    Some(match member {
        "method" => text(facts.request.method),
        "host" => text(facts.host.as_bytes()),
        "path" => text(facts.path.as_str().as_bytes()),
        "query" => text(facts.path.query().unwrap_or_default()),
        "headers" => headers(facts),
        _ => return None,
    })
}

/// Lines of one name are joined by commas (RFC 9110 §5.3).
fn headers(facts: &Facts<'_>) -> Outcome {
    let mut headers: HashMap<String, String> = HashMap::new();
    let (mut room, mut left, mut all) = (MAX_ITEMS, MAX_HEADERS, Ok(()));
    facts.request.headers.each(&mut |name, value| {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        if all.is_err() || name.starts_with(':') || WITHHELD.iter().any(|withheld| is_withheld(&name, withheld)) {
            return;
        }
        all = take(&mut room, 1).and(take(&mut left, name.len().saturating_add(value.len())));
        let value = String::from_utf8_lossy(value);
        headers.entry(name).and_modify(|all| *all = format!("{all},{value}")).or_insert_with(|| value.into_owned());
    });
    all?;
    let value = |(name, value): (&'_ String, &'_ String)| text(value.as_bytes()).map(|value| (name.clone(), value));
    let entries = headers.iter().map(value).collect::<Result<Vec<_>, _>>()?;
    Ok(map(entries.iter().map(|(name, value)| (name.as_str(), value.clone()))))
}

fn is_withheld(name: &str, withheld: &str) -> bool {
    if withheld.ends_with('-') { name.replace('_', "-").starts_with(withheld) } else { name == withheld }
}

/// Values as a server hands them to the code behind it. One with `;` parameters is absent: servers differ in what they
/// make of it, and whatever asks for it fails.
fn params(facts: &Facts<'_>) -> Outcome {
    let values = facts.template.params(facts.path.as_str()).filter(|(_, value)| parameters_at(value).is_none());
    let values = values.map(|(name, value)| text(unescaped(value).as_bytes()).map(|value| (name, value)));
    Ok(map(values.collect::<Result<Vec<_>, _>>()?))
}

fn caller(caller: &Caller, member: &str) -> Option<Outcome> {
    let texts = |texts: &[Text]| list(texts.iter().map(|text| &**text));
    Some(match member {
        "tenant" => Ok(caller.tenant.to_string().into()),
        "oid" => text(caller.subject.as_bytes()),
        "client" => text(caller.client.as_bytes()),
        "kind" => Ok(caller.kind.as_str().into()),
        "roles" => texts(&caller.roles),
        "scopes" => texts(&caller.scopes),
        "authContexts" => texts(&caller.auth_contexts),
        // Too many groups to list: the name is absent, so that whatever asks for it fails instead of seeing none.
        "groups" => match &caller.groups {
            Groups::Overage => return None,
            Groups::Known(ids) => {
                let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
                list(ids.iter().map(String::as_str))
            }
        },
        _ => return None,
    })
}

fn now(now: UnixTime) -> Outcome {
    let at = chrono::DateTime::from_timestamp(now.0, 0).ok_or(ConditionError)?;
    Ok(Value::Timestamp(at.fixed_offset()))
}

fn claims(caller: &Caller, name: &str) -> Option<Outcome> {
    let Some(members) = caller.claims.members() else { return Some(Err(ConditionError)) };
    let mut left = MAX_VALUE;
    members.get(name).map(|value| json(value, &mut left))
}

fn json(value: &serde_json::Value, left: &mut u64) -> Outcome {
    take(left, 16)?;
    Ok(match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(whole),
            None => Value::Float(number.as_f64().ok_or(ConditionError)?),
        },
        serde_json::Value::String(text) => {
            take(left, text.len())?;
            text.as_str().into()
        }
        serde_json::Value::Array(items) => {
            fits(MAX_ITEMS, items.len())?;
            Value::List(Arc::new(items.iter().map(|item| json(item, left)).collect::<Result<_, _>>()?))
        }
        serde_json::Value::Object(members) => {
            fits(MAX_ITEMS, members.len())?;
            let member = |(name, value): (&'_ String, &'_ serde_json::Value)| {
                take(left, name.len())?;
                Ok((name.clone(), json(value, left)?))
            };
            let members = members.iter().map(member).collect::<Result<Vec<_>, _>>()?;
            map(members.iter().map(|(name, value)| (name.as_str(), value.clone())))
        }
    })
}
