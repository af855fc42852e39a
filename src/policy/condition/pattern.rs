//! Regular expressions of conditions: constants, compiled once, to automata that read each byte of a text once.
//!
//! An engine that compiles on each use, or that tracks every state of the expression at every byte, can be made to work
//! for a tenth of a second by a few characters of a rule and a text of a stranger's choice. A deterministic automaton
//! cannot; what would make a large one is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cel::extractors::This;
use cel::{Context, ExecutionError};
use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};

use super::{ConditionError, ConditionFault};

/// Largest automaton, in bytes, and most memory to find out.
const MAX_AUTOMATON: usize = 64 * 1024;
const MAX_WORK: usize = 256 * 1024;

type Dfa = dense::DFA<Vec<u32>>;

/// The regular expressions of one condition.
pub(super) struct Patterns(BTreeMap<String, Dfa>);

impl Patterns {
    /// Compiles all of them; `None` if there are none.
    pub(super) fn compile(patterns: &BTreeSet<String>) -> Result<Option<Self>, ConditionFault> {
        let one = |pattern: &String| automaton(pattern).map(|dfa| (pattern.clone(), dfa));
        let compiled: BTreeMap<_, _> = patterns.iter().map(one).collect::<Result<_, _>>()?;
        Ok((!compiled.is_empty()).then_some(Self(compiled)))
    }

    fn matches(&self, pattern: &str, text: &str) -> Option<bool> {
        let input = Input::new(text).anchored(Anchored::No).earliest(true);
        let found = self.0.get(pattern)?.try_search_fwd(&input).ok()?;
        Some(found.is_some())
    }
}

fn automaton(pattern: &str) -> Result<Dfa, ConditionFault> {
    let config = dense::Config::new()
        .start_kind(StartKind::Unanchored)
        .dfa_size_limit(Some(MAX_AUTOMATON))
        .determinize_size_limit(Some(MAX_WORK));
    let built = dense::Builder::new()
        .configure(config)
        .syntax(syntax::Config::new().unicode(false).utf8(false).nest_limit(32))
        .thompson(thompson::Config::new().utf8(false).nfa_size_limit(Some(MAX_WORK)))
        .build(pattern);
    built.map_err(|error| {
        let mut why = error.to_string();
        let mut at: &dyn std::error::Error = &error;
        while let Some(source) = at.source() {
            why = source.to_string();
            at = source;
        }
        ConditionFault::Pattern(super::one_line(&why))
    })
}

/// Gives a context the function `matches`.
pub(super) fn provide(context: &mut Context<'_, '_>, patterns: &Arc<Patterns>) -> Result<(), ConditionError> {
    let patterns = Arc::clone(patterns);
    let matches = move |This(text): This<Arc<String>>, pattern: Arc<String>| {
        patterns.matches(&pattern, &text).ok_or_else(|| ExecutionError::function_error("matches", "cannot tell"))
    };
    context.add_function("matches", matches).map_err(|_| ConditionError)
}
