//! What a run is told.

use std::time::Duration;

use super::arrivals::Source;
use super::door::Door;
use super::family::Family;
use super::judge::Meaning;
use super::tokens::Tokens;
use super::trick::Ground;

/// What is tested, and how.
#[derive(Debug)]
pub struct Settings {
    /// The proxy.
    pub target: Door,
    /// Where the upstream tells what arrived.
    pub report: Source,
    /// What to aim at, and the name of the protected resource behind it.
    pub grounds: Vec<(String, Ground)>,
    /// The name of the open resource.
    pub open: String,
    /// What to send.
    pub tokens: Tokens,
    /// What arrivals and answers mean.
    pub meaning: Meaning,
    /// Which families to try; all if there are none.
    pub families: Vec<Family>,
    /// Whether to try HTTP/2 if the proxy speaks it.
    pub http2: bool,
    /// How long an answer is waited for.
    pub patience: Duration,
    /// How many connections are open at once.
    pub at_once: usize,
}
