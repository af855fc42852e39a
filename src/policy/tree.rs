//! All templates of a host as a tree of segments: which of them cover a path, the most specific first.
//!
//! From the left, a literal beats a parameter beats the rest (the order of [`Segment`], reversed). The walk goes back
//! when a branch ends early, so that `/a/b/x` finds `/a/{p}/x` beside `/a/b/y`. A lookup hashes each segment once for
//! each branch that is open; how many other templates there are does not matter.
//!
//! A path meets each node at most once, but nested templates with a literal and a parameter at every level could all be
//! open at once. [`Tree::longest_walk`] tells how many nodes one path can meet; a table with more than [`MAX_WALK`] is
//! refused, so that no request walks for long.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::str::Split;

use super::path::{lenient, parameters_at};
use super::slot::{Place, Slot};
use super::template::{MAX_TEMPLATE, Segment};

/// Most nodes that one path may meet. Templates that differ in literals alone count once.
pub const MAX_WALK: usize = 1024;

/// Templates and what stands at each.
#[derive(Debug, Default)]
pub struct Tree {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, Node, foldhash::fast::RandomState>,
    param: Option<Box<Node>>,
    rest: Option<Slot>,
    here: Option<Slot>,
}

/// How the segments of a path are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// As they stand; a segment with `;` parameters equals no literal.
    AsSent,
    /// As the most lenient server reads them: without `;` parameters, and with every escape resolved that a literal
    /// does without. Any other server finds the same template if this one and [`Reading::AsSent`] do.
    Lenient,
}

type Visit<'v, 'a> = &'v mut dyn FnMut(&'a Slot) -> ControlFlow<()>;

impl Tree {
    /// Adds a route at its template; see [`Slot::add`] for which of several routes wins.
    pub(super) fn add(&mut self, place: &Place) {
        let mut node = &mut self.root;
        for segment in place.route.template.shape() {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.clone()).or_default(),
                Segment::Param => node.param.get_or_insert_default(),
                Segment::Rest => return node.rest.get_or_insert_default().add(place),
            };
        }
        node.here.get_or_insert_default().add(place);
    }

    /// The most specific template that covers the path.
    #[must_use]
    pub fn find<'a>(&'a self, path: &str, reading: Reading) -> Option<&'a Slot> {
        let mut found = None;
        self.candidates(path, reading, &mut |slot| {
            found = Some(slot);
            ControlFlow::Break(())
        });
        found
    }

    /// Calls `visit` with every template that covers the path, the most specific first, until it breaks.
    pub fn candidates<'a>(&'a self, path: &str, reading: Reading, visit: Visit<'_, 'a>) {
        // Breaking early is the visitor's wish, nothing more.
        let (ControlFlow::Continue(()) | ControlFlow::Break(())) = if path.contains(['%', ';', '{', '}']) {
            let read: Vec<_> =
                super::path::segments(path).map(|segment| (segment, literal(segment, reading))).collect();
            walk(&self.root, Rest::Read(&read), visit)
        } else {
            walk(&self.root, Rest::Plain(super::path::segments(path)), visit)
        };
    }

    /// How many nodes one path can meet at most.
    #[must_use]
    pub fn longest_walk(&self) -> usize {
        self.root.longest_walk()
    }
}

impl Node {
    fn longest_walk(&self) -> usize {
        let literal = self.literals.values().map(Self::longest_walk).max().unwrap_or(0);
        let param = self.param.as_ref().map_or(0, |node| node.longest_walk());
        literal.saturating_add(param).saturating_add(1)
    }
}

/// What is left of a path.
#[derive(Clone)]
enum Rest<'p> {
    /// Segments that read the same everywhere.
    Plain(Split<'p, char>),
    /// Segments, each with the literal that it equals.
    Read(&'p [(&'p str, Option<Cow<'p, str>>)]),
}

impl<'p> Rest<'p> {
    /// Takes the next segment, and the literal that it equals.
    fn next(&mut self) -> Option<(&'p str, Option<&'p str>)> {
        match self {
            Self::Plain(split) => split.next().map(|segment| (segment, Some(segment))),
            Self::Read(read) => {
                let ((segment, literal), rest) = read.split_first()?;
                *read = rest;
                Some((segment, literal.as_deref()))
            }
        }
    }
}

fn literal(segment: &str, reading: Reading) -> Option<Cow<'_, str>> {
    match reading {
        Reading::AsSent => parameters_at(segment).is_none().then_some(Cow::Borrowed(segment)),
        Reading::Lenient => Some(lenient(segment)),
    }
}

fn walk<'a>(node: &'a Node, mut rest: Rest<'_>, visit: Visit<'_, 'a>) -> ControlFlow<()> {
    let Some((segment, literal)) = rest.next() else {
        return node.here.as_ref().map_or(ControlFlow::Continue(()), visit);
    };
    // No template has longer ones; hashing those of a stranger again and again would be for nothing.
    let literal = literal.filter(|literal| literal.len() <= MAX_TEMPLATE);
    if let Some(next) = literal.and_then(|literal| node.literals.get(literal)) {
        walk(next, rest.clone(), &mut *visit)?;
    }
    if let Some(next) = &node.param
        && !segment.is_empty()
    {
        walk(next, rest, &mut *visit)?;
    }
    node.rest.as_ref().map_or(ControlFlow::Continue(()), visit)
}
