//! What a pod wishes: whether it wants the sidecar, and how.
//!
//! A pod says so by annotations, and whether at all by a label, too. What cannot be read is refused, never guessed: a
//! misspelt wish would leave somebody without what they believe to have.

use serde_json::{Map, Value};

/// Label or annotation of a pod, label of a namespace: whether it gets the sidecar.
pub const INJECT: &str = "entrance.dev/inject";
/// Annotation that tells of a sidecar that was injected.
pub const INJECTED: &str = "entrance.dev/injected";
const PREFIX: &str = "entrance.dev/";
const LISTEN: &str = "entrance.dev/listen";
const PORT: &str = "entrance.dev/port";
const ADMIN_PORT: &str = "entrance.dev/admin-port";
/// Annotations for resources, each with what it is for.
const RESOURCES: [(&str, (&str, &str)); 4] = [
    ("entrance.dev/cpu-request", ("requests", "cpu")),
    ("entrance.dev/memory-request", ("requests", "memory")),
    ("entrance.dev/cpu-limit", ("limits", "cpu")),
    ("entrance.dev/memory-limit", ("limits", "memory")),
];
/// The port for Envoy if none is chosen.
const DEFAULT_PORT: u16 = 9191;
/// The admin port if none is chosen.
const DEFAULT_ADMIN_PORT: u16 = 9901;

/// Where Envoy asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listen {
    /// On a port of the loopback address.
    Tcp(u16),
    /// At a socket in a directory that all containers share.
    Unix,
}

/// What a pod wishes of its sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wishes {
    pub(super) listen: Listen,
    pub(super) admin_port: u16,
    /// The ports were chosen for this pod.
    pub(super) chosen: bool,
    /// `requests` or `limits`, of what, how much.
    pub(super) resources: Vec<(&'static str, &'static str, String)>,
}

fn texts<'m>(metadata: &'m Map<String, Value>, member: &str) -> impl Iterator<Item = (&'m str, &'m str)> {
    let members = metadata.get(member).and_then(Value::as_object).into_iter().flatten();
    members.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

fn text<'m>(metadata: &'m Map<String, Value>, member: &str, key: &str) -> Option<&'m str> {
    texts(metadata, member).find(|(known, _)| *known == key).map(|(_, text)| text)
}

/// Whether a pod that came here wants the sidecar: its own `false` wins over everything, and saying nothing leaves it to
/// the namespace, whose label the API server looked at.
pub(super) fn wanted(metadata: &Map<String, Value>) -> Result<bool, String> {
    let mut wanted = true;
    for member in ["labels", "annotations"] {
        match text(metadata, member, INJECT) {
            None | Some("true") => {}
            Some("false") => wanted = false,
            Some(other) => {
                return Err(format!("metadata.{member}[{INJECT}]: must be \"true\" or \"false\", not `{other}`"));
            }
        }
    }
    Ok(wanted)
}

impl Wishes {
    /// Reads all annotations of ours; everything that is wrong with them.
    pub(super) fn read(metadata: &Map<String, Value>) -> Result<Self, Vec<String>> {
        let mut faults = Vec::new();
        let annotation = |key: &str| text(metadata, "annotations", key);
        let fault = |key: &str, problem: String| format!("metadata.annotations[{key}]: {problem}");
        let mut port = |key: &'static str, standard: u16| match annotation(key).map(str::parse::<u16>) {
            None => standard,
            Some(Ok(port)) if port >= 1024 => port,
            Some(_) => {
                faults.push(fault(key, "must be a port from 1024 to 65535".to_owned()));
                standard
            }
        };
        let (tcp, admin_port) = (port(PORT, DEFAULT_PORT), port(ADMIN_PORT, DEFAULT_ADMIN_PORT));
        let listen = match annotation(LISTEN) {
            None | Some("tcp") => Listen::Tcp(tcp),
            Some("unix") => Listen::Unix,
            Some(other) => {
                faults.push(fault(LISTEN, format!("must be `tcp` or `unix`, not `{other}`")));
                Listen::Unix
            }
        };
        if listen == Listen::Tcp(admin_port) {
            faults.push(fault(PORT, format!("must be another port than that of `{ADMIN_PORT}`")));
        }
        let mut resources = Vec::new();
        for (key, (list, of)) in RESOURCES {
            match annotation(key) {
                None => {}
                Some(text) if is_quantity(text) => resources.push((list, of, text.to_owned())),
                Some(text) => {
                    faults.push(fault(key, format!("must be a quantity, as in 100m or 64Mi, not `{text}`")));
                }
            }
        }
        let known = [INJECT, INJECTED, LISTEN, PORT, ADMIN_PORT];
        let known: Vec<&str> = known.into_iter().chain(RESOURCES.map(|(key, _)| key)).collect();
        let ours = texts(metadata, "annotations").filter(|(key, _)| key.starts_with(PREFIX));
        for (key, _) in ours.filter(|(key, _)| !known.contains(key)) {
            faults.push(fault(key, format!("is unknown; there are {}", known.join(", "))));
        }
        let chosen = annotation(ADMIN_PORT).is_some() && (listen == Listen::Unix || annotation(PORT).is_some());
        if faults.is_empty() { Ok(Self { listen, admin_port, chosen, resources }) } else { Err(faults) }
    }

    /// The ports that the sidecar takes.
    pub(super) fn ports(&self) -> Vec<u16> {
        match self.listen {
            Listen::Tcp(port) => vec![port, self.admin_port],
            Listen::Unix => vec![self.admin_port],
        }
    }
}

/// A quantity as people write them: digits, perhaps a fraction, perhaps a unit.
fn is_quantity(text: &str) -> bool {
    let units = ["", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti"];
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (text.get(..end).unwrap_or_default(), text.get(end..).unwrap_or_default());
    let digits = |part: &str| !part.is_empty() && part.len() <= 15;
    let is_number = match number.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction) && !fraction.contains('.'),
        None => digits(number),
    };
    is_number && units.contains(&unit)
}
