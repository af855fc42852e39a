//! How long each key counts: a day after it was last listed, an hour after it was first missed. Pure.

use crate::clock::UnixTime;
use crate::token::KeySet;

use super::schedule::{Timing, seconds};

/// The keys that count from `now` on, given what counted so far and what a good answer lists.
///
/// A listed key replaces one of the same id. A key that is missed keeps the earlier of its two ends, so that being
/// missed again gains nothing.
pub(super) fn carry(former: Option<&KeySet>, listed: &KeySet, (now, timing): (UnixTime, &Timing)) -> KeySet {
    let fresh = now.plus(seconds(timing.lifetime));
    let ending = now.plus(seconds(timing.grace));
    let seen = listed.iter().map(|(kid, key)| {
        let mut key = key.clone();
        key.valid_until = fresh;
        (Box::from(kid), key)
    });
    let missed = former
        .into_iter()
        .flat_map(KeySet::iter)
        .filter(|(kid, key)| now < key.valid_until && listed.iter().all(|(other, _)| other != *kid))
        .map(|(kid, key)| {
            let mut key = key.clone();
            key.valid_until = key.valid_until.min(ending);
            (Box::from(kid), key)
        });
    KeySet::new(seen.chain(missed))
}

/// When the last of the keys stops to count.
pub(super) fn end(keys: &KeySet) -> UnixTime {
    let ends = keys.iter().map(|(_, key)| key.valid_until);
    ends.max().unwrap_or_default()
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers of a test")]
mod tests {
    use super::{carry, end};
    use crate::clock::UnixTime;
    use crate::entra::schedule::Timing;
    use crate::token::{KeySet, jwks};
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;
    use serde_json::json;

    const HOUR: i64 = 3600;
    const DAY: i64 = 24 * HOUR;

    /// Keys of these ids; `mark` makes the material differ.
    fn keys(kids: &[u8], mark: u8) -> KeySet {
        let element = |kid: &u8| {
            let n = URL_SAFE_NO_PAD.encode([0x80 | mark; 256]);
            json!({"kty": "RSA", "kid": kid.to_string(), "n": n, "e": "AQAB"})
        };
        if kids.is_empty() {
            return KeySet::default();
        }
        let elements: Vec<_> = kids.iter().map(element).collect();
        let document = json!({ "keys": elements }).to_string();
        jwks::parse(document.as_bytes()).unwrap().keys
    }

    fn step(former: &KeySet, listed: &KeySet, now: i64) -> KeySet {
        carry(Some(former), listed, (UnixTime(now), &Timing::default()))
    }

    fn counts(keys: &KeySet, kid: u8, now: i64) -> bool {
        keys.find(&kid.to_string(), UnixTime(now)).is_some()
    }

    #[test]
    fn a_key_counts_for_a_day_after_it_was_last_listed() {
        let first = carry(None, &keys(&[1], 0), (UnixTime(0), &Timing::default()));
        assert!(counts(&first, 1, DAY - 1) && !counts(&first, 1, DAY));
        let second = step(&first, &keys(&[1], 0), HOUR);
        assert!(counts(&second, 1, DAY + HOUR - 1) && !counts(&second, 1, DAY + HOUR));
        assert_eq!(end(&second), UnixTime(DAY + HOUR));
    }

    #[test]
    fn a_removed_key_counts_for_an_hour() {
        let first = step(&KeySet::default(), &keys(&[1, 2], 0), 0);
        let second = step(&first, &keys(&[2], 0), HOUR);
        assert!(counts(&second, 1, 2 * HOUR - 1) && !counts(&second, 1, 2 * HOUR));
        let third = step(&second, &keys(&[2], 0), 2 * HOUR - 1);
        assert!(!counts(&third, 1, 2 * HOUR), "missed again, nothing gained");
        assert_eq!(step(&third, &keys(&[2], 0), 3 * HOUR).len(), 1);
    }

    #[test]
    fn the_grace_of_an_hour_never_outlives_the_day() {
        let first = step(&KeySet::default(), &keys(&[1], 0), 0);
        let second = step(&first, &keys(&[2], 0), DAY - 60);
        assert!(counts(&second, 1, DAY - 1) && !counts(&second, 1, DAY));
    }

    #[test]
    fn a_key_that_comes_back_counts_as_listed() {
        let first = step(&KeySet::default(), &keys(&[1, 2], 0), 0);
        let second = step(&first, &keys(&[2], 0), HOUR);
        let third = step(&second, &keys(&[1], 0), HOUR + 60);
        assert!(counts(&third, 1, DAY));
    }

    #[test]
    fn other_material_under_the_same_id_replaces_the_former() {
        let first = step(&KeySet::default(), &keys(&[1], 0), 0);
        let listed = keys(&[1], 1);
        let second = step(&first, &listed, HOUR);
        let of = |keys: &KeySet| *keys.find("1", UnixTime(HOUR)).unwrap().fingerprint();
        assert_eq!(of(&second), of(&listed));
        assert_ne!(of(&second), of(&first));
    }

    #[test]
    fn no_key_has_no_end_in_the_future() {
        assert_eq!(end(&KeySet::default()), UnixTime(0));
    }

    proptest! {
        #[test]
        fn a_key_counts_only_if_listed_lately_enough(
            answers in prop::collection::vec((1_i64..30 * HOUR, prop::collection::btree_set(0_u8..4, 0..4)), 1..12),
            later in 0_i64..30 * HOUR,
        ) {
            let (mut held, mut now) = (KeySet::default(), 0);
            let (mut seen, mut missed) = ([None; 4], [None; 4]);
            for (pause, listed) in answers {
                now += pause;
                let kids: Vec<u8> = listed.iter().copied().collect();
                held = step(&held, &keys(&kids, 0), now);
                for kid in 0..4_u8 {
                    let at = usize::from(kid);
                    if listed.contains(&kid) {
                        (seen[at], missed[at]) = (Some(now), None);
                    } else if missed[at].is_none() {
                        missed[at] = Some(now);
                    }
                }
            }
            let then = now + later;
            for kid in 0..4_u8 {
                let at = usize::from(kid);
                let fresh = seen[at].is_some_and(|seen| then < seen + DAY);
                let spared = missed[at].is_none_or(|missed| then < missed + HOUR);
                prop_assert_eq!(counts(&held, kid, then), fresh && spared);
            }
        }
    }
}
