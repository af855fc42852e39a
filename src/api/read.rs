//! Walking a resource: each look at a field either gives a value within its bounds, or nothing, or a fault with its path.
//!
//! A [`Node`] knows the way back to the root, so that a path is written out only when there is a fault to report. `null`
//! is as good as absent, as in the Kubernetes API. A list is read whole or not at all.

use std::fmt::Display;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::fault::Faults;
use super::field_path::{FieldPath, Step};

/// Longest key of a label: a prefix of 253 characters, a slash, a name of 63.
pub const LABEL_KEY: usize = 317;
/// Longest value of a label.
pub const LABEL_VALUE: usize = 63;

/// A place in a resource, and what stands there.
#[derive(Clone, Copy)]
pub struct Node<'v, 'p> {
    value: Option<&'v Value>,
    faults: &'p Faults<'p>,
    above: Option<&'p Node<'v, 'p>>,
    step: Name<'p>,
}

#[derive(Clone, Copy)]
enum Name<'p> {
    Root,
    Field(&'p str),
    Index(usize),
}

impl<'v, 'p> Node<'v, 'p> {
    /// The top level member `name` of a resource.
    #[must_use]
    pub fn top(body: &'v Map<String, Value>, name: &'p str, faults: &'p Faults<'p>) -> Self {
        Self { value: present(body.get(name)), faults, above: None, step: Name::Field(name) }
    }

    /// The resource as a whole, to complain about.
    #[must_use]
    pub const fn root(faults: &'p Faults<'p>) -> Self {
        Self { value: None, faults, above: None, step: Name::Root }
    }

    /// A member of this object; absent if this is no object.
    #[must_use]
    pub fn field<'n>(&'n self, name: &'n str) -> Node<'v, 'n> {
        let value = present(self.value.and_then(Value::as_object).and_then(|members| members.get(name)));
        Node { value, faults: self.faults, above: Some(self), step: Name::Field(name) }
    }

    /// What stands here.
    #[must_use]
    pub const fn value(&self) -> Option<&'v Value> {
        self.value
    }

    /// Whether something stands here.
    #[must_use]
    pub const fn is_present(&self) -> bool {
        self.value.is_some()
    }

    /// Where this is.
    #[must_use]
    pub fn path(&self) -> FieldPath {
        let mut steps = Vec::new();
        let mut at = Some(self);
        while let Some(node) = at {
            match node.step {
                Name::Root => {}
                Name::Field(name) => steps.push(Step::Field(name.into())),
                Name::Index(index) => steps.push(Step::Index(index)),
            }
            at = node.above;
        }
        steps.reverse();
        FieldPath::of(steps)
    }

    /// Complains about what stands here.
    pub fn fault(&self, problem: impl Into<Box<str>>) {
        self.faults.add(self.path(), problem);
    }

    /// Complains about what the value here refers to.
    pub fn reference_fault(&self, problem: impl Into<Box<str>>) {
        self.faults.add_reference(self.path(), problem);
    }

    /// Complains about what the resource is attached to by the value here.
    pub fn target_fault(&self, problem: impl Into<Box<str>>) {
        self.faults.add_target(self.path(), problem);
    }

    /// Complains if nothing stands here; `hint` says what to write.
    #[must_use]
    pub fn need(&self, hint: &str) -> bool {
        if self.value.is_none() {
            self.fault(format!("is missing; {hint}"));
        }
        self.is_present()
    }

    /// Whether an object stands here whose members are all among `known`. Complains otherwise, also if nothing does.
    pub fn object(&self, known: &[&str]) -> bool {
        let Some(value) = self.value else {
            self.fault(format!("is missing; it has the fields {}", known.join(", ")));
            return false;
        };
        let Value::Object(members) = value else {
            self.fault(format!("must be an object with the fields {}", known.join(", ")));
            return false;
        };
        for name in members.keys().filter(|name| !known.contains(&name.as_str())) {
            self.field(name).fault(unknown(name, known));
        }
        true
    }

    /// A text of at most `most` characters, at least one.
    pub fn text(&self, most: usize) -> Option<&'v str> {
        let value = self.value?;
        match value.as_str() {
            Some(text) if (1..=most).contains(&text.len()) || (1..=most).contains(&text.chars().count()) => Some(text),
            Some(_) => self.refuse(format!("must have 1 to {most} characters")),
            None => self.refuse(format!("must be a string, not {}", kind(value))),
        }
    }

    /// A text that `parse` understands.
    pub fn parse<T, E: Display>(&self, most: usize, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        match parse(self.text(most)?) {
            Ok(value) => Some(value),
            Err(error) => self.refuse(error.to_string()),
        }
    }

    /// `true` or `false`.
    pub fn truth(&self) -> Option<bool> {
        let value = self.value?;
        value.as_bool().or_else(|| self.refuse(format!("must be true or false, not {}", kind(value))))
    }

    /// One of these words.
    pub fn choice<T: Copy>(&self, options: &[(&str, T)]) -> Option<T> {
        let text = self.text(64)?;
        if let Some((_, value)) = options.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let words: Vec<&str> = options.iter().map(|(word, _)| *word).collect();
        self.refuse(format!("must be {}, not `{text}`", words.join(" or ")))
    }

    /// A length of time in whole seconds, as in `8h`, `90s` or `1h30m`.
    pub fn duration(&self, bounds: &RangeInclusive<i64>) -> Option<i64> {
        let seconds = self.parse(32, seconds)?;
        if bounds.contains(&seconds) {
            return Some(seconds);
        }
        self.refuse(format!("must be {}s to {}s", bounds.start(), bounds.end()))
    }

    /// A moment (RFC 3339).
    pub fn time(&self) -> Option<jiff::Timestamp> {
        self.parse(64, |text| text.parse().map_err(|_| "must be RFC 3339, as in 2026-11-24T03:00:00Z"))
    }

    /// The elements of a list of so many. Nothing if absent.
    pub fn list(&self, bounds: &RangeInclusive<usize>) -> Option<&'v [Value]> {
        let value = self.value?;
        match value.as_array() {
            Some(items) if bounds.contains(&items.len()) => Some(items),
            Some(items) if items.is_empty() => self.refuse("is empty; list something, or leave the field out"),
            Some(items) => self.refuse(format!(
                "has {} elements, but may have {} to {}",
                items.len(),
                bounds.start(),
                bounds.end()
            )),
            None => self.refuse(format!("must be a list, not {}", kind(value))),
        }
    }

    /// A list of so many, each of which `read` understands. All of them, or nothing.
    pub fn each<T>(&self, bounds: &RangeInclusive<usize>, read: impl Fn(&Node<'v, '_>) -> Option<T>) -> Option<Vec<T>> {
        let items = self.list(bounds)?;
        let one = |(at, item)| {
            let (node, before) = (self.item(at, item), self.faults.count());
            let read = read(&node);
            // What cannot be read is told, so that a list that was there never counts as absent.
            if read.is_none() && self.faults.count() == before {
                node.fault("is missing; write a value, or remove the element");
            }
            read
        };
        let read: Vec<Option<T>> = items.iter().enumerate().map(one).collect();
        read.into_iter().collect()
    }

    /// An element of this list.
    #[must_use]
    pub fn item<'n>(&'n self, at: usize, value: &'v Value) -> Node<'v, 'n> {
        Node { value: present(Some(value)), faults: self.faults, above: Some(self), step: Name::Index(at) }
    }

    /// The members of a map of labels with so many entries.
    pub fn labels(&self, bounds: &RangeInclusive<usize>) -> Option<Vec<(&'v str, &'v str)>> {
        let value = self.value?;
        let members = match value.as_object() {
            Some(members) if bounds.contains(&members.len()) => members,
            Some(_) => return self.refuse(format!("must have {} to {} entries", bounds.start(), bounds.end())),
            None => return self.refuse(format!("must be a map, not {}", kind(value))),
        };
        let text = |(name, _): (&'v String, &'v Value)| {
            let text = self.field(name);
            if name.len() > LABEL_KEY {
                return text.refuse(format!("must have a key of at most {LABEL_KEY} characters"));
            }
            text.need("write a string").then_some(())?;
            text.text(LABEL_VALUE).map(|text| (name.as_str(), text))
        };
        let read: Vec<Option<_>> = members.iter().map(text).collect();
        read.into_iter().collect()
    }

    /// The faults that are gathered.
    #[must_use]
    pub const fn faults(&self) -> &'p Faults<'p> {
        self.faults
    }

    fn refuse<T>(&self, problem: impl Into<Box<str>>) -> Option<T> {
        self.fault(problem);
        None
    }
}

