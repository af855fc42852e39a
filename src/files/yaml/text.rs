//! From bytes to a text that the parser may see: not too long, UTF-8, and without what YAML does not allow anywhere.

use super::lines::Place;
use super::{MOST_BYTES, MOST_NODES, Problem};

/// Most commas, colons, brackets and the like: the parser keeps a whole flow collection in memory before the first value
/// of it can be counted.
const MOST_INDICATORS: usize = 5 * MOST_NODES;

/// The bytes as text.
///
/// # Errors
/// What is foreign to YAML, or too much.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Problem> {
    if bytes.len() > MOST_BYTES {
        let message = format!("the file is longer than {MOST_BYTES} bytes (4 MiB); split it into several files");
        return Err(Place::START.problem(message));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
        Place::after(&String::from_utf8_lossy(good)).problem("is not UTF-8; save the file as UTF-8")
    })?;
    let mut indicators: usize = 0;
    for (at, character) in text.char_indices() {
        let message = match character {
            '\t' | '\n' | '\r' => continue,
            // Neither YAML (§5.1) nor JSON (RFC 8259 §7) allows them, not even in quotes.
            character if character < ' ' => {
                let code = u32::from(character);
                format!(
                    "holds the control character U+{code:04X}; remove it, or write `\\u{code:04x}` in double quotes"
                )
            }
            ',' | ':' | '?' | '[' | ']' | '{' | '}' | '!' | '&' | '*' => {
                indicators = indicators.saturating_add(1);
                if indicators <= MOST_INDICATORS {
                    continue;
                }
                format!(
                    "the file has more than {MOST_INDICATORS} commas, colons and brackets; split it into several files"
                )
            }
            _ => continue,
        };
        return Err(Place::after(text.get(..at).unwrap_or_default()).problem(message));
    }
    Ok(text)
}
