//! Path templates: `/orders/{id}`, `/files/{*rest}`.
//!
//! A literal compares byte by byte with a canonical path, so it has to be canonical itself. A `{param}` takes one
//! non-empty segment, a `{*rest}` one or more, of which a single one may be empty: `/f/{*rest}` covers `/f/` and
//! `/f/a/b`, not `/f`.

use std::fmt;

use super::path::{Canonical, lenient, parameters_at};

/// Longest template, in bytes.
pub const MAX_TEMPLATE: usize = 1024;
/// Most segments.
pub const MAX_SEGMENTS: usize = 64;

/// One segment. The order is precedence from the left: a literal beats a parameter beats the rest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment<'t> {
    /// What is left of the path.
    Rest,
    /// One non-empty segment.
    Param,
    /// Exactly this.
    Literal(&'t str),
}

/// A template.
///
/// INVARIANT: every segment of the text is one that [`segment`] takes, so that a brace tells a parameter from a literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    text: Box<str>,
}

/// Why a text is not a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateFault {
    /// No slash in front.
    #[error("must begin with a slash")]
    NotAbsolute,
    /// More than 1024 bytes or 64 segments.
    #[error("must have at most 1024 bytes and 64 segments")]
    TooLong,
    /// A literal that no canonical path can equal.
    #[error("`{0}` is not canonical, so that no request could match it: {1}")]
    NotCanonical(String, String),
    /// A brace elsewhere than around a whole segment.
    #[error("`{0}`: a parameter must be a whole segment, as in /orders/{{id}}")]
    Partial(String),
    /// A parameter's name.
    #[error("`{0}`: a parameter's name must be a letter or underscore, then letters, digits or underscores")]
    Name(String),
    /// Two parameters of one name.
    #[error("the parameter `{0}` occurs twice")]
    Twice(String),
    /// `{*rest}` before the end.
    #[error("`{{*{0}}}` must be the last segment")]
    RestNotLast(String),
}

impl PathTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateFault`].
    pub fn parse(text: &str) -> Result<Self, TemplateFault> {
        let below = text.strip_prefix('/').ok_or(TemplateFault::NotAbsolute)?;
        let parts: Vec<&str> = below.split('/').collect();
        if text.len() > MAX_TEMPLATE || parts.len() > MAX_SEGMENTS {
            return Err(TemplateFault::TooLong);
        }
        let last = parts.len().saturating_sub(1);
        let mut names = Vec::new();
        for (at, part) in parts.into_iter().enumerate() {
            let (segment, name) = segment(part, at == last)?;
            if let Some(name) = name {
                if names.contains(&name) {
                    return Err(TemplateFault::Twice(name.into()));
                }
                if segment == Segment::Rest && at != last {
                    return Err(TemplateFault::RestNotLast(name.into()));
                }
                names.push(name);
            }
        }
        Ok(Self { text: text.into() })
    }

    /// The segments, without names: two templates with equal shapes cover the same paths.
    #[must_use]
    pub fn shape(&self) -> Vec<Segment<'_>> {
        self.segments().map(Part::segment).collect()
    }

    fn segments(&self) -> impl Iterator<Item = Part<'_>> {
        super::path::segments(&self.text).map(Part::of)
    }

    /// Names and values of the parameters in a path that the template covers.
    pub fn params<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.segments().enumerate().filter_map(move |(at, part)| {
            let (name, value) = match part {
                Part::Rest(name) => {
                    (name, path.strip_prefix('/').unwrap_or(path).splitn(at.saturating_add(1), '/').last())
                }
                Part::Param(name) => (name, super::path::segments(path).nth(at)),
                Part::Literal(_) => return None,
            };
            Some((name, value.unwrap_or_default()))
        })
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// One segment of a sound template, with the name of its parameter.
enum Part<'t> {
    Rest(&'t str),
    Param(&'t str),
    Literal(&'t str),
}

impl<'t> Part<'t> {
    fn of(text: &'t str) -> Self {
        let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        inner.map_or(Self::Literal(text), |inner| inner.strip_prefix('*').map_or(Self::Param(inner), Self::Rest))
    }

    const fn segment(self) -> Segment<'t> {
        match self {
            Self::Rest(_) => Segment::Rest,
            Self::Param(_) => Segment::Param,
            Self::Literal(text) => Segment::Literal(text),
        }
    }
}

fn segment(part: &str, last: bool) -> Result<(Segment<'_>, Option<&str>), TemplateFault> {
    if !part.contains(['{', '}']) {
        return literal(part, last).map(|segment| (segment, None));
    }
    let inner =
        part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).filter(|inner| !inner.contains(['{', '}']));
    let inner = inner.ok_or_else(|| TemplateFault::Partial(part.to_owned()))?;
    let (segment, name) = match inner.strip_prefix('*') {
        Some(name) => (Segment::Rest, name),
        None => (Segment::Param, inner),
    };
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if !first || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(TemplateFault::Name(part.to_owned()));
    }
    Ok((segment, Some(name)))
}

fn literal(part: &str, last: bool) -> Result<Segment<'_>, TemplateFault> {
    let fault = |why: String| Err(TemplateFault::NotCanonical(part.to_owned(), why));
    if part.is_empty() {
        return if last { Ok(Segment::Literal(part)) } else { fault("an empty segment; remove a slash".into()) };
    }
    if parameters_at(part).is_some() {
        return fault("`;` never matches a literal; use a parameter".into());
    }
    if part.contains('?') {
        return fault("a query is not part of the path; remove it".into());
    }
    let path = format!("/{part}");
    match Canonical::parse(path.as_bytes()) {
        Ok(canonical) => match lenient(canonical.as_str().trim_start_matches('/')) {
            plain if plain == part => Ok(Segment::Literal(part)),
            plain => fault(format!("write `{plain}`")),
        },
        Err(why) => fault(why.to_string()),
    }
}