const fn present(value: Option<&Value>) -> Option<&Value> {
    match value {
        Some(Value::Null) | None => None,
        Some(_) => value,
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A secret in a resource is the one unknown field worth a word of its own.
fn unknown(name: &str, known: &[&str]) -> String {
    if name.to_ascii_lowercase().contains("secret") {
        return "secrets do not belong into resources; remove it (config_secret_forbidden)".to_owned();
    }
    match known.iter().find(|known| known.eq_ignore_ascii_case(name)) {
        Some(close) => format!("is an unknown field; did you mean `{close}`"),
        None => format!("is an unknown field; there are {}", known.join(", ")),
    }
}

/// Reads `1h30m`: numbers with the units h, m and s, each unit once, the greatest first.
///
/// # Errors
/// The rule, for anything else.
pub fn seconds(text: &str) -> Result<i64, &'static str> {
    const RULE: &str = "must be a length of time such as 90s, 15m, 8h or 1h30m";
    if text.is_empty() {
        return Err(RULE);
    }
    let (mut rest, mut total) = (text, 0_i64);
    for (unit, worth) in [('h', 3600_i64), ('m', 60), ('s', 1)] {
        let Some((number, after)) = rest.split_once(unit) else { continue };
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(RULE);
        }
        let number: i64 = number.parse().map_err(|_| RULE)?;
        total = number.checked_mul(worth).and_then(|part| total.checked_add(part)).ok_or(RULE)?;
        rest = after;
    }
    if rest.is_empty() { Ok(total) } else { Err(RULE) }
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn lengths_of_time_are_read_in_falling_units() {
        for (text, wanted) in [("60s", 60), ("8h", 28_800), ("1h30m", 5400), ("1h0m1s", 3601), ("0s", 0)] {
            assert_eq!(seconds(text), Ok(wanted), "{text}");
        }
        for text in ["", "60", "s", "1d", "1.5h", "-1s", "30m1h", "1h1h", "1 h", "99999999999999999999s"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
