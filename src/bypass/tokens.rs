//! The tokens that tricks send, by name: the right one, genuine ones that must not do, and forged ones. None is shown.

use std::collections::BTreeMap;
use std::fmt;

use super::Unfit;
use super::forge;

/// The name of the token that opens what is protected.
pub const PERMITTED: &str = "permitted";

/// All tokens by name.
pub struct Tokens {
    by_name: BTreeMap<String, String>,
    denied: Vec<String>,
    forged: Vec<String>,
}

/// Without any value.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.by_name.keys()).finish()
    }
}

impl Tokens {
    /// These, and what can be forged from the right one.
    ///
    /// # Errors
    /// If a key for forged tokens cannot be made.
    pub fn new(permitted: String, denied: Vec<String>) -> Result<Self, Unfit> {
        let forged = forge::from(&permitted)?;
        let names = |tokens: &[(String, String)]| tokens.iter().map(|(name, _)| name.clone()).collect();
        let denied: Vec<_> = (1..).zip(denied).map(|(at, token)| (format!("denied-{at}"), token)).collect();
        let mut tokens = Self { denied: names(&denied), forged: names(&forged), by_name: BTreeMap::new() };
        tokens.by_name.insert(PERMITTED.to_owned(), permitted);
        tokens.by_name.extend(denied.into_iter().chain(forged));
        Ok(tokens)
    }

    /// The names of genuine tokens that must not do.
    #[must_use]
    pub fn denied(&self) -> &[String] {
        &self.denied
    }

    /// The names of forged tokens.
    #[must_use]
    pub fn forged(&self) -> &[String] {
        &self.forged
    }

    /// Whether the right token is a JWT, from which others with other signatures can be forged.
    pub(super) fn is_jwt(&self) -> bool {
        forge::is_jwt(self.value(PERMITTED))
    }

    /// The token of this name; empty if there is none.
    pub(super) fn value(&self, name: &str) -> &str {
        self.by_name.get(name).map_or("", String::as_str)
    }

    /// The text with every token replaced by its name.
    #[must_use]
    pub fn hide(&self, text: &str) -> String {
        let mut longest: Vec<_> = self.by_name.iter().filter(|(_, token)| token.len() > 3).collect();
        longest.sort_by_key(|(_, token)| std::cmp::Reverse(token.len()));
        longest
            .into_iter()
            .fold(text.to_owned(), |text, (name, token)| text.replace(token.as_str(), &format!("<token {name}>")))
    }
}

#[cfg(test)]
mod tests {
    use super::Tokens;

    #[test]
    fn tokens_are_shown_by_their_names_only() {
        let tokens = Tokens::new("abcdef".into(), vec!["abcdefgh".into()]).unwrap();
        assert_eq!(tokens.hide("x=abcdefgh&y=abcdef"), "x=<token denied-1>&y=<token permitted>");
        assert!(!format!("{tokens:?}").contains("abcdef"));
    }
}
