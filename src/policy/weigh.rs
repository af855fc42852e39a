//! The entries of a route against one caller: each has a weight, and the heaviest speaks.
//!
//! Precedence is the declaration order of [`Weight`], not a chain of conditions.

use crate::identity::Caller;
use crate::reason::ReasonCode;

use super::clause::{Clause, Section};
use super::condition::Facts;
use super::decide::{Cause, Challenge, Denial, Detail, Matched, Ruling};
use super::entry::{Outcome, Shortfall, evaluate, missing_context};
use super::locate::Protected;
use super::rules::{Entry, GroupOverage};

/// How much an entry counts. The highest wins. Reordering these lines changes who gets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// It does not apply.
    NoEntry,
    /// It would admit, if groups were known.
    AllowUnknown,
    /// It admits.
    AllowHeld,
    /// It would refuse, if groups were known.
    DenyUnknown,
    /// It refuses.
    DenyHeld,
}

/// The heaviest entry so far, and what came nearest to admitting.
struct Scale {
    weight: Weight,
    clause: Option<Clause>,
    nearest: Option<(Shortfall, Clause)>,
    broken: bool,
}

/// Weighs all entries that concern a route. Says what they say; the decision is [`super::decide::decide`]'s.
pub(super) fn weigh(protected: &Protected<'_>, facts: &Facts<'_>) -> Ruling {
    let mut scale = Scale { weight: Weight::NoEntry, clause: None, nearest: None, broken: false };
    scale.deny(protected.guardrails, Section::Guardrail, facts);
    scale.deny(protected.deny, Section::Deny, facts);
    // Nothing an allow entry says can outweigh a deny entry that holds.
    if scale.weight < Weight::DenyHeld {
        scale.allow(protected.allow, facts);
    }
    scale.ruling(protected, facts.caller)
}

impl Scale {
    fn put(&mut self, weight: Weight, clause: Clause) {
        if weight > self.weight {
            self.weight = weight;
            self.clause = Some(clause);
        }
    }

    fn deny(&mut self, entries: &[Entry], section: Section, facts: &Facts<'_>) {
        for (index, entry) in entries.iter().enumerate() {
            let clause = Clause { section, index };
            match evaluate(entry, facts) {
                Outcome::Held => self.put(Weight::DenyHeld, clause),
                Outcome::Unknown => self.put(Weight::DenyUnknown, clause),
                // A guardrail that cannot be evaluated holds.
                Outcome::Failed(Shortfall::ConditionError) => {
                    self.broken |= self.weight < Weight::DenyHeld;
                    self.put(Weight::DenyHeld, clause);
                }
                Outcome::Failed(_) => {}
            }
        }
    }

    fn allow(&mut self, entries: &[Entry], facts: &Facts<'_>) {
        for (index, entry) in entries.iter().enumerate() {
            let clause = Clause { section: Section::Allow, index };
            match evaluate(entry, facts) {
                Outcome::Held => self.put(Weight::AllowHeld, clause),
                Outcome::Unknown => self.put(Weight::AllowUnknown, clause),
                Outcome::Failed(shortfall) => {
                    if self.nearest.is_none_or(|(nearest, _)| shortfall > nearest) {
                        self.nearest = Some((shortfall, clause));
                    }
                }
            }
        }
    }

    fn ruling(self, protected: &Protected<'_>, caller: &Caller) -> Ruling {
        let clause = self.clause.map(Clause::name);
        let matched = Matched { clause, ..protected.place.matched() };
        let refuse = |reason, detail| {
            let matched = Some(matched.clone());
            Ruling::Refuse(Denial { reason, detail, challenge: None, matched })
        };
        match self.weight {
            Weight::DenyHeld if self.broken => refuse(ReasonCode::DenyEntryMatched, Detail::Condition),
            Weight::DenyHeld => refuse(ReasonCode::DenyEntryMatched, Detail::None),
            Weight::DenyUnknown | Weight::AllowUnknown => match protected.place.policy.group_overage {
                GroupOverage::Deny => refuse(ReasonCode::GroupsOverage, Detail::None),
                GroupOverage::Graph => refuse(ReasonCode::GroupsUnavailable, Detail::None),
            },
            Weight::AllowHeld => {
                let index = self.clause.map_or(0, |clause| clause.index);
                Ruling::Admit { cause: Cause::AllowEntry { index }, matched: Some(matched), lent: None }
            }
            Weight::NoEntry => Ruling::Refuse(self.nobody(protected, caller)),
        }
    }

    fn nobody(&self, protected: &Protected<'_>, caller: &Caller) -> Denial {
        let Some((shortfall, clause)) = self.nearest else {
            return Denial::at(protected.place, ReasonCode::NobodyAllowed);
        };
        let entry = protected.allow.get(clause.index);
        let challenge = match shortfall {
            Shortfall::Scope => {
                entry.and_then(|entry| entry.scopes.as_ref()).map(|scopes| Challenge::Scopes(scopes.to_vec()))
            }
            Shortfall::StepUp => {
                entry.and_then(|entry| missing_context(entry, caller)).map(|id| Challenge::AuthContext(id.into()))
            }
            Shortfall::Callers
            | Shortfall::Tenant
            | Shortfall::Client
            | Shortfall::Role
            | Shortfall::Group
            | Shortfall::Condition
            | Shortfall::ConditionError
            | Shortfall::SessionAge
            | Shortfall::StepUpNotPossible => None,
        };
        let detail = if shortfall == Shortfall::ConditionError { Detail::Condition } else { Detail::None };
        let matched = Matched { clause: Some(clause.name()), ..protected.place.matched() };
        Denial { reason: shortfall.reason(), detail, challenge, matched: Some(matched) }
    }
}
