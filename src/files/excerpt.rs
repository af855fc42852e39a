//! What of a file may be printed: the key or scalar that a problem is about, short, and never a token.
//!
//! Somebody will paste a secret where a value belongs. A problem names the place; that is enough to find it.

/// Most characters of a scalar that are printed.
const MOST_SHOWN: usize = 64;

/// `text` in backticks: at most 64 characters, on one line; or a word instead, if it looks like a token.
pub(super) fn shown(text: &str) -> String {
    if has_token(text) {
        return "(a token, not shown)".to_owned();
    }
    let long = text.chars().nth(MOST_SHOWN).is_some();
    let kept = text.chars().take(if long { MOST_SHOWN.saturating_sub(1) } else { MOST_SHOWN });
    let mut shown = String::from("`");
    for character in kept {
        if misleads(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown.push_str(if long { "…`" } else { "`" });
    shown
}

/// Whether a word of `text` has three base64url parts with dots between them (RFC 7515 §7.1), or more (RFC 7516 §7.1).
fn has_token(text: &str) -> bool {
    let is_outside = |character: char| !(character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.'));
    text.split(is_outside).any(|word| word.split('.').filter(|part| !part.is_empty()).count() >= 3)
}

/// Breaks the line, moves the cursor, or turns the direction of writing.
fn misleads(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_scalar_is_shown_short_on_one_line_and_without_tokens() {
        let (fits, long) = ("x".repeat(64), "x".repeat(65));
        let cut = format!("`{}…`", "x".repeat(63));
        for (text, expected) in [
            ("", "``"),
            ("spec", "`spec`"),
            ("a\nb\u{1b}[1m", "`a\\u{a}b\\u{1b}[1m`"),
            ("a\u{202e}b", "`a\\u{202e}b`"),
            ("two.parts", "`two.parts`"),
            (&long, &cut),
            (&fits, &format!("`{fits}`")),
            ("eyJhbGciOiJub25lIn0.e30.c2ln", "(a token, not shown)"),
            ("Bearer eyJhbGciOiJub25lIn0.e30.c2ln\n", "(a token, not shown)"),
            ("a.b.c.d.e", "(a token, not shown)"),
            (&format!("{long} a.b-_.c"), "(a token, not shown)"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }
}
