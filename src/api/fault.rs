//! What is wrong with a resource: which one, which field, what was found and what to write instead.

use std::cell::RefCell;
use std::fmt;

use crate::policy::rules::{Poison, PolicyId};

use super::field_path::FieldPath;
use super::object::ObjectId;

/// What kind of thing is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// The resource itself.
    Invalid,
    /// What it refers to is absent, invalid or not permitted.
    Reference,
    /// A resource that a policy is attached to is absent, or gives it no host.
    Target,
    /// A host belongs to somebody else.
    Host {
        /// The policy that was first; `None`: the host is pinned to another namespace.
        winner: Option<PolicyId>,
    },
    /// Requests that a policy is about are not put to any authorizer.
    Bypass,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The resource.
    pub object: ObjectId,
    /// The field.
    pub path: FieldPath,
    /// What is wrong with it, and what to write instead. One line, lower case, no full stop.
    pub problem: Box<str>,
    /// What kind of thing that is.
    pub about: About,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.object, self.path, self.problem)
    }
}

/// Where the faults of one resource are gathered. Reading goes on after a fault, so that one look tells everything.
#[derive(Debug)]
pub struct Faults<'o> {
    object: &'o ObjectId,
    found: RefCell<Vec<Fault>>,
}

impl<'o> Faults<'o> {
    /// No fault yet.
    #[must_use]
    pub const fn of(object: &'o ObjectId) -> Self {
        Self { object, found: RefCell::new(Vec::new()) }
    }

    /// One more.
    pub fn add(&self, path: FieldPath, problem: impl Into<Box<str>>) {
        self.put(path, problem, About::Invalid);
    }

    /// One more, about what the resource refers to.
    pub fn add_reference(&self, path: FieldPath, problem: impl Into<Box<str>>) {
        self.put(path, problem, About::Reference);
    }

    /// One more, about what the resource is attached to.
    pub fn add_target(&self, path: FieldPath, problem: impl Into<Box<str>>) {
        self.put(path, problem, About::Target);
    }

    /// One that was found elsewhere.
    pub fn again(&self, fault: Fault) {
        self.found.borrow_mut().push(fault);
    }

    fn put(&self, path: FieldPath, problem: impl Into<Box<str>>, about: About) {
        self.found.borrow_mut().push(Fault { object: self.object.clone(), path, problem: problem.into(), about });
    }

    /// The resource.
    #[must_use]
    pub const fn object(&self) -> &'o ObjectId {
        self.object
    }

    /// How many were found so far: what is read between two counts is sound if they are equal.
    #[must_use]
    pub fn count(&self) -> usize {
        self.found.borrow().len()
    }

    /// The first one that was found after so many others.
    #[must_use]
    pub fn first_after(&self, count: usize) -> Option<Fault> {
        self.found.borrow().get(count).cloned()
    }

    /// The first one after so many others, as the reason to deny.
    pub(super) fn poison_after(&self, count: usize) -> Option<Poison> {
        self.first_after(count).map(|fault| Poison(format!("{}: {}", fault.path, fault.problem).into()))
    }

    /// All of them.
    #[must_use]
    pub fn into_vec(self) -> Vec<Fault> {
        self.found.into_inner()
    }
}
