//! File descriptors: how many this process may have, and how many of them connections may take.
//!
//! Whoever asks for decisions must not be able to take those that the rest needs: the admin port, on which it is seen that
//! the process lives, the sources of policies and keys, the audit log.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::listen::gate::Bounds;

/// For everything but connections: ports, watches, files, requests of our own.
const REST: usize = 64;
/// A listener that kept fewer could not be used.
const FEWEST: usize = 4;

/// What the connections of each of so many listeners may take, if `wanted` of them are to be kept.
pub(super) fn bounds(wanted: usize, listeners: usize) -> Bounds {
    Bounds { connections: connections(wanted, listeners), ..Bounds::default() }
}

/// How many connections each of so many listeners may keep, out of `wanted`.
fn connections(wanted: usize, listeners: usize) -> usize {
    let limit = raised();
    let each = shared(limit, listeners).min(wanted);
    if each < wanted {
        tracing::warn!(
            wanted,
            connections = each,
            open_files = limit,
            "each listener keeps fewer connections than wanted; raise the limit on open files"
        );
    }
    each
}

/// The limit on open files, after it was raised as far as everybody may.
fn raised() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // a limit that cannot be raised is the limit
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    let limit = if raised { maximum } else { current };
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}

fn shared(limit: usize, listeners: usize) -> usize {
    let left = limit.saturating_sub(Bounds::ADMIN.connections).saturating_sub(REST);
    left.checked_div(listeners).unwrap_or(left).max(FEWEST)
}

#[cfg(test)]
mod tests {
    use super::{connections, shared};

    #[test]
    fn what_the_rest_needs_is_kept_for_it() {
        assert_eq!(shared(1024, 1), 896);
        assert_eq!(shared(256, 2), 64);
        assert_eq!(shared(128, 1), 4);
        assert_eq!(shared(0, 3), 4);
    }

    #[test]
    fn no_more_than_wanted() {
        assert_eq!(connections(4, 1), 4);
    }
}
