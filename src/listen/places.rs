//! How many connections a listener keeps: so many in all, and no more than a share of them from one address.
//!
//! What finds no place is closed at once. It could wait in the system's queue instead, but there it would look like a
//! connection: whoever asks would wait for an answer until its own deadline, behind all those that came earlier, and its
//! address cannot be known before it is accepted. A connection that is closed is a refusal within a moment, after which
//! a proxy tries again, and each attempt has the same chance.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One peer may have one of so many parts of the places.
const PARTS: usize = 4;

/// The places of one listener.
#[derive(Debug)]
pub struct Places {
    most: usize,
    share: usize,
    taken: Mutex<Taken>,
    refused: AtomicU64,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// By address; those with none are not here.
    peers: HashMap<IpAddr, usize>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// For anybody.
    All(usize),
    /// For this peer.
    Share(usize),
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(most) => write!(f, "all {most} places of this listener are taken"),
            Self::Share(share) => write!(f, "its address has its share of {share} places of this listener"),
        }
    }
}

impl Places {
    /// So many places.
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        let share = most.div_ceil(PARTS);
        Arc::new(Self { most, share, taken: Mutex::default(), refused: AtomicU64::new(0) })
    }

    /// A place for a connection from this address. Whoever comes over a Unix socket has none: they share all places.
    ///
    /// # Errors
    /// All are taken, or as many as one peer may have.
    pub fn take(self: &Arc<Self>, peer: Option<IpAddr>) -> Result<Place, Full> {
        // an IPv4 peer of a socket that listens on `[::]` is the same one
        let peer = peer.map(|peer| peer.to_canonical());
        let full = self.lock().add(peer, (self.most, self.share));
        if let Some(full) = full {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(full);
        }
        Ok(Place { places: Arc::clone(self), peer })
    }

    /// Places that are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.lock().all
    }

    /// Connections that found no place so far.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Held for a few instructions, when a connection begins and when it ends.
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn add(&mut self, peer: Option<IpAddr>, (most, share): (usize, usize)) -> Option<Full> {
        if self.all >= most {
            return Some(Full::All(most));
        }
        if let Some(peer) = peer {
            let has = self.peers.get(&peer).copied().unwrap_or(0);
            if has >= share {
                return Some(Full::Share(share));
            }
            self.peers.insert(peer, has.saturating_add(1));
        }
        self.all = self.all.saturating_add(1);
        None
    }

    fn remove(&mut self, peer: Option<IpAddr>) {
        self.all = self.all.saturating_sub(1);
        let Some(peer) = peer else { return };
        match self.peers.get_mut(&peer) {
            Some(has) if *has > 1 => *has = has.saturating_sub(1),
            // one who is gone is forgotten: there are many addresses
            Some(_) | None => drop(self.peers.remove(&peer)),
        }
    }
}

/// The place of one connection, free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    peer: Option<IpAddr>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().remove(self.peer);
    }
}

#[cfg(test)]
mod tests {
    use super::{Full, Places};
    use std::net::IpAddr;

    fn peer(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn one_peer_has_a_quarter_and_all_together_no_more_than_all() {
        let places = Places::new(8);
        let mut held = Vec::new();
        for (address, other) in [("10.0.0.1", "::ffff:10.0.0.1"), ("10.0.0.2", "10.0.0.2"), ("fd00::1", "fd00::1")] {
            held.extend([places.take(peer(address)).unwrap(), places.take(peer(other)).unwrap()]);
            assert_eq!(places.take(peer(address)).unwrap_err(), Full::Share(2));
        }
        held.extend([places.take(peer("fd00::2")).unwrap(), places.take(None).unwrap()]);
        assert_eq!(places.take(peer("10.0.0.4")).unwrap_err(), Full::All(8));
        assert_eq!(places.take(None).unwrap_err(), Full::All(8));
        assert_eq!((places.taken(), places.refused()), (8, 5));
    }

    #[test]
    fn a_place_is_free_again_and_who_is_gone_is_forgotten() {
        let places = Places::new(8);
        let two = [places.take(peer("10.0.0.1")).unwrap(), places.take(peer("10.0.0.1")).unwrap()];
        let [first, second] = two;
        drop(first);
        let third = places.take(peer("10.0.0.1")).unwrap();
        assert!(places.take(peer("10.0.0.1")).is_err());
        drop((second, third));
        assert_eq!(places.taken(), 0);
        assert!(places.lock().peers.is_empty());
    }

    #[test]
    fn a_socket_knows_no_peers_and_the_smallest_share_is_one() {
        let places = Places::new(3);
        let held = [None; 3].map(|nobody| places.take(nobody).unwrap());
        drop(held);
        let one = places.take(peer("10.0.0.1")).unwrap();
        assert_eq!(places.take(peer("10.0.0.1")).unwrap_err(), Full::Share(1));
        drop(one);
    }
}
