//! Telling the other replicas of the data planes here, and hearing of theirs.
//!
//! Whoever does not hold the lease tells; whoever holds it listens. A note that does not change for a while is that of a
//! replica that is gone: its data planes are elsewhere by then, and the note is taken away.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::cluster::board::{Board, Notes};
use crate::delivery::roster::Roster;
use crate::delivery::view::Catalogue;

use super::peers::{Summaries, Summary};

/// What comes together is told together.
const GATHER: Duration = Duration::from_millis(500);
/// A replica tells that it is alive.
const BEAT: Duration = Duration::from_secs(5);
/// One that has not for so long is gone.
const SILENCE: Duration = Duration::from_secs(20);
/// Between two looks at the board.
const LOOK: Duration = Duration::from_secs(1);
/// For one request.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest note, in bytes; a ConfigMap holds 1 MiB.
const LONGEST: usize = 256 << 10;

/// A note as it is written.
#[derive(Serialize, Deserialize)]
struct Note {
    /// Counts, so that a note that says the same is another one.
    beat: u64,
    #[serde(flatten)]
    summary: Summary,
}

/// One replica at the board.
pub(super) struct Replica {
    pub(super) board: Board,
    pub(super) identity: String,
    pub(super) roster: Arc<Roster>,
    pub(super) catalogue: watch::Receiver<Option<Arc<Catalogue>>>,
    pub(super) leader: watch::Receiver<bool>,
}

impl Replica {
    /// Tells or listens, whichever is due, until told to stop.
    pub(super) async fn run(mut self, heard: watch::Sender<Arc<Summaries>>, stop: CancellationToken) {
        tokio::select! {
            () = async { loop { self.turn(&heard).await } } => {}
            () = stop.cancelled() => {}
        }
        if !*self.leader.borrow() {
            let (Ok(_) | Err(_)) = timeout(PATIENCE, self.board.leave(&self.identity, None)).await;
        }
    }

    /// One time of telling, then one of listening.
    async fn turn(&mut self, heard: &watch::Sender<Arc<Summaries>>) {
        let mut leader = self.leader.clone();
        let lead = async { leader.wait_for(|leads| *leads).await.map(drop) };
        tokio::select! {
            led = lead => if led.is_err() { return std::future::pending().await },
            () = self.tell() => {}
        }
        let mut leader = self.leader.clone();
        let follow = async { leader.wait_for(|leads| !leads).await.map(drop) };
        tokio::select! {
            followed = follow => if followed.is_err() { return std::future::pending().await },
            () = self.listen(heard) => {}
        }
        heard.send_replace(Arc::default());
    }

    /// Tells for ever.
    async fn tell(&mut self) {
        let (mut told, mut beat): (Option<(Summary, Instant)>, u64) = (None, 0);
        let mut news = self.roster.news();
        loop {
            let catalogue = self.catalogue.borrow_and_update().clone();
            if let Some(catalogue) = catalogue {
                let summary = block_in_place(|| Summary::of(&catalogue, self.roster.all()));
                let due = |(known, at): &(Summary, Instant)| *known != summary || at.elapsed() >= BEAT;
                if told.as_ref().is_none_or(due) {
                    beat = beat.wrapping_add(1);
                    told = self.write(&summary, beat).await.then(|| (summary, Instant::now()));
                }
            }
            tokio::select! {
                () = sleep(BEAT) => {}
                changed = news.changed() => drop(changed),
                changed = self.catalogue.changed() => drop(changed),
            }
            sleep(GATHER).await;
        }
    }

    async fn write(&self, summary: &Summary, beat: u64) -> bool {
        let text = |summary: Summary| serde_json::to_string(&Note { beat, summary }).unwrap_or_default();
        let mut note = text(summary.clone());
        if note.len() > LONGEST {
            let planes = summary.planes();
            tracing::warn!(code = "planes_uncounted", planes, "too many to tell of: statuses do not count those here");
            note = text(summary.silent());
        }
        match timeout(PATIENCE, self.board.leave(&self.identity, Some(&note))).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!(code = "board_failed", %error, "statuses do not count the data planes of this replica");
                false
            }
            Err(_) => false,
        }
    }

    /// Listens for ever.
    async fn listen(&self, heard: &watch::Sender<Arc<Summaries>>) {
        let mut seen = BTreeMap::new();
        loop {
            match timeout(PATIENCE, self.board.read()).await {
                Ok(Ok(notes)) => {
                    let (alive, gone) = sorted(notes, (&mut seen, Instant::now()));
                    let alive: Summaries = alive.into_iter().filter(|(replica, _)| *replica != self.identity).collect();
                    heard.send_if_modified(|known| {
                        let changed = **known != alive;
                        *known = Arc::new(alive);
                        changed
                    });
                    for replica in gone {
                        let (Ok(_) | Err(_)) = timeout(PATIENCE, self.board.leave(&replica, None)).await;
                    }
                }
                Ok(Err(error)) => {
                    tracing::warn!(code = "board_failed", %error, "statuses count this replica's data planes")
                }
                Err(_) => {}
            }
            sleep(LOOK).await;
        }
    }
}

/// Those that are alive, and those whose note has not changed for too long. `seen`: each note, and since when it is so.
fn sorted(notes: Notes, (seen, now): (&mut BTreeMap<String, (String, Instant)>, Instant)) -> (Summaries, Vec<String>) {
    seen.retain(|replica, _| notes.contains_key(replica));
    let (mut alive, mut gone) = (Summaries::new(), Vec::new());
    for (replica, text) in notes {
        let since = match seen.get(&replica) {
            Some((known, since)) if *known == text => *since,
            Some(_) | None => now,
        };
        let note = serde_json::from_str::<Note>(&text);
        seen.insert(replica.clone(), (text, since));
        match note {
            _ if now.duration_since(since) > SILENCE => gone.push(replica),
            Ok(note) => drop(alive.insert(replica, note.summary)),
            Err(error) => tracing::warn!(code = "board_failed", replica, %error, "a note that cannot be read"),
        }
    }
    (alive, gone)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::{SILENCE, sorted};
    use tokio::time::Instant;

    #[test]
    fn a_replica_whose_note_stands_still_is_gone() {
        let (start, mut seen) = (Instant::now(), BTreeMap::new());
        let note = |beat: u64| format!(r#"{{"beat": {beat}, "digest": "0"}}"#);
        let second = Duration::from_secs(1);
        for (after, beats, alive, gone) in [
            (Duration::ZERO, [1, 1], 2, 0),
            (SILENCE, [1, 2], 2, 0),
            (SILENCE + second, [1, 2], 1, 1),
            (SILENCE + second, [2, 2], 2, 0),
            (SILENCE * 2 + second, [2, 2], 1, 1),
        ] {
            let notes = ["a", "b"].into_iter().zip(beats).map(|(name, beat)| (name.to_owned(), note(beat))).collect();
            let (living, dead) = sorted(notes, (&mut seen, start.checked_add(after).unwrap()));
            assert_eq!((living.len(), dead.len()), (alive, gone), "{after:?}: {beats:?}");
        }
    }
}
