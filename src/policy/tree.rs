//! All templates of a host as a tree of segments: which of them cover a path, the most specific first.
//!
//! From the left, a literal beats a parameter beats the rest (the order of [`Segment`], reversed). The walk goes back
//! when a branch ends early, so that `/a/b/x` finds `/a/{p}/x` beside `/a/b/y`. A lookup hashes each segment once for
//! each branch that is open; how many other templates there are does not matter.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::str::Split;

use super::path::{lenient, parameters_at};
use super::slot::{Place, Slot};
use super::template::Segment;

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
        match walk(&self.root, super::path::segments(path), reading, visit) {
            ControlFlow::Continue(()) | ControlFlow::Break(()) => {}
        }
    }

    /// Whether it has no route.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Node { literals, param, rest, here } = &self.root;
        literals.is_empty() && param.is_none() && rest.is_none() && here.is_none()
    }
}

fn walk<'a>(node: &'a Node, rest: Split<'_, char>, reading: Reading, visit: Visit<'_, 'a>) -> ControlFlow<()> {
    let mut below = rest;
    let Some(segment) = below.next() else {
        return node.here.as_ref().map_or(ControlFlow::Continue(()), visit);
    };
    let literal = match reading {
        Reading::AsSent => parameters_at(segment).is_none().then_some(Cow::Borrowed(segment)),
        Reading::Lenient => Some(lenient(segment)),
    };
    if let Some(next) = literal.and_then(|literal| node.literals.get(&*literal)) {
        walk(next, below.clone(), reading, &mut *visit)?;
    }
    if let Some(next) = &node.param
        && !segment.is_empty()
    {
        walk(next, below, reading, &mut *visit)?;
    }
    node.rest.as_ref().map_or(ControlFlow::Continue(()), visit)
}
