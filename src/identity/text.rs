//! A text of a caller: where it stands in what was signed, without a copy.
//!
//! A caller has a dozen texts and is remembered for as long as its token. A block of memory for each would cost more time
//! than reading them: what is remembered is larger than any cache, so each block is a wait. So all of them are parts of one.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// A text, or a part of one that is shared. Equal, ordered and hashed like the `str` that it stands for.
#[derive(Clone)]
pub struct Text {
    whole: Arc<str>,
    start: u32,
    end: u32,
}

impl Text {
    /// The part of `whole` that stands at `start` and reads `part`. If it does not stand there, a text by itself.
    #[must_use]
    pub fn at(whole: &Arc<str>, start: usize, part: &str) -> Self {
        let end = start.saturating_add(part.len());
        match (u32::try_from(start), u32::try_from(end)) {
            (Ok(from), Ok(to)) if whole.get(start..end) == Some(part) => {
                Self { whole: Arc::clone(whole), start: from, end: to }
            }
            _ => Self::from(part),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // INVARIANT: the range was looked at when this was made.
        self.whole.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

impl From<&str> for Text {
    /// What is too long to be a claim of a token, 4 GiB, is cut to nothing.
    fn from(text: &str) -> Self {
        Self { whole: text.into(), start: 0, end: u32::try_from(text.len()).unwrap_or_default() }
    }
}

impl From<Box<str>> for Text {
    fn from(text: Box<str>) -> Self {
        Self::from(&*text)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Text;

    #[test]
    fn a_part_is_shared_only_where_it_stands() {
        let whole: Arc<str> = r#"{"oid":"älice"}"#.into();
        let shared = Text::at(&whole, 8, "älice");
        assert_eq!((shared.as_str(), Arc::strong_count(&whole)), ("älice", 2));
        for (start, part) in [(8, "alice"), (9, "älice"), (7, "älice"), (14, "}}"), (usize::MAX, "x"), (8, "")] {
            assert_eq!(Text::at(&whole, start, part).as_str(), part, "{start}");
        }
        assert_eq!(Text::at(&whole, 9, "x").as_str(), "x");
    }

    #[test]
    fn a_text_is_compared_by_what_it_says() {
        let whole: Arc<str> = "b a".into();
        let mut texts = [Text::at(&whole, 0, "b"), Text::at(&whole, 2, "a"), Text::from("a")];
        assert_eq!(texts[1], texts[2]);
        texts.sort();
        assert_eq!(texts.map(|text| text.to_string()), ["a", "a", "b"]);
    }
}
