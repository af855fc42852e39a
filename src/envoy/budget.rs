//! Memory for messages that come in pieces, shared by all calls: a peer that begins many large ones gets refusals, and
//! the process stays.

use std::sync::atomic::{AtomicUsize, Ordering};

/// So many bytes may be held at a time.
#[derive(Debug)]
pub(super) struct Budget {
    most: usize,
    held: AtomicUsize,
}

/// What one call holds; given back when dropped.
#[derive(Debug)]
pub(super) struct Lease<'a> {
    budget: &'a Budget,
    held: usize,
}

impl Budget {
    /// A budget of `most` bytes.
    pub(super) const fn new(most: usize) -> Self {
        Self { most, held: AtomicUsize::new(0) }
    }

    /// A lease of nothing yet.
    pub(super) const fn lease(&self) -> Lease<'_> {
        Lease { budget: self, held: 0 }
    }
}

impl Lease<'_> {
    /// Makes the lease one of `bytes` in all; whether the budget allows that.
    pub(super) fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.held);
        let before = self.budget.held.fetch_add(more, Ordering::Relaxed);
        self.held = self.held.saturating_add(more);
        before.saturating_add(more) <= self.budget.most
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.held, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Budget;

    #[test]
    fn what_is_given_back_can_be_had_again() {
        let budget = Budget::new(100);
        let (mut one, mut two) = (budget.lease(), budget.lease());
        assert!(one.grow_to(40) && one.grow_to(60) && two.grow_to(40));
        assert!(!two.grow_to(41));
        drop(two);
        assert!(one.grow_to(100) && !one.grow_to(101));
        drop(one);
        assert!(budget.lease().grow_to(100));
    }
}
