//! When a source may be asked again: the intervals, their jitter, and the budget that unknown key ids draw from.
//!
//! Pure: takes the time and the dice as arguments.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::UnixTime;

/// Most unknown key ids remembered for one source.
const MOST_ABSENT: usize = 1000;
/// Longest key id that a key document may list, in bytes; a longer one is never worth a question.
const LONGEST_KID: usize = 256;

/// The intervals. The defaults follow Microsoft's "Signing key rollover"; what is stricter is our own choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between two questions in the background, ±10 %. An hour.
    pub refresh: Duration,
    /// How long a key counts after it was last seen. A day.
    pub lifetime: Duration,
    /// How long a key counts after it was first missed: removal can mean that it was stolen. An hour.
    pub grace: Duration,
    /// Between two questions that requests cause, and after a failure. Five minutes.
    pub pause: Duration,
    /// After the first failure; doubles with each further one. A second.
    pub retry_first: Duration,
    /// The longest such wait. Five minutes.
    pub retry_last: Duration,
    /// How long a request waits for a question that it causes. Two seconds.
    pub patience: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let minutes = |count: u64| Duration::from_secs(count.saturating_mul(60));
        Self {
            refresh: minutes(60),
            lifetime: minutes(24 * 60),
            grace: minutes(60),
            pause: minutes(5),
            retry_first: Duration::from_secs(1),
            retry_last: minutes(5),
            patience: Duration::from_secs(2),
        }
    }
}

impl Timing {
    /// How long to wait in the background after `failures` failures in a row; `dice` is in 0..1.
    pub(super) fn delay(&self, failures: u32, dice: f64) -> Duration {
        if failures == 0 {
            return self.refresh.mul_f64(0.2_f64.mul_add(dice, 0.9));
        }
        let doublings = failures.saturating_sub(1).min(30);
        let longest = self.retry_first.saturating_mul(1 << doublings);
        longest.min(self.retry_last).mul_f64(0.5_f64.mul_add(dice, 0.5))
    }
}

/// A duration in whole seconds.
pub(super) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// May a request cause a question? Yes, if the last one so caused began, and the last failure happened, long enough ago.
///
/// Questions in the background that succeed draw nothing: a key that is rotated in right after one of them must not
/// wait. They are few, and no request can cause them.
#[derive(Debug, Default)]
pub(super) struct Budget {
    drawn: Option<UnixTime>,
    /// Key ids that a good answer did not list, oldest first, and until when that counts.
    absent: VecDeque<(UnixTime, Box<str>)>,
}

impl Budget {
    /// Draws one question for `kid`, if there is one to draw.
    pub(super) fn draw(&mut self, kid: &str, (now, pause): (UnixTime, Duration)) -> bool {
        self.forget(now, pause);
        let resting = self.drawn.is_some_and(|drawn| within(drawn, now, pause));
        if resting || kid.len() > LONGEST_KID || self.absent.iter().any(|(_, gone)| **gone == *kid) {
            return false;
        }
        self.drawn = Some(now);
        true
    }

    /// A question, whoever caused it, failed.
    pub(super) const fn fail(&mut self, now: UnixTime) {
        self.drawn = Some(now);
    }

    /// A good answer did not list this key id.
    pub(super) fn miss(&mut self, kid: Box<str>, (now, pause): (UnixTime, Duration)) {
        if self.absent.len() >= MOST_ABSENT {
            self.absent.pop_front();
        }
        self.absent.push_back((now.plus(seconds(pause)), kid));
    }

    fn forget(&mut self, now: UnixTime, pause: Duration) {
        // The second condition is for clocks that were set back.
        let lately = now.plus(seconds(pause));
        self.absent.retain(|(until, _)| now < *until && *until <= lately);
    }
}

/// Whether `then` is less than `pause` before `now`. A time in the future was told by a clock that was set back since.
fn within(then: UnixTime, now: UnixTime, pause: Duration) -> bool {
    (0..seconds(pause)).contains(&now.since(then))
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers of a test")]
mod tests {
    use super::{Budget, MOST_ABSENT, Timing};
    use crate::clock::UnixTime;
    use proptest::prelude::*;
    use std::time::Duration;

    const PAUSE: Duration = Duration::from_secs(300);

    fn at(second: i64) -> (UnixTime, Duration) {
        (UnixTime(1_000_000 + second), PAUSE)
    }

    #[test]
    fn ten_thousand_key_ids_draw_once() {
        let mut budget = Budget::default();
        let drawn = (0..10_000).filter(|kid| budget.draw(&kid.to_string(), at(kid / 40)));
        assert_eq!(drawn.count(), 1);
    }

    #[test]
    fn a_failure_rests_the_budget() {
        let mut budget = Budget::default();
        budget.fail(at(0).0);
        assert!(!budget.draw("a", at(299)));
        assert!(budget.draw("a", at(300)));
    }

    #[test]
    fn a_missed_key_id_draws_nothing_until_that_is_forgotten() {
        let mut budget = Budget::default();
        budget.miss("gone".into(), at(0));
        assert!(!budget.draw("gone", at(299)));
        assert!(budget.draw("other", at(299)));
        assert!(budget.draw("gone", at(599)));
    }

    #[test]
    fn memory_of_missed_key_ids_is_bounded() {
        let mut budget = Budget::default();
        for kid in 0..5000 {
            budget.miss(kid.to_string().into(), at(0));
        }
        assert_eq!(budget.absent.len(), MOST_ABSENT);
        assert!(!budget.draw("4999", at(1)));
        assert!(!budget.draw(&"x".repeat(257), at(1)));
    }

    #[test]
    fn a_clock_set_back_does_not_rest_the_budget_for_long() {
        let mut budget = Budget::default();
        assert!(budget.draw("a", at(0)));
        budget.miss("a".into(), at(0));
        assert!(budget.draw("a", at(-86_400)));
    }

    #[test]
    fn failures_wait_longer_and_longer() {
        let timing = Timing::default();
        let longest: Vec<u64> = (1..12).map(|failures| timing.delay(failures, 1.0).as_secs()).collect();
        assert_eq!(longest, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(timing.delay(u32::MAX, 1.0).as_secs(), 300);
    }

    proptest! {
        #[test]
        fn waits_stay_within_their_jitter(failures in 0_u32..100, dice in 0.0_f64..1.0) {
            let timing = Timing::default();
            let wait = timing.delay(failures, dice);
            if failures == 0 {
                prop_assert!((3240..=3960).contains(&wait.as_secs()));
            } else {
                prop_assert!(wait >= timing.retry_first / 2 && wait <= timing.retry_last);
            }
        }

        #[test]
        fn draws_are_never_closer_than_the_pause(
            steps in prop::collection::vec((0_i64..200, 0_u8..4, any::<bool>()), 1..100)
        ) {
            let (mut budget, mut second, mut last) = (Budget::default(), 0, None);
            for (step, kid, fails) in steps {
                second += step;
                if budget.draw(&kid.to_string(), at(second)) {
                    prop_assert!(last.is_none_or(|last| second - last >= 300));
                    last = Some(second);
                } else if fails {
                    budget.fail(at(second).0);
                    last = Some(second);
                }
            }
        }
    }
}
