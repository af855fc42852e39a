//! From the parser's events to documents. No recursion: however deep a text nests, the stack stays small.

use std::borrow::Cow;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Map, Value};

use super::super::excerpt::shown;
use super::anchors::Anchors;
use super::lines::{Draft, Place};
use super::scalar::{self, CoreTag};
use super::syntax::{self, ALIAS, ANCHOR};
use super::{Document, MOST_DEPTH, MOST_NODES, Problem};

/// All documents of a text, in which aliases stand for what they name if there is room for `anchors`.
pub(super) fn documents(text: &str, anchors: Option<Anchors>) -> Result<Vec<Document>, Problem> {
    let mut builder = Builder { anchors, ..Builder::default() };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| syntax::problem(text, &error))?;
        builder.take(event, Place::of(span.start))?;
    }
    Ok(builder.done)
}

#[derive(Default)]
struct Builder {
    done: Vec<Document>,
    /// The lists and mappings that are not over, from the outside.
    open: Vec<Open>,
    lines: Draft,
    nodes: usize,
    /// `None` where they are refused.
    anchors: Option<Anchors>,
}

struct Open {
    entry: usize,
    /// The number of its anchor; zero if there is none.
    anchor: usize,
    value: Growing,
}

enum Growing {
    List(Vec<Value>),
    /// With the key that waits for its value, and where that is noted.
    Mapping(Map<String, Value>, Option<(String, usize)>),
}

impl Builder {
    fn take(&mut self, event: Event<'_>, at: Place) -> Result<(), Problem> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::Scalar(text, style, anchor, tag) => {
                let tag = self.enter(at, anchor, tag)?;
                if self.awaits_key() {
                    self.key(&text, (style, tag), at)
                } else {
                    self.scalar(&text, (style, tag, anchor), at)
                }
            }
            Event::SequenceStart(anchor, tag) => {
                let tag = self.enter(at, anchor, tag)?;
                self.begin(Growing::List(Vec::new()), (tag, anchor), at)
            }
            Event::MappingStart(anchor, tag) => {
                let tag = self.enter(at, anchor, tag)?;
                self.begin(Growing::Mapping(Map::new(), None), (tag, anchor), at)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.end();
                Ok(())
            }
        }
    }

    /// What is asked of every node.
    fn enter(&mut self, at: Place, anchor: usize, tag: Option<Cow<'_, Tag>>) -> Result<Option<CoreTag>, Problem> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > MOST_NODES {
            return Err(at.problem(format!("the file has more than {MOST_NODES} values; split it into several files")));
        }
        if anchor > 0 && self.anchors.is_none() {
            return Err(at.problem(ANCHOR));
        }
        tag.map(|tag| CoreTag::read(&tag).map_err(|message| at.problem(message))).transpose()
    }

    /// What an alias stands for. It has one place, that of the alias.
    fn alias(&mut self, anchor: usize, at: Place) -> Result<(), Problem> {
        let is_key = self.awaits_key();
        let depth = self.open.len();
        let Some(anchors) = self.anchors.as_mut().filter(|_| !is_key) else { return Err(at.problem(ALIAS)) };
        let value = anchors.repeat(anchor, depth).map_err(|message| at.problem(message))?;
        self.note(at);
        self.put(value);
        Ok(())
    }

    fn keep(&mut self, anchor: usize, value: &Value) {
        if let Some(anchors) = self.anchors.as_mut().filter(|_| anchor > 0) {
            anchors.keep(anchor, value);
        }
    }

    fn awaits_key(&self) -> bool {
        self.open.last().is_some_and(|open| matches!(open.value, Growing::Mapping(_, None)))
    }

    fn key(&mut self, text: &str, how: (ScalarStyle, Option<CoreTag>), at: Place) -> Result<(), Problem> {
        if text == "<<" && how == (ScalarStyle::Plain, None) {
            return Err(at.problem("the merge key `<<` is not supported; write the merged fields out"));
        }
        let what = match scalar::resolve(text, how.0, how.1).map_err(|message| at.problem(message))? {
            Value::String(key) => return self.member(key, at),
            Value::Null => "is null",
            Value::Bool(_) => "is a boolean",
            Value::Number(_) => "is a number",
            Value::Array(_) | Value::Object(_) => "is no scalar",
        };
        Err(at.problem(format!("the key {} {what}, and must be a string; put it in quotes", shown(text))))
    }

    fn member(&mut self, key: String, at: Place) -> Result<(), Problem> {
        let Some(Open { entry, value: Growing::Mapping(members, waiting), .. }) = self.open.last_mut() else {
            return Ok(());
        };
        if members.contains_key(&key) {
            let line = self.lines.line_of(*entry, &key).unwrap_or(at.line);
            let message = format!("the key {} stands in line {line} already; remove one of the two", shown(&key));
            return Err(at.problem(message));
        }
        let noted = self.lines.member(&key, at);
        *waiting = Some((key, noted));
        Ok(())
    }

    fn scalar(&mut self, text: &str, how: (ScalarStyle, Option<CoreTag>, usize), at: Place) -> Result<(), Problem> {
        let is_empty = text.is_empty() && (how.0, how.1) == (ScalarStyle::Plain, None);
        if is_empty && self.open.is_empty() {
            return Ok(());
        }
        let value = scalar::resolve(text, how.0, how.1).map_err(|message| at.problem(message))?;
        self.note(at);
        self.keep(how.2, &value);
        self.put(value);
        Ok(())
    }

    fn begin(&mut self, value: Growing, (tag, anchor): (Option<CoreTag>, usize), at: Place) -> Result<(), Problem> {
        let (what, own) = match value {
            Growing::List(_) => ("a list", CoreTag::Seq),
            Growing::Mapping(..) => ("a mapping", CoreTag::Map),
        };
        if let Some(tag) = tag.filter(|tag| *tag != own) {
            return Err(at.problem(format!("{what} is no value of the tag `!!{}`; write it without a tag", tag.name())));
        }
        if self.awaits_key() {
            return Err(at.problem(format!("{what} cannot be a key, which must be a string; write a key before it")));
        }
        if self.open.len() >= MOST_DEPTH {
            return Err(
                at.problem(format!("lists and mappings nest more than {MOST_DEPTH} levels deep here; flatten them"))
            );
        }
        let entry = self.note(at);
        self.open.push(Open { entry, anchor, value });
        Ok(())
    }

    fn end(&mut self) {
        let Some(Open { entry, anchor, value }) = self.open.pop() else { return };
        self.lines.close(entry);
        let value = match value {
            Growing::List(elements) => Value::Array(elements),
            Growing::Mapping(members, _) => Value::Object(members),
        };
        self.keep(anchor, &value);
        self.put(value);
    }

    /// Notes the place of a value, unless it was noted with its key.
    fn note(&mut self, at: Place) -> usize {
        match self.open.last() {
            Some(Open { value: Growing::Mapping(_, Some((_, noted))), .. }) => *noted,
            Some(_) | None => self.lines.element(at),
        }
    }

    /// Gives a value to what contains it.
    fn put(&mut self, value: Value) {
        match self.open.last_mut().map(|open| &mut open.value) {
            None => self.done.push(Document { body: value, lines: self.lines.finish() }),
            Some(Growing::List(elements)) => elements.push(value),
            Some(Growing::Mapping(members, waiting)) => {
                if let Some((key, _)) = waiting.take() {
                    members.insert(key, value);
                }
            }
        }
    }
}
