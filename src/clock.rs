//! The one place that asks what time it is. Everything that decides takes a [`UnixTime`] as an argument.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Whole seconds since 1970-01-01T00:00:00Z, as JWT's NumericDate (RFC 7519 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixTime(pub i64);

impl UnixTime {
    /// This time and so many seconds more; stays at the end of time instead of wrapping.
    #[must_use]
    pub const fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Seconds from `earlier` to this time; negative if this is the earlier one.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Where the time comes from.
pub trait Clock: Send + Sync {
    /// The time of day.
    fn now(&self) -> Duration;

    /// [`Clock::now`] in whole seconds.
    fn unix(&self) -> UnixTime {
        UnixTime(i64::try_from(self.now().as_secs()).unwrap_or(i64::MAX))
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that others take")]
    fn now(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO)
    }
}

/// A clock that stands still: tests, and `check --now`.
#[derive(Clone, Copy, Debug)]
pub struct FixedClock(pub UnixTime);

impl Clock for FixedClock {
    fn now(&self) -> Duration {
        Duration::from_secs(u64::try_from(self.0.0).unwrap_or(0))
    }
}

/// A pause that is a third longer or shorter by chance, so that a herd of processes does not come back at one moment.
#[must_use]
pub fn by_chance(pause: Duration) -> Duration {
    let dice = u32::try_from(RandomState::new().hash_one(0_u8) % 67).unwrap_or(0);
    pause.saturating_mul(dice.saturating_add(67)).checked_div(100).unwrap_or(pause)
}

/// Measures how long something took; never used to decide.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts measuring.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock that others take")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
