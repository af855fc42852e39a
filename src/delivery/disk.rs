//! What a subscriber held, kept on disk for a start without a controller.
//!
//! One JSON document, written beside the old one and put in its place when it is whole. A file that cannot be read counts
//! as none: it is a convenience, and whoever has nothing decides nothing. Only whole views are kept; what earlier versions
//! kept may be a part of one, and is not read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::object::Object;
use crate::api::settings::Scope;

use super::subscription::Subscription;
use super::wire::{self, Received};

/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 256 << 20;
const FORMAT: &str = "entrance.dev/subscription/2";

/// The file in a directory that outlives the process.
#[must_use]
pub fn file(directory: &Path) -> PathBuf {
    directory.join("subscription.json")
}

/// Keeps a state.
///
/// # Errors
/// The directory cannot be written to.
pub fn keep(subscription: &Subscription, directory: &Path) -> io::Result<()> {
    let gateway = subscription.scope() == Some(Scope::Gateway);
    let mut text = format!(r#"{{"format":"{FORMAT}","gateway":{gateway},"entries":["#);
    for (at, (name, version, content)) in subscription.entries().enumerate() {
        let (name, version) = (json!(name), json!(version));
        // Resources are kept as JSON already.
        let (field, content) = match content {
            Received::Resource(object) => ("resource", Cow::Borrowed(object.text())),
            Received::Workload { namespace, labels } => {
                ("workload", Cow::Owned(json!({"namespace": &**namespace, "labels": labels}).to_string()))
            }
            Received::Pins(pins) => {
                let hosts: BTreeMap<String, &str> =
                    pins.iter().map(|(host, namespace)| (host.to_string(), &**namespace)).collect();
                ("pins", Cow::Owned(json!(hosts).to_string()))
            }
            Received::End(_) => continue,
        };
        let comma = if at == 0 { "" } else { "," };
        text.push_str(&format!(r#"{comma}{{"name":{name},"version":{version},"{field}":{content}}}"#));
    }
    text.push_str("]}");
    let aside = directory.join("subscription.json.new");
    let mut new = fs::File::create(&aside)?;
    new.write_all(text.as_bytes())?;
    new.sync_all()?;
    fs::rename(&aside, file(directory))
}

/// What was kept, if anything whole was.
#[must_use]
pub fn recall(directory: &Path) -> Option<Subscription> {
    let file = file(directory);
    let size = fs::metadata(&file).ok()?.len();
    let text = if size <= MAX_FILE { fs::read(&file).ok()? } else { return None };
    let document: Value = serde_json::from_slice(&text).ok()?;
    if document.get("format")?.as_str()? != FORMAT {
        return None;
    }
    let entries = document.get("entries")?.as_array()?.iter().map(|entry| {
        let text = |name: &str| entry.get(name).and_then(Value::as_str).map(Arc::from);
        Some((text("name")?, text("version")?, content(entry)?))
    });
    Subscription::restored(entries.collect::<Option<_>>()?, document.get("gateway")?.as_bool()?)
}

fn content(entry: &Value) -> Option<Received> {
    if let Some(body) = entry.get("resource") {
        let object = Object::new(body.as_object()?.clone()).ok()??;
        return Some(Received::Resource(Arc::new(object)));
    }
    if let Some(pins) = entry.get("pins") {
        let pins = pins.as_object()?.iter().map(|(host, namespace)| Some((host.as_str(), namespace.as_str()?)));
        let pins: Vec<(&str, &str)> = pins.collect::<Option<_>>()?;
        return wire::pins(pins.into_iter()).map(Received::Pins);
    }
    let workload = entry.get("workload")?;
    let labels = workload.get("labels")?.as_object()?.iter();
    let labels = labels.map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect::<Option<_>>()?;
    Some(Received::Workload { namespace: workload.get("namespace")?.as_str()?.into(), labels })
}
