//! What an expression names: variables and their members, functions, regular expressions. Refuses what must not be
//! named.

use std::collections::BTreeSet;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue};

use super::{ConditionFault, MAX_DEPTH};

/// Variables of which members are named one by one, an example of each, and their members; all, if none are listed.
const WHOLES: [(&str, &str, &[&str]); 3] = [
    ("request", "path", &["method", "host", "path", "query", "headers"]),
    ("caller", "oid", &["tenant", "oid", "client", "kind", "roles", "scopes", "groups", "authContexts"]),
    ("claims", "acct", &[]),
];
const OTHERS: [&str; 2] = ["params", "now"];
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

/// What an expression names.
#[derive(Default)]
pub(super) struct Names {
    members: BTreeSet<(&'static str, String)>,
    others: BTreeSet<&'static str>,
    patterns: BTreeSet<String>,
}

impl Names {
    /// Looks through an expression.
    pub(super) fn of(expression: &IdedExpr) -> Result<Self, ConditionFault> {
        let mut walk = Walk::default();
        walk.visit(expression, Scope { depth: 0, looping: false })?;
        Ok(walk.names)
    }

    /// The members of a variable.
    pub(super) fn members(&self, of: &'static str) -> impl Iterator<Item = &str> {
        self.members.iter().filter(move |(whole, _)| *whole == of).map(|(_, member)| member.as_str())
    }

    /// Whether a variable without members of its own is named.
    pub(super) fn has(&self, other: &'static str) -> bool {
        self.others.contains(other)
    }

    /// The regular expressions.
    pub(super) const fn patterns(&self) -> &BTreeSet<String> {
        &self.patterns
    }
}

#[derive(Clone, Copy)]
struct Scope {
    depth: usize,
    looping: bool,
}

#[derive(Default)]
struct Walk {
    names: Names,
    bound: Vec<String>,
}

impl Walk {
    fn visit(&mut self, node: &IdedExpr, scope: Scope) -> Result<(), ConditionFault> {
        if scope.depth > MAX_DEPTH.saturating_mul(4) {
            return Err(ConditionFault::TooDeep);
        }
        let below = Scope { depth: scope.depth.saturating_add(1), ..scope };
        match &node.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.ident(name),
            Expr::Select(select) => match whole(&select.operand) {
                Some(of) => self.member(of, &select.field),
                None => self.visit(&select.operand, below),
            },
            Expr::Call(call) => self.call(call, below),
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.visit(element, below)),
            Expr::Map(entries) => entries.entries.iter().try_for_each(|entry| self.entry(&entry.expr, below)),
            Expr::Struct(made) => Err(ConditionFault::UnknownName(made.type_name.clone())),
            Expr::Comprehension(each) => self.comprehension(each, below),
        }
    }

    fn comprehension(&mut self, each: &ComprehensionExpr, scope: Scope) -> Result<(), ConditionFault> {
        if scope.looping {
            return Err(ConditionFault::TooDeep);
        }
        self.visit(&each.iter_range, scope)?;
        let outside = self.bound.len();
        self.bound.extend([each.iter_var.clone(), each.accu_var.clone()]);
        self.bound.extend(each.iter_var2.clone());
        let taken = |name: &&String| WHOLES.iter().any(|(whole, ..)| whole == name) || OTHERS.contains(&name.as_str());
        if let Some(taken) = self.bound.iter().find(taken) {
            return Err(ConditionFault::UnknownName(taken.clone()));
        }
        let inside = Scope { looping: true, ..scope };
        for part in [&each.accu_init, &each.loop_cond, &each.loop_step, &each.result] {
            self.visit(part, inside)?;
        }
        self.bound.truncate(outside);
        Ok(())
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
        let name = call.func_name.as_str();
        match (name, call.args.as_slice()) {
            ("_[_]", [of, member]) | ("@in", [member, of]) => {
                if let Some(of) = whole(of) {
                    return match literal(member) {
                        Some(member) => self.member(of, member),
                        None => Err(as_whole(of)),
                    };
                }
            }
            ("matches", [.., pattern]) => {
                let pattern = literal(pattern).ok_or_else(|| ConditionFault::Pattern("it is no text".into()))?;
                self.names.patterns.insert(pattern.to_owned());
            }
            _ => {}
        }
        if !super::cost::is_known(name) {
            return Err(ConditionFault::UnknownFunction(name.to_owned()));
        }
        call.target.iter().map(|target| &**target).chain(&call.args).try_for_each(|part| self.visit(part, scope))
    }

    fn ident(&mut self, name: &str) -> Result<(), ConditionFault> {
        if self.bound.iter().any(|bound| bound == name) {
            return Ok(());
        }
        if let Some((of, ..)) = WHOLES.iter().find(|(whole, ..)| *whole == name) {
            return Err(as_whole(of));
        }
        let other = OTHERS.iter().find(|other| **other == name);
        let other = other.ok_or_else(|| ConditionFault::UnknownName(name.to_owned()))?;
        self.names.others.insert(other);
        Ok(())
    }

    fn member(&mut self, of: &'static str, name: &str) -> Result<(), ConditionFault> {
        if of == "claims" && FORBIDDEN.iter().any(|forbidden| forbidden.eq_ignore_ascii_case(name)) {
            return Err(ConditionFault::ClaimForbidden(name.to_owned()));
        }
        let known = WHOLES.iter().find(|(whole, ..)| *whole == of).map_or(&[][..], |(.., members)| members);
        if !known.is_empty() && !known.contains(&name) {
            return Err(ConditionFault::UnknownMember(format!("{of}.{name}"), known.join(", ")));
        }
        self.names.members.insert((of, name.to_owned()));
        Ok(())
    }
}

/// The variable, if this is one of those whose members are named one by one.
fn whole(node: &IdedExpr) -> Option<&'static str> {
    let Expr::Ident(name) = &node.expr else { return None };
    WHOLES.iter().find(|(whole, ..)| whole == name).map(|(whole, ..)| *whole)
}

fn as_whole(of: &'static str) -> ConditionFault {
    let example = WHOLES.iter().find(|(whole, ..)| *whole == of).map_or("", |(_, example, _)| example);
    ConditionFault::AsWhole(of, example)
}

fn literal(node: &IdedExpr) -> Option<&str> {
    match &node.expr {
        Expr::Literal(LiteralValue::String(name)) => Some(name.inner()),
        Expr::Unspecified
        | Expr::Literal(_)
        | Expr::Ident(_)
        | Expr::Select(_)
        | Expr::Call(_)
        | Expr::List(_)
        | Expr::Map(_)
        | Expr::Struct(_)
        | Expr::Comprehension(_) => None,
    }
}
