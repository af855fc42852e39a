//! GUIDs: random ones, and ones that follow from names, so that the same caller has the same object id in every run.

use aws_lc_rs::{digest, rand};

/// A random GUID (RFC 9562 §5.4).
pub(super) fn random() -> String {
    let mut bytes = [0; 16];
    // A generator that fails leaves zeros: still a GUID, and only ever a trace id.
    let filled = rand::fill(&mut bytes);
    tracing::trace!(ok = filled.is_ok(), "drew a guid");
    format(bytes, 4)
}

/// The GUID that follows from these words (RFC 9562 §5.8).
pub(super) fn derived(words: &[&str]) -> String {
    let mut bytes = [0; 16];
    let digest = digest::digest(&digest::SHA256, words.join("\n").as_bytes());
    for (byte, hashed) in bytes.iter_mut().zip(digest.as_ref()) {
        *byte = *hashed;
    }
    format(bytes, 8)
}

fn format(bytes: [u8; 16], version: u128) -> String {
    let value = u128::from_be_bytes(bytes);
    let value = (value & !(0xf << 76)) | (version << 76);
    let value = (value & !(0x3 << 62)) | (0x2 << 62);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        value >> 96,
        (value >> 80) & 0xffff,
        (value >> 64) & 0xffff,
        (value >> 48) & 0xffff,
        value & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::{derived, random};
    use crate::identity::Guid;

    #[test]
    fn guids_are_canonical_and_of_their_version() {
        for (guid, version) in [(random(), "4"), (derived(&["a", "b"]), "8")] {
            assert!(Guid::parse(&guid).is_some(), "{guid}");
            assert_eq!(guid.get(14..15), Some(version));
            assert!("89ab".contains(guid.get(19..20).unwrap()));
        }
    }

    #[test]
    fn the_same_words_give_the_same_guid() {
        assert_eq!(derived(&["a", "b"]), derived(&["a", "b"]));
        assert_ne!(derived(&["a", "b"]), derived(&["b", "a"]));
        assert_ne!(random(), random());
    }
}
