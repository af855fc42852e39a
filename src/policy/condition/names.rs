//! What an expression reads and how deep it goes, judged before it is ever evaluated.

use std::collections::BTreeSet;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue};

use super::ConditionFault;
use super::pattern::{MATCHES, Patterns};

/// Levels of brackets in the text, and of the tree that it becomes. Evaluation recurses: each level takes some 60 KiB of
/// stack in an unoptimised build, and servers' threads have 2 MiB.
const MAX_DEPTH: usize = 24;
/// Runs of unary operators and of ternaries that are still harmless.
const MAX_RUN: usize = 32;
const ROOTS: [&str; 5] = ["request", "params", "caller", "claims", "now"];
/// Claims that users or administrators of another tenant can set to what they like, or that are opaque.
const FORBIDDEN: [&str; 12] = [
    "email",
    "upn",
    "unique_name",
    "preferred_username",
    "name",
    "given_name",
    "family_name",
    "verified_primary_email",
    "idp",
    "login_hint",
    "aio",
    "rh",
];

/// Whether brackets inside brackets, or runs of unary operators, would make a recursive parser recurse too deep.
pub(super) fn nests_too_deep(source: &str) -> bool {
    let (mut open, mut deepest, mut unary) = (0_usize, 0_usize, 0_usize);
    for byte in source.bytes() {
        match byte {
            b'(' | b'[' | b'{' => open = open.saturating_add(1),
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            b'!' | b'-' | b'?' => unary = unary.saturating_add(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    deepest > MAX_DEPTH || unary > MAX_DEPTH.saturating_add(MAX_RUN)
}

#[derive(Clone, Copy)]
struct Scope {
    depth: usize,
    looping: bool,
}

/// What an expression reads.
#[derive(Default)]
pub(super) struct Names {
    /// Variables.
    pub(super) roots: BTreeSet<String>,
    /// Claims, each by its name.
    pub(super) claims: BTreeSet<String>,
    /// Patterns of `matches`.
    pub(super) patterns: Patterns,
    bound: Vec<String>,
    /// What macros gather in. No source text can write these names.
    results: BTreeSet<String>,
}

impl Names {
    /// Walks an expression.
    pub(super) fn of(expression: &IdedExpr) -> Result<Self, ConditionFault> {
        let mut names = Self::default();
        names.visit(expression, Scope { depth: 0, looping: false })?;
        Ok(names)
    }

    fn visit(&mut self, node: &IdedExpr, scope: Scope) -> Result<(), ConditionFault> {
        if scope.depth > MAX_DEPTH {
            return Err(ConditionFault::TooDeep);
        }
        let below = Scope { depth: scope.depth.saturating_add(1), ..scope };
        match &node.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.ident(name),
            Expr::Select(select) if is_claims(&select.operand) => self.claim(&select.field),
            Expr::Select(select) => self.visit(&select.operand, below),
            Expr::Call(call) => self.call(call, below),
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.visit(element, below)),
            Expr::Map(entries) => entries.entries.iter().try_for_each(|entry| self.entry(&entry.expr, below)),
            Expr::Struct(entries) => entries.entries.iter().try_for_each(|entry| self.entry(&entry.expr, below)),
            Expr::Comprehension(each) => {
                if scope.looping {
                    return Err(ConditionFault::TooDeep);
                }
                self.visit(&each.iter_range, below)?;
                let bound = self.bound.len();
                self.bound.push(each.iter_var.clone());
                self.bound.push(each.accu_var.clone());
                self.results.insert(each.accu_var.clone());
                self.bound.extend(each.iter_var2.clone());
                if let Some(taken) = self.bound.iter().find(|name| ROOTS.contains(&name.as_str())) {
                    return Err(ConditionFault::UnknownName(taken.clone()));
                }
                let inside = Scope { looping: true, ..below };
                for part in [&each.accu_init, &each.loop_cond, &each.loop_step, &each.result] {
                    self.visit(part, inside)?;
                }
                self.bound.truncate(bound);
                Ok(())
            }
        }
    }

    fn entry(&mut self, entry: &EntryExpr, scope: Scope) -> Result<(), ConditionFault> {
        match entry {
            EntryExpr::StructField(field) => self.visit(&field.value, scope),
            EntryExpr::MapEntry(entry) => {
                self.visit(&entry.key, scope)?;
                self.visit(&entry.value, scope)
            }
        }
    }

    fn call(&mut self, call: &CallExpr, scope: Scope) -> Result<(), ConditionFault> {
        match (call.func_name.as_str(), call.args.as_slice()) {
            ("_[_]", [of, name]) if is_claims(of) => return self.claim(literal(name)?),
            ("@in", [name, of]) if is_claims(of) => return self.claim(literal(name)?),
            ("_+_", [to, _]) if scope.looping && !self.is_result(to) => return Err(ConditionFault::Grows),
            (MATCHES, [.., pattern]) => self.pattern(pattern)?,
            _ => {}
        }
        call.target.iter().map(|target| &**target).chain(&call.args).try_for_each(|part| self.visit(part, scope))
    }

    /// Whether the macro itself adds to its result here.
    fn is_result(&self, node: &IdedExpr) -> bool {
        matches!(&node.expr, Expr::Ident(name) if self.results.contains(name))
    }

    fn pattern(&mut self, node: &IdedExpr) -> Result<(), ConditionFault> {
        let text = literal(node).map_err(|_| ConditionFault::Pattern("it is no literal".to_owned()))?;
        self.patterns.add(text).map_err(|why| ConditionFault::Pattern(super::one_line(&why)))
    }

    fn ident(&mut self, name: &str) -> Result<(), ConditionFault> {
        if self.bound.iter().any(|bound| bound == name) {
            return Ok(());
        }
        if name == "claims" {
            return Err(ConditionFault::ClaimsAsWhole);
        }
        if !ROOTS.contains(&name) {
            return Err(ConditionFault::UnknownName(name.to_owned()));
        }
        self.roots.insert(name.to_owned());
        Ok(())
    }

    fn claim(&mut self, name: &str) -> Result<(), ConditionFault> {
        if FORBIDDEN.iter().any(|forbidden| forbidden.eq_ignore_ascii_case(name)) {
            return Err(ConditionFault::ClaimForbidden(name.to_owned()));
        }
        self.roots.insert("claims".to_owned());
        self.claims.insert(name.to_owned());
        Ok(())
    }
}

fn is_claims(node: &IdedExpr) -> bool {
    matches!(&node.expr, Expr::Ident(name) if name == "claims")
}

fn literal(node: &IdedExpr) -> Result<&str, ConditionFault> {
    match &node.expr {
        Expr::Literal(LiteralValue::String(name)) => Ok(name.inner()),
        Expr::Unspecified
        | Expr::Literal(_)
        | Expr::Ident(_)
        | Expr::Select(_)
        | Expr::Call(_)
        | Expr::List(_)
        | Expr::Map(_)
        | Expr::Struct(_)
        | Expr::Comprehension(_) => Err(ConditionFault::ClaimsAsWhole),
    }
}
