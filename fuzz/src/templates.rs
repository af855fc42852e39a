//! `template`: `TEMPLATE\n…\nPATH`. What covers a path, what wins, and what parameters hold, against a plain reading.

use std::sync::Arc;

use entrance::policy::path::Canonical;
use entrance::policy::rules::Access;
use entrance::policy::table::HostTable;
use entrance::policy::template::{PathTemplate, Segment};
use entrance::policy::tree::Reading;

use super::world::{policy, route};

/// For mutations.
pub const WORDS: &[&str] = &[
    "\n", "/", "//", "{id}", "{*rest}", "{", "}", "{*", "{}", "{a}{b}", "x{a}", "..", ".", ";", "%3B", "%41", "%2f",
    "?", "*", "a", "/a/", "/{a}/{a}", "ä", " ",
];

/// The target.
///
/// # Panics
/// The tree finds another template than the plain reading, or parameters do not make the path again.
pub fn template(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines: Vec<&str> = text.split('\n').collect();
    let path = lines.pop().unwrap_or_default();
    let templates: Vec<PathTemplate> = lines.iter().filter_map(|line| PathTemplate::parse(line).ok()).collect();
    for template in &templates {
        assert_eq!(PathTemplate::parse(template.as_str()).as_ref(), Ok(template));
        assert!(template.as_str().starts_with('/') && template.as_str().len() <= 1024);
    }
    let Ok(path) = Canonical::parse(path.as_bytes()) else { return };
    let covering = templates.iter().filter(|template| covers(&template.shape(), path.as_str()));
    for template in covering.clone() {
        makes_again(template, path.as_str());
    }
    // derived order of segments, from the left; the first of two equal ones stays
    let winner = covering.reduce(|best, next| if next.shape() > best.shape() { next } else { best });
    let routes = templates.iter().map(|template| route(template.as_str(), "", Access::Anonymous)).collect();
    let table = HostTable::build(vec![Arc::new(policy("all", routes))], None);
    let tree = &table.enforcing().expect("a policy").tree;
    let found = tree.find(path.as_str(), Reading::AsSent).and_then(|slot| slot.route(b"GET"));
    assert_eq!(found.map(|place| place.route.template.as_str()), winner.map(PathTemplate::as_str), "{}", path.as_str());
}

fn covers(shape: &[Segment<'_>], path: &str) -> bool {
    let segments: Vec<&str> = path[1..].split('/').collect();
    let fits = |shape: &Segment<'_>, segment: &str| match shape {
        Segment::Literal(text) => **text == *segment,
        Segment::Param => !segment.is_empty(),
        Segment::Rest => true,
    };
    let length = match shape.last() {
        Some(Segment::Rest) => segments.len() >= shape.len(),
        Some(Segment::Param | Segment::Literal(_)) | None => segments.len() == shape.len(),
    };
    length && shape.iter().zip(segments).all(|(shape, segment)| fits(shape, segment))
}

fn makes_again(template: &PathTemplate, path: &str) {
    let mut text = template.as_str().to_owned();
    for (name, value) in template.params(path) {
        let marks = [format!("{{{name}}}"), format!("{{*{name}}}")];
        let mark = marks.iter().find(|mark| text.contains(mark.as_str())).expect("a parameter of the template");
        // a value holds no braces that could be taken for another parameter
        text = text.replacen(mark.as_str(), &value.replace('{', "\u{1}").replace('}', "\u{2}"), 1);
    }
    assert_eq!(text.replace('\u{1}', "{").replace('\u{2}', "}"), path);
}
