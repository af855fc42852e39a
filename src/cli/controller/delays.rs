//! Objects whose status could not be written: each waits on its own, longer each time. Pure.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::api::object::ObjectId;

/// After the first failure.
const SHORTEST: Duration = Duration::from_millis(500);
/// Doublings of that, at most: 32 seconds.
const DOUBLINGS: u32 = 6;

/// Objects that wait.
#[derive(Debug, Default)]
pub(super) struct Delays(HashMap<ObjectId, Delay>);

#[derive(Debug)]
struct Delay {
    failures: u32,
    until: Instant,
}

impl Delays {
    /// Its status could not be written, once more.
    pub(super) fn hold(&mut self, id: ObjectId, now: Instant) {
        let delay = self.0.entry(id).or_insert(Delay { failures: 0, until: now });
        let pause = SHORTEST.saturating_mul(1_u32.checked_shl(delay.failures.min(DOUBLINGS)).unwrap_or(1));
        delay.failures = delay.failures.saturating_add(1);
        delay.until = now.checked_add(pause).unwrap_or(now);
    }

    /// Whether it waits.
    pub(super) fn holds(&self, id: &ObjectId, now: Instant) -> bool {
        self.0.get(id).is_some_and(|delay| now < delay.until)
    }

    /// Its status was written.
    pub(super) fn forget(&mut self, id: &ObjectId) {
        self.0.remove(id);
    }

    /// Forgets all others.
    pub(super) fn retain(&mut self, wanted: impl Fn(&ObjectId) -> bool) {
        self.0.retain(|id, _| wanted(id));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Delays;
    use crate::api::object::{Kind, ObjectId};

    #[test]
    fn one_waits_longer_each_time_and_no_other_does() {
        let id = |name: &str| ObjectId { kind: Kind::AccessPolicy, namespace: "shop".into(), name: name.into() };
        let (mut delays, mut now, mut pauses) = (Delays::default(), Instant::now(), Vec::new());
        for _ in 0..9 {
            delays.hold(id("hammered"), now);
            assert!(!delays.holds(&id("calm"), now));
            let began = now;
            while delays.holds(&id("hammered"), now) {
                now += Duration::from_millis(500);
            }
            pauses.push((now - began).as_secs_f64());
        }
        assert_eq!(pauses, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 32.0, 32.0]);
        delays.forget(&id("hammered"));
        delays.hold(id("hammered"), now);
        assert!(!delays.holds(&id("hammered"), now + Duration::from_millis(500)));
        delays.retain(|_| false);
        assert!(!delays.holds(&id("hammered"), now));
    }
}
