//! A complaint that a peer can cause as often as it likes: told at once, then at most every few seconds with a count.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Between two lines in the log.
pub(super) const PAUSE: Duration = Duration::from_secs(10);

/// When it was told, and how often it was not.
#[derive(Debug, Default)]
pub(super) struct Notice(Mutex<(Option<Instant>, u64)>);

impl Notice {
    /// Takes note of one more. `Some` if the last line is so old, with the number of those that were not told since.
    pub(super) fn due(&self, pause: Duration) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (told, untold) = *state;
        if told.is_some_and(|told| told.elapsed() < pause) {
            *state = (told, untold.saturating_add(1));
            return None;
        }
        *state = (Some(Instant::now()), 0);
        Some(untold)
    }
}

#[cfg(test)]
mod tests {
    use super::Notice;
    use std::time::Duration;

    #[test]
    fn the_first_is_told_and_then_a_count_after_a_pause() {
        let (notice, long) = (Notice::default(), Duration::from_secs(3600));
        assert_eq!(notice.due(long), Some(0));
        assert_eq!([notice.due(long), notice.due(long)], [None; 2]);
        assert_eq!(notice.due(Duration::ZERO), Some(2));
        assert_eq!(notice.due(long), None);
        assert_eq!(notice.due(Duration::ZERO), Some(1));
    }
}
