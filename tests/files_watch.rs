//! A change of files is seen while the program runs, however it came about.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]

#[path = "support/shelf_world.rs"]
mod shelf_world;

use std::time::Duration;

use entrance::clock::Stopwatch;
use entrance::files::shelf::{Reading, Shelf};
use entrance::files::watch::{self, Watch};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use shelf_world::{World, policy, said};

/// Before the slow poll could see anything, even on a busy machine: what is seen by then was told by the system.
const SOON: Duration = Duration::from_secs(8);

/// A directory that is read whenever it changes.
struct Live {
    world: World,
    readings: UnboundedReceiver<Reading>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Live {
    async fn new(prepare: impl FnOnce(&World)) -> Self {
        let world = World::new();
        prepare(&world);
        Self::at(world, "").await
    }

    /// Reads the directory by this name.
    async fn at(world: World, name: &str) -> Self {
        let (sender, readings) = unbounded_channel();
        let shutdown = CancellationToken::new();
        let top = if name.is_empty() { world.top() } else { world.at(name) };
        let on_reading = move |reading| drop(sender.send(reading));
        let task = tokio::spawn(watch::run(top, shutdown.clone(), on_reading));
        Self { world, readings, shutdown, task }
    }

    /// Waits until a reading says this.
    async fn says(&mut self, expected: &[&str]) {
        let mut last = Vec::new();
        let wait = async {
            while last != expected {
                last = said(&self.readings.recv().await.unwrap());
            }
        };
        let waited = timeout(SOON, wait).await;
        assert!(waited.is_ok(), "said {last:?} at last, and not {expected:?}");
    }

    async fn end(mut self) {
        self.shutdown.cancel();
        timeout(SOON, self.task).await.unwrap().unwrap();
        // Nobody is left who could tell of another one.
        while timeout(SOON, self.readings.recv()).await.unwrap().is_some() {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_written_renamed_and_deleted_are_seen() {
    let mut live = Live::new(|world| world.write("a.yaml", policy("a", "/1"))).await;
    live.says(&["a /1"]).await;
    live.world.write("a.yaml", policy("a", "/2"));
    live.says(&["a /2"]).await;
    live.world.write("../b", policy("b", "/1"));
    live.world.rename("../b", "b.yaml");
    live.says(&["a /2", "b /1"]).await;
    live.world.write("sub/deep/c.yaml", policy("c", "/1"));
    live.says(&["a /2", "b /1", "c /1"]).await;
    live.world.write("sub/deep/c.yaml", policy("c", "/2"));
    live.says(&["a /2", "b /1", "c /2"]).await;
    live.world.write("b.yaml", "a: @");
    live.says(&[
        "a /2",
        "b /1",
        "c /2",
        "b.yaml:1:4: no plain value begins with this character; put the value in quotes",
    ])
    .await;
    live.world.remove("b.yaml");
    live.says(&["a /2", "c /2"]).await;
    live.world.remove("sub");
    live.says(&["a /2"]).await;
    live.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_map_that_turns_is_seen() {
    let files = |path: &str| [("a.yaml", policy("a", path)), ("sub/b.yaml", policy("b", path))];
    let mut live = Live::new(|world| world.mount("", 1, &files("/1"))).await;
    live.says(&["a /1", "b /1"]).await;
    for generation in 2..6 {
        let path = format!("/{generation}");
        live.world.mount("", generation, &files(&path));
        live.says(&[&format!("a {path}"), &format!("b {path}")]).await;
    }
    live.world.mount("", 6, &[("c.yaml", policy("c", "/6"))]);
    live.says(&["c /6"]).await;
    live.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_another_one_replaces_is_seen_and_so_is_what_happens_there() {
    let mut live = Live::new(|world| world.write("a.yaml", policy("a", "/1"))).await;
    live.says(&["a /1"]).await;
    for generation in 2..5 {
        live.world.write("../next/a.yaml", policy("a", &format!("/{generation}")));
        live.world.rename("", &format!("../former{generation}"));
        live.world.rename("../next", "");
        live.says(&[&format!("a /{generation}")]).await;
        live.world.write("a.yaml", policy("a", &format!("/{generation}/changed")));
        live.says(&[&format!("a /{generation}/changed")]).await;
    }
    live.world.remove("");
    let gone = format!("{}:1:1: the directory cannot be listed: entity not found", live.world.top().display());
    live.says(&["a /4/changed", &gone]).await;
    live.world.write("a.yaml", policy("a", "/9"));
    live.says(&["a /9"]).await;
    live.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_on_the_way_that_turn_are_seen() {
    let world = World::new();
    for version in ["1", "2", "3"] {
        world.write(&format!("../{version}/live/a.yaml"), policy("a", &format!("/{version}")));
    }
    world.link("1", "../now");
    world.link("now", "../current");
    world.link("current/live", "../link");
    let mut live = Live::at(world, "../link").await;
    live.says(&["a /1"]).await;
    live.world.link("2", "../now");
    live.says(&["a /2"]).await;
    live.world.link("3", "../current");
    live.says(&["a /3"]).await;
    live.world.write("../3/live/a.yaml", policy("a", "/3/changed"));
    live.says(&["a /3/changed"]).await;
    live.world.link("1/live", "../link");
    live.says(&["a /1"]).await;
    live.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_comes_later_is_seen() {
    let mut live = Live::new(|world| world.remove("")).await;
    let gone = format!("{}:1:1: the directory cannot be listed: entity not found", live.world.top().display());
    live.says(&["none", &gone]).await;
    live.world.write("a.yaml", policy("a", "/1"));
    live.says(&["a /1"]).await;
    live.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_told_when_no_other_follows_and_reading_is_none() {
    let world = World::new();
    world.write("a.yaml", policy("a", "/1"));
    let top = world.top();
    let shutdown = CancellationToken::new();
    let mut watch = Watch::new(&top, shutdown.clone()).await;
    for at in 0..50 {
        world.write("a.yaml", policy("a", &format!("/{at}")));
    }
    let stopwatch = Stopwatch::start();
    assert!(timeout(SOON, watch.changed()).await.unwrap());
    assert!(stopwatch.elapsed() >= Duration::from_millis(25));
    let mut rings = 0;
    while timeout(Duration::from_millis(300), watch.changed()).await.is_ok() {
        rings += 1;
        assert!(rings < 10, "reading is taken for a change");
        let top = top.clone();
        tokio::task::spawn_blocking(move || Shelf::new(top).reread()).await.unwrap();
    }
    shutdown.cancel();
    assert!(!timeout(SOON, watch.changed()).await.unwrap());
}
