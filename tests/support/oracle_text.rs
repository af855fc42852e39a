//! The oracle's own reading of hosts, paths and templates: plain loops over bytes, nothing shared with the code under test.

/// A path that has one reading.
pub(crate) struct Path {
    /// The segments, unreserved bytes decoded, other escapes in upper case.
    pub(crate) segments: Vec<String>,
    pub(crate) query: String,
}

impl Path {
    pub(crate) fn text(&self) -> String {
        format!("/{}", self.segments.join("/"))
    }

    /// The path up to the first escaped `?` or `#`.
    pub(crate) fn before_escaped_mark(&self) -> Option<Self> {
        let text = self.text().replace("%23", "%3F");
        let (before, _) = text.split_once("%3F")?;
        let segments = before[1..].split('/').map(str::to_owned).collect();
        Some(Self { segments, query: String::new() })
    }
}

/// The one reading of a request target, or nothing.
pub(crate) fn path(target: &[u8]) -> Option<Path> {
    let mut path = Vec::new();
    let mut query = None;
    for byte in target {
        match &mut query {
            None if *byte == b'?' => query = Some(Vec::new()),
            None => path.push(*byte),
            Some(query) => query.push(*byte),
        }
    }
    if path.first() != Some(&b'/') || path.len() > 16384 {
        return None;
    }
    let mut segments = Vec::new();
    for segment in path[1..].split(|byte| *byte == b'/') {
        segments.push(segment_text(segment)?);
    }
    let last = segments.len() - 1;
    for (at, segment) in segments.iter().enumerate() {
        if segment.is_empty() && at != last {
            return None;
        }
        let name = without_parameters(segment);
        if name == "." || name == ".." || (name.is_empty() && !segment.is_empty()) {
            return None;
        }
    }
    Some(Path { segments, query: String::from_utf8_lossy(&query.unwrap_or_default()).into_owned() })
}

fn segment_text(raw: &[u8]) -> Option<String> {
    let mut text = String::new();
    let mut bytes = Vec::new();
    let mut at = 0;
    while at < raw.len() {
        let byte = raw[at];
        if byte <= 0x20 || byte >= 0x7f || byte == b'#' || byte == b'\\' {
            return None;
        }
        if byte != b'%' {
            text.push(char::from(byte));
            bytes.push(byte);
            at += 1;
            continue;
        }
        let value = u8::from_str_radix(std::str::from_utf8(raw.get(at + 1..at + 3)?).ok()?, 16).ok()?;
        // `from_str_radix` takes a sign.
        if raw[at + 1] == b'+' || value < 0x20 || value == 0x7f || b"/\\%".contains(&value) {
            return None;
        }
        if value.is_ascii_alphanumeric() || b"-._~".contains(&value) {
            text.push(char::from(value));
        } else {
            text.push_str(&format!("%{value:02X}"));
        }
        bytes.push(value);
        at += 3;
    }
    std::str::from_utf8(&bytes).ok()?;
    Some(text)
}

/// The segment before its `;` parameters.
pub(crate) fn without_parameters(segment: &str) -> &str {
    let plain = segment.split(';').next().unwrap();
    plain.split("%3B").next().unwrap()
}

/// What the most lenient server makes of a segment: without parameters, and with every character unescaped that a
/// template may hold as it is.
pub(crate) fn lenient(segment: &str) -> String {
    let mut text = without_parameters(segment).replace('{', "%7B").replace('}', "%7D");
    for byte in 0x21..0x7f_u8 {
        if !b"#?\\/%;{}".contains(&byte) {
            text = text.replace(&format!("%{byte:02X}"), &char::from(byte).to_string());
        }
    }
    text
}

/// A segment with every escape decoded; what servers hand to their handlers.
pub(crate) fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        if *byte == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&after[..2]).unwrap(), 16).unwrap());
            rest = &after[2..];
        } else {
            bytes.push(*byte);
            rest = after;
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// One segment of a template.
#[derive(Clone, PartialEq)]
pub(crate) enum Part {
    Literal(String),
    Param(String),
    Rest(String),
}

/// The segments of a template.
pub(crate) fn template(text: &str) -> Vec<Part> {
    let part = |part: &str| {
        if let Some(name) = part.strip_prefix("{*") {
            Part::Rest(name.trim_end_matches('}').into())
        } else if let Some(name) = part.strip_prefix('{') {
            Part::Param(name.trim_end_matches('}').into())
        } else {
            Part::Literal(part.into())
        }
    };
    text[1..].split('/').map(part).collect()
}

/// Whether a template covers a path, when a literal is compared in this way.
pub(crate) fn covers(template: &[Part], path: &[String], literal: &dyn Fn(&str, &str) -> bool) -> bool {
    for (at, part) in template.iter().enumerate() {
        let Some(segment) = path.get(at) else { return false };
        match part {
            Part::Rest(_) => return true,
            Part::Param(_) if segment.is_empty() => return false,
            Part::Param(_) => {}
            Part::Literal(text) if literal(text, segment) => {}
            Part::Literal(_) => return false,
        }
    }
    template.len() == path.len()
}

/// Whether `one` is more specific than `other`: from the left, a literal beats a parameter beats the rest.
pub(crate) fn beats(one: &[Part], other: &[Part]) -> bool {
    let rank = |part: &Part| match part {
        Part::Literal(_) => 3,
        Part::Param(_) => 2,
        Part::Rest(_) => 1,
    };
    for (one, other) in one.iter().zip(other) {
        if rank(one) != rank(other) {
            return rank(one) > rank(other);
        }
    }
    false
}

/// Whether two templates say the same, whatever their parameters are called.
pub(crate) fn same(one: &[Part], other: &[Part]) -> bool {
    let shape = |part: &Part| match part {
        Part::Literal(text) => text.clone(),
        Part::Param(_) => "{}".into(),
        Part::Rest(_) => "{*}".into(),
    };
    one.iter().map(shape).eq(other.iter().map(shape))
}

/// A host without port, in lower case, and not with a dot at its end; nothing if it is not one host.
pub(crate) fn host(raw: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(raw).ok()?.to_ascii_lowercase();
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        if !port.is_empty() {
            is_port(port.strip_prefix(':')?).then_some(())?;
        }
        let address: std::net::Ipv6Addr = address.parse().ok()?;
        return Some(format!("[{address}]"));
    }
    let name = match text.split_once(':') {
        Some((name, port)) if is_port(port) => name,
        Some(_) => return None,
        None => &text,
    };
    if name.is_empty() || name.len() > 253 {
        return None;
    }
    for label in name.split('.') {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if label.is_empty() || label.len() > 63 || !label.bytes().all(fits) {
            return None;
        }
    }
    Some(name.to_owned())
}

fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && text.parse::<u32>().unwrap() < 65536
}

/// How well a pattern covers a host: 0 not at all; a wildcard by the length of its suffix; an exact name best of all.
pub(crate) fn fitness(pattern: &str, host: &str) -> usize {
    if pattern == "*" {
        return 1;
    }
    if pattern == host {
        return 1000;
    }
    match pattern.strip_prefix('*') {
        Some(suffix) if host.len() > suffix.len() && host.ends_with(suffix) => 1 + suffix.len(),
        Some(_) | None => 0,
    }
}
