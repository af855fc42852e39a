//! All templates of a host as a tree of segments: which of them cover a path, the most specific first.
//!
//! From the left, a literal beats a parameter beats the rest (the order of [`Segment`], reversed). The walk goes back
//! when a branch ends early, so that `/a/b/x` finds `/a/{p}/x` beside `/a/b/y`. A lookup hashes each segment once for
//! each branch that is open, or compares it with a few; how many other templates there are does not matter.
//!
//! A tree is built whole from all routes, and never changed, so that each node takes no more room than it needs.
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
    literals: Literals,
    param: Option<Box<Node>>,
    rest: Option<Box<Slot>>,
    here: Option<Box<Slot>>,
}

/// Up to so many literals are compared instead of hashed: a hash table of a few takes several times their room.
const FEW: usize = 16;

/// The literals of one node.
#[derive(Debug)]
enum Literals {
    /// In order.
    Few(Box<[(Box<str>, Node)]>),
    #[expect(clippy::box_collection, reason = "nearly every node has few, and should not take the room of many")]
    Many(Box<HashMap<Box<str>, Node, foldhash::fast::RandomState>>),
}

impl Default for Literals {
    fn default() -> Self {
        Self::Few(Box::default())
    }
}

impl Literals {
    /// Takes them, in order.
    fn of(all: Vec<(Box<str>, Node)>) -> Self {
        if all.len() <= FEW { Self::Few(all.into()) } else { Self::Many(Box::new(all.into_iter().collect())) }
    }

    fn get(&self, wanted: &str) -> Option<&Node> {
        match self {
            Self::Few(all) => {
                let at = all.binary_search_by(|(text, _)| (**text).cmp(wanted)).ok()?;
                all.get(at).map(|(_, node)| node)
            }
            Self::Many(all) => all.get(wanted),
        }
    }

    fn longest_walk(&self) -> usize {
        let longest = match self {
            Self::Few(all) => all.iter().map(|(_, node)| node.longest_walk()).max(),
            Self::Many(all) => all.values().map(Node::longest_walk).max(),
        };
        longest.unwrap_or(0)
    }
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
    /// The tree of these routes, from the oldest to the youngest; see [`Slot`] for which of several at one template wins.
    pub(super) fn of(places: &[Place]) -> Self {
        let mut planted: Vec<_> = places.iter().map(|place| (place.route.template.shape(), place)).collect();
        // Stable: those of one template stay in their order.
        planted.sort_by(|(left, _), (right, _)| left.cmp(right));
        Self { root: Node::of(&planted, 0) }
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

type Planted<'p> = (Vec<Segment<'p>>, &'p Place);

impl Node {
    /// The node of templates that agree in so many segments. They are in order, and each has so many at least.
    fn of(planted: &[Planted<'_>], depth: usize) -> Self {
        let (mut node, mut literals) = (Self::default(), Vec::new());
        let slot = |group: &[Planted<'_>]| Some(Box::new(Slot::of(group.iter().map(|(_, place)| *place))));
        for group in planted.chunk_by(|(left, _), (right, _)| left.get(depth) == right.get(depth)) {
            let below = || Self::of(group, depth.saturating_add(1));
            match group.first().and_then(|(shape, _)| shape.get(depth)) {
                None => node.here = slot(group),
                Some(Segment::Rest) => node.rest = slot(group),
                Some(Segment::Param) => node.param = Some(Box::new(below())),
                Some(Segment::Literal(text)) => literals.push(((*text).into(), below())),
            }
        }
        node.literals = Literals::of(literals);
        node
    }

    fn longest_walk(&self) -> usize {
        let literal = self.literals.longest_walk();
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
        return node.here.as_deref().map_or(ControlFlow::Continue(()), visit);
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
    node.rest.as_deref().map_or(ControlFlow::Continue(()), visit)
}
