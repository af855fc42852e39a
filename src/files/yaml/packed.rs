//! [`Lines`] in a tenth of their space: they are kept as long as the resources are, and looked at only for a fault.

use std::collections::HashMap;
use std::sync::Arc;

use crate::api::field_path::FieldPath;

use super::lines::{Entry, Lines, Place};

/// The places of all fields of a document, to be unpacked when one is looked for.
#[derive(Debug)]
pub(in super::super) struct Packed {
    /// Every name that occurs, once.
    names: Box<[Arc<str>]>,
    /// For each entry the number of its name from 1, or 0; how many lines it stands below the one before; its column; how
    /// many entries it takes with all that it contains. Small numbers take one byte (LEB128).
    entries: Box<[u8]>,
}

impl Packed {
    /// Packs.
    pub(in super::super) fn new(lines: &Lines) -> Self {
        let (mut names, mut numbers) = (Vec::new(), HashMap::new());
        let (mut entries, mut line) = (Vec::new(), 0);
        for (at, entry) in lines.0.iter().enumerate() {
            let number = entry.name.as_ref().map_or(0, |name| {
                *numbers.entry(Arc::clone(name)).or_insert_with(|| {
                    names.push(Arc::clone(name));
                    wide(names.len())
                })
            });
            let below = entry.at.line.wrapping_sub(line);
            line = entry.at.line;
            for value in [number, below.into(), entry.at.column.into(), wide(entry.end.saturating_sub(at))] {
                write(&mut entries, value);
            }
        }
        Self { names: names.into(), entries: entries.into() }
    }

    /// [`Lines::line`].
    pub(in super::super) fn line(&self, path: &FieldPath) -> Option<(u32, u32)> {
        self.unpack().line(path)
    }

    fn unpack(&self) -> Lines {
        let mut lines = Vec::new();
        let (mut bytes, mut line) = (self.entries.iter().copied(), 0_u32);
        while let Some(entry) = self.entry(&mut bytes, (lines.len(), &mut line)) {
            lines.push(entry);
        }
        Lines(lines)
    }

    fn entry(&self, bytes: &mut impl Iterator<Item = u8>, (at, line): (usize, &mut u32)) -> Option<Entry> {
        let [name, below, column, length] = [read(bytes)?, read(bytes)?, read(bytes)?, read(bytes)?];
        let name = name.checked_sub(1).and_then(|number| self.names.get(usize::try_from(number).ok()?).cloned());
        *line = line.wrapping_add(u32::try_from(below).ok()?);
        let place = Place { line: *line, column: u32::try_from(column).ok()? };
        Some(Entry { name, at: place, end: at.saturating_add(usize::try_from(length).ok()?) })
    }
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn write(bytes: &mut Vec<u8>, mut value: u64) {
    while let Some(rest) = value.checked_shr(7).filter(|rest| *rest > 0) {
        bytes.push(low(value) | 0x80);
        value = rest;
    }
    bytes.push(low(value));
}

fn low(value: u64) -> u8 {
    u8::try_from(value & 0x7f).unwrap_or_default()
}

fn read(bytes: &mut impl Iterator<Item = u8>) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = bytes.next()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::Packed;

    #[test]
    fn what_is_unpacked_is_what_was_packed() {
        let long = format!("a: [{}]\nb:\n{}", "[1, {x: y}], ".repeat(300), "- {c: d, e: [f]}\n".repeat(300));
        let far = format!("{}x: {{{}y: z}}", "\n".repeat(70_000), " ".repeat(200));
        for text in ["{}", "a: b", "- 1\n- 2", "a:\n  b: [c, {d: e}]\n  'é': 1\nf: 2", &long, &far] {
            let lines = parse(text.as_bytes()).unwrap().remove(0).lines;
            let packed = Packed::new(&lines);
            assert_eq!(packed.unpack(), lines, "{text}");
            assert!(packed.entries.len() < 6 * lines.0.len() + 6);
        }
    }
}
