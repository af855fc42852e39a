//! What conditions see: the request, the caller and the time as CEL values.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use cel::Value;
use cel::objects::Key;

use crate::clock::UnixTime;
use crate::identity::{Caller, Groups};

use super::{ConditionError, Facts};

/// Longest list of a claim.
const MAX_LIST: usize = 1024;
/// Headers that hold credentials.
const WITHHELD: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

/// `params`.
pub(super) fn params(facts: &Facts<'_>) -> Value {
    map(facts.template.params(facts.path.as_str()).map(|(name, value)| (name, value.into())))
}

/// `claims`, those that are read.
pub(super) fn claims(caller: &Caller, read: &BTreeSet<String>) -> Result<Value, ConditionError> {
    let mut entries = Vec::new();
    for name in read {
        if let Some(value) = caller.claims.0.get(name) {
            entries.push((name.as_str(), json(value)?));
        }
    }
    Ok(map(entries))
}

/// `request`.
pub(super) fn request(facts: &Facts<'_>) -> Value {
    let mut headers: HashMap<String, String> = HashMap::new();
    facts.request.headers.each(&mut |name, value| {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        if !WITHHELD.contains(&name.as_str()) && !name.starts_with(':') {
            let value = String::from_utf8_lossy(value);
            headers.entry(name).and_modify(|all| *all = format!("{all},{value}")).or_insert_with(|| value.into_owned());
        }
    });
    map([
        ("method", text(facts.request.method)),
        ("host", facts.host.into()),
        ("path", facts.path.as_str().into()),
        ("query", text(facts.path.query().unwrap_or_default())),
        ("headers", map(headers.iter().map(|(name, value)| (name.as_str(), value.as_str().into())))),
    ])
}

/// `caller`.
pub(super) fn caller(caller: &Caller) -> Value {
    let texts = |list: &[Box<str>]| self::list(list.iter().map(|item| &**item));
    let mut entries = vec![
        ("tenant", Value::from(caller.tenant.to_string())),
        ("oid", (&*caller.subject).into()),
        ("client", (&*caller.client).into()),
        ("kind", caller.kind.as_str().into()),
        ("roles", texts(&caller.roles)),
        ("scopes", texts(&caller.scopes)),
        ("authContexts", texts(&caller.auth_contexts)),
    ];
    // Too many groups to list: the name is absent, so that whatever asks for it fails instead of seeing none.
    if let Groups::Known(groups) = &caller.groups {
        entries.push(("groups", Value::List(Arc::new(groups.iter().map(|id| id.to_string().into()).collect()))));
    }
    map(entries)
}

/// `now`.
pub(super) fn now(now: UnixTime) -> Result<Value, ConditionError> {
    let at = chrono::DateTime::from_timestamp(now.0, 0).ok_or(ConditionError)?;
    Ok(Value::Timestamp(at.fixed_offset()))
}

fn json(value: &serde_json::Value) -> Result<Value, ConditionError> {
    Ok(match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(whole),
            None => Value::Float(number.as_f64().ok_or(ConditionError)?),
        },
        serde_json::Value::String(text) => text.as_str().into(),
        serde_json::Value::Array(items) if items.len() > MAX_LIST => return Err(ConditionError),
        serde_json::Value::Array(items) => {
            Value::List(Arc::new(items.iter().map(json).collect::<Result<Vec<_>, _>>()?))
        }
        serde_json::Value::Object(members) => {
            let members = members.iter().map(|(name, value)| json(value).map(|value| (name.as_str(), value)));
            map(members.collect::<Result<Vec<_>, _>>()?)
        }
    })
}

fn map<'a>(entries: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let entries: HashMap<Key, Value> =
        entries.into_iter().map(|(name, value)| (Key::String(Arc::new(name.to_owned())), value)).collect();
    Value::Map(cel::objects::Map { map: Arc::new(entries) })
}

fn list<'a>(items: impl IntoIterator<Item = &'a str>) -> Value {
    Value::List(Arc::new(items.into_iter().map(Value::from).collect()))
}

fn text(bytes: &[u8]) -> Value {
    Value::from(&*String::from_utf8_lossy(bytes))
}
