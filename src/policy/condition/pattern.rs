//! The regular expressions of a condition: literal, compiled once, of bounded size.
//!
//! CEL's own `matches` compiles its pattern at every call: a large one, or one that the request supplies, would cost
//! milliseconds of the request path, times the length of a list. The syntax is the same, and takes linear time.

use std::collections::HashMap;
use std::sync::Arc;

use cel::extractors::This;
use cel::{Context, ExecutionError};
use regex::{Regex, RegexBuilder};

/// The name of the function.
pub(super) const MATCHES: &str = "matches";
/// Largest compiled pattern, in bytes.
const MAX_COMPILED: usize = 256 * 1024;

/// The patterns by their text.
#[derive(Clone, Default)]
pub(super) struct Patterns(HashMap<String, Regex>);

impl Patterns {
    /// Compiles one more.
    pub(super) fn add(&mut self, text: &str) -> Result<(), String> {
        let compiled = RegexBuilder::new(text).size_limit(MAX_COMPILED).dfa_size_limit(MAX_COMPILED).build();
        let compiled = compiled.map_err(|error| error.to_string())?;
        self.0.insert(text.to_owned(), compiled);
        Ok(())
    }

    /// Declares `matches` for these patterns, if there are any.
    pub(super) fn declare(this: &Arc<Self>, context: &mut Context<'_, '_>) -> Result<(), cel::DeclarationError> {
        if this.0.is_empty() {
            return Ok(());
        }
        let patterns = Arc::clone(this);
        context.add_function(MATCHES, move |This(text): This<Arc<String>>, pattern: Arc<String>| {
            patterns.0.get(&*pattern).map(|pattern| pattern.is_match(&text)).ok_or_else(|| {
                // every literal pattern was compiled, and others do not get past the compiler
                ExecutionError::function_error(MATCHES, "unknown pattern")
            })
        })
    }
}
