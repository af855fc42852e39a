//! Values that a text names (`&`) and repeats (`*`), for readers that allow it. A short text may stand for a long one; what
//! its repetitions come to has a limit.

use std::collections::HashMap;

use serde_json::Value;

use super::MOST_DEPTH;

/// Most that is repeated: values, and bytes of their texts.
const MOST_REPEATED: usize = 1 << 20;

/// The named values of a text.
#[derive(Default)]
pub(super) struct Anchors {
    named: HashMap<usize, Value>,
    repeated: usize,
}

impl Anchors {
    /// Keeps a value under its number.
    pub(super) fn keep(&mut self, anchor: usize, value: &Value) {
        self.named.insert(anchor, value.clone());
    }

    /// The value of this number once more, `depth` lists and mappings down.
    pub(super) fn repeat(&mut self, anchor: usize, depth: usize) -> Result<Value, String> {
        let Some(value) = self.named.get(&anchor) else {
            return Err("this alias stands for a key, or for what it is a part of; write it out".to_owned());
        };
        let (size, levels) = extent(value);
        self.repeated = self.repeated.saturating_add(size);
        if self.repeated > MOST_REPEATED {
            return Err(format!("aliases repeat more than {MOST_REPEATED} values and bytes; write less of them"));
        }
        if depth.saturating_add(levels) > MOST_DEPTH {
            return Err(format!(
                "with this alias lists and mappings nest more than {MOST_DEPTH} levels deep; flatten them"
            ));
        }
        Ok(value.clone())
    }
}

/// The values and bytes in a value, and how deep it nests.
fn extent(value: &Value) -> (usize, usize) {
    let add = |(size, levels): (usize, usize), (more, deep): (usize, usize)| {
        (size.saturating_add(more), levels.max(deep.saturating_add(1)))
    };
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => (1, 0),
        Value::String(text) => (text.len().saturating_add(1), 0),
        Value::Array(elements) => elements.iter().map(extent).fold((1, 1), add),
        Value::Object(members) => {
            let of = |(name, value): (&String, &Value)| {
                let (size, levels) = extent(value);
                (size.saturating_add(name.len()), levels)
            };
            members.iter().map(of).fold((1, 1), add)
        }
    }
}
