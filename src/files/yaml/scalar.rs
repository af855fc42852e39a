//! What a scalar means: the core schema of YAML 1.2 (§10.3.2), as far as JSON can carry it.

use saphyr_parser::{ScalarStyle, Tag};
use serde_json::{Number, Value};

use super::super::excerpt::shown;

/// The prefix of the tags that everybody knows.
const PREFIX: &str = "tag:yaml.org,2002:";

/// The tags that may be written, though they need not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CoreTag {
    Null,
    Bool,
    Int,
    Float,
    Str,
    Seq,
    Map,
}

impl CoreTag {
    const ALL: [Self; 7] = [Self::Null, Self::Bool, Self::Int, Self::Float, Self::Str, Self::Seq, Self::Map];

    /// Reads a tag.
    ///
    /// # Errors
    /// It is none of these; the message says so.
    pub(super) fn read(tag: &Tag) -> Result<Self, String> {
        let full = format!("{}{}", tag.handle, tag.suffix);
        let name = full.strip_prefix(PREFIX);
        name.and_then(|name| Self::ALL.into_iter().find(|tag| tag.name() == name)).ok_or_else(|| {
            let written = name.map_or_else(|| full.clone(), |name| format!("!!{name}"));
            format!("the tag {} is not supported; write the value without a tag", shown(&written))
        })
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Float => "float",
            Self::Str => "str",
            Self::Seq => "seq",
            Self::Map => "map",
        }
    }
}

/// The value of a scalar.
///
/// # Errors
/// Its tag says something else, or JSON cannot carry it; the message says what to write.
pub(super) fn resolve(text: &str, style: ScalarStyle, tag: Option<CoreTag>) -> Result<Value, String> {
    let value = match tag {
        Some(CoreTag::Str) => Some(text.into()),
        None if style != ScalarStyle::Plain => Some(text.into()),
        None => Some(plain(text)?),
        Some(CoreTag::Null) => Some(Value::Null).filter(|_| is_null(text)),
        Some(CoreTag::Bool) => boolean(text),
        Some(CoreTag::Int) => integer(text).transpose()?,
        Some(CoreTag::Float) => float(text).transpose()?,
        Some(CoreTag::Seq | CoreTag::Map) => None,
    };
    value.ok_or_else(|| {
        let tag = tag.map_or("str", CoreTag::name);
        format!("{} is no value of the tag `!!{tag}`; write it without a tag", shown(text))
    })
}

/// The value of a plain scalar: what looks like nothing else is a string.
fn plain(text: &str) -> Result<Value, String> {
    if is_null(text) {
        return Ok(Value::Null);
    }
    let typed = boolean(text).map(Ok).or_else(|| integer(text)).or_else(|| float(text));
    typed.unwrap_or_else(|| Ok(text.into()))
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

fn boolean(text: &str) -> Option<Value> {
    match text {
        "true" | "True" | "TRUE" => Some(true.into()),
        "false" | "False" | "FALSE" => Some(false.into()),
        _ => None,
    }
}

/// `[-+]?[0-9]+`, `0o[0-7]+` or `0x[0-9a-fA-F]+`.
fn integer(text: &str) -> Option<Result<Value, String>> {
    let (digits, radix) = match (text.strip_prefix("0o"), text.strip_prefix("0x")) {
        (Some(digits), _) => (digits, 8),
        (None, Some(digits)) => (digits, 16),
        (None, None) => (text.strip_prefix(['-', '+']).unwrap_or(text), 10),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let negative = text.starts_with('-').then(|| text.parse::<i64>().ok().map(Value::from));
    let value = negative.unwrap_or_else(|| u64::from_str_radix(digits, radix).ok().map(Value::from));
    Some(value.ok_or_else(|| beyond_json(text)))
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, `[-+]?\.inf` or `\.nan`.
fn float(text: &str) -> Option<Result<Value, String>> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(Err(beyond_json(text)));
    }
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_number = are_digits(whole)
        && are_digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent
            .map(|exponent| exponent.strip_prefix(['-', '+']).unwrap_or(exponent))
            .is_none_or(|digits| !digits.is_empty() && are_digits(digits));
    // The grammar above is the narrower one: the standard library would also read `inf`.
    let number = text.parse().ok().filter(|_| is_number)?;
    Some(Number::from_f64(number).map(Value::Number).ok_or_else(|| beyond_json(text)))
}

fn are_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn beyond_json(text: &str) -> String {
    format!("{} is a number that JSON cannot carry; put it in quotes if it is a text", shown(text))
}
