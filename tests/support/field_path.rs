//! Field paths as they are printed, read back.

use entrance::api::field_path::FieldPath;

/// The path `text`: `spec.routes[0].path`. No name in it may hold a dot or a bracket.
pub(crate) fn path(text: &str) -> FieldPath {
    text.split(['.', '[']).filter(|step| !step.is_empty()).fold(FieldPath::root(), |path, step| {
        match step.strip_suffix(']').and_then(|index| index.parse().ok()) {
            Some(index) => path.index(index),
            None => path.field(step),
        }
    })
}
