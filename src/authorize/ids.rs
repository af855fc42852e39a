//! Decision ids: unique across processes and restarts, cheap to make.
//!
//! The upper half is random per process, the lower half counts. They identify, they do not authenticate.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use super::decision::DecisionId;

/// Makes decision ids.
#[derive(Debug)]
pub struct DecisionIds {
    process: u64,
    next: AtomicU64,
}

impl Default for DecisionIds {
    fn default() -> Self {
        Self { process: RandomState::new().hash_one(std::process::id()), next: AtomicU64::new(1) }
    }
}

impl DecisionIds {
    /// The next id.
    pub fn next(&self) -> DecisionId {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        DecisionId::new((u128::from(self.process) << 64) | u128::from(count))
    }
}

#[cfg(test)]
mod tests {
    use super::DecisionIds;

    #[test]
    fn ids_of_one_process_share_a_half_and_never_repeat() {
        let ids = DecisionIds::default();
        let (first, second) = (ids.next(), ids.next());
        assert_ne!(first, second);
        assert_eq!(first.as_str().get(..16), second.as_str().get(..16));
    }
}
