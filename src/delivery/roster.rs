//! Who subscribes at the moment, and which versions each one acknowledged: the ground for `Programmed` in a status.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::claims::Versions;
use super::session::Session;
use super::view::Audience;

/// All subscribers.
#[derive(Debug)]
pub struct Roster {
    planes: Mutex<Planes>,
    news: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Planes {
    next: u64,
    all: BTreeMap<u64, Arc<Plane>>,
}

/// One data plane.
#[derive(Clone, Debug)]
pub struct Plane {
    /// Who it is: `pod shop/orders-7f9`, `shop/default`.
    pub name: Arc<str>,
    /// What it sees.
    pub audience: Audience,
    /// What it acknowledged, by name.
    pub held: Versions,
    /// What it refused, by name, and why.
    pub refused: BTreeMap<Arc<str>, Arc<str>>,
}

impl Default for Roster {
    fn default() -> Self {
        Self { planes: Mutex::default(), news: watch::Sender::new(0) }
    }
}

impl Roster {
    /// Enters a data plane for as long as the entry is kept.
    #[must_use]
    pub fn enter(self: &Arc<Self>, name: &str, audience: &Audience) -> Entry {
        let plane =
            Plane { name: name.into(), audience: audience.clone(), held: Versions::new(), refused: BTreeMap::new() };
        let mut planes = self.planes();
        planes.next = planes.next.saturating_add(1);
        let id = planes.next;
        planes.all.insert(id, Arc::new(plane.clone()));
        drop(planes);
        self.tell();
        Entry { roster: Arc::clone(self), id, plane }
    }

    /// All data planes that are there.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Plane>> {
        self.planes().all.values().cloned().collect()
    }

    /// Changes whenever a data plane comes, goes, acknowledges or refuses.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    fn tell(&self) {
        self.news.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn planes(&self) -> MutexGuard<'_, Planes> {
        self.planes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A data plane that is there. Dropping it takes it off the roster.
#[derive(Debug)]
pub struct Entry {
    roster: Arc<Roster>,
    id: u64,
    plane: Plane,
}

impl Entry {
    /// Notes what the session knows now.
    pub fn note(&mut self, session: &Session) {
        self.plane.held = session.held().map(|(name, version)| (Arc::clone(name), Arc::clone(version))).collect();
        self.plane.refused = session.refused().map(|(name, why)| (Arc::clone(name), Arc::clone(why))).collect();
        self.roster.planes().all.insert(self.id, Arc::new(self.plane.clone()));
        self.roster.tell();
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.roster.planes().all.remove(&self.id);
        self.roster.tell();
    }
}
