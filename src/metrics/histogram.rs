//! A histogram with fixed buckets, for durations from microseconds to seconds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds in microseconds, and as Prometheus writes them in seconds.
pub(super) const BOUNDS: [(u64, &str); 17] = [
    (10, "0.00001"),
    (25, "0.000025"),
    (50, "0.00005"),
    (100, "0.0001"),
    (250, "0.00025"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_000_000, "2"),
];

/// Counts durations by bucket.
#[derive(Debug)]
pub(super) struct Histogram {
    buckets: [AtomicU64; BOUNDS.len()],
    beyond: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: [const { AtomicU64::new(0) }; BOUNDS.len()],
            beyond: AtomicU64::new(0),
            nanoseconds: AtomicU64::new(0),
        }
    }
}

/// A histogram as Prometheus wants it: every bucket holds those before it.
pub(super) struct Totals {
    /// In the order of [`BOUNDS`].
    pub(super) cumulative: [u64; BOUNDS.len()],
    /// All observations.
    pub(super) count: u64,
    /// Their sum in seconds.
    pub(super) sum: f64,
}

impl Histogram {
    /// Counts one duration.
    pub(super) fn observe(&self, took: Duration) {
        let bucket = BOUNDS
            .iter()
            .zip(&self.buckets)
            .find(|((bound, _), _)| took <= Duration::from_micros(*bound))
            .map_or(&self.beyond, |(_, bucket)| bucket);
        bucket.fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// Reads it. Observations that come in meanwhile may be missing in some of the numbers.
    pub(super) fn totals(&self) -> Totals {
        let mut cumulative = [0; BOUNDS.len()];
        let mut count = 0_u64;
        for (total, bucket) in cumulative.iter_mut().zip(&self.buckets) {
            count = count.saturating_add(bucket.load(Ordering::Relaxed));
            *total = count;
        }
        Totals {
            cumulative,
            count: count.saturating_add(self.beyond.load(Ordering::Relaxed)),
            sum: Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)).as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BOUNDS, Histogram};
    use std::time::Duration;

    #[test]
    fn a_duration_counts_in_its_bucket_and_in_all_above() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_micros(10));
        histogram.observe(Duration::from_micros(11));
        histogram.observe(Duration::from_secs(3));
        let totals = histogram.totals();
        assert_eq!(&totals.cumulative[..3], [1, 2, 2]);
        assert_eq!(totals.cumulative[BOUNDS.len() - 1], 2);
        assert_eq!(totals.count, 3);
        assert!((totals.sum - 3.000_021).abs() < 1e-9);
    }

    #[test]
    fn bounds_rise_and_their_names_are_the_same_in_seconds() {
        assert!(BOUNDS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (micros, name) in BOUNDS {
            let seconds: f64 = name.parse().unwrap();
            assert!((seconds * 1e6 - f64::from(u32::try_from(micros).unwrap())).abs() < 1e-6);
        }
    }
}
