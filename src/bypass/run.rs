//! A run: controls, tricks, controls, and what arrived meanwhile.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::sleep;

use super::arrivals::{Arrival, Source};
use super::door::{Door, Version};
use super::family::Family;
use super::judge::{self, Attempt, Meaning, Verdict};
use super::reply::Reply;
use super::script::{Filling, Permitted, permit};
use super::tokens::Tokens;
use super::trick::{Ground, Sent, Trick};
use super::{Unfit, http1, http2, tricks};

/// Between two looks at a report that should not change any more.
const PAUSE: Duration = Duration::from_millis(100);
/// How often it is looked at.
const LOOKS: usize = 50;
/// How often a control is looked for: upstreams write down a request before they answer it.
const CONTROL_LOOKS: usize = 10;

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
    /// Which families to try.
    pub families: Vec<Family>,
    /// Whether the proxy speaks HTTP/2.
    pub http2: bool,
    /// How long an answer is waited for.
    pub patience: Duration,
    /// How many connections are open at once.
    pub at_once: usize,
}

impl Settings {
    /// All tricks that will be tried.
    #[must_use]
    pub fn tricks(&self) -> Vec<Trick> {
        let of_ground = |ground| self.families.iter().flat_map(move |family| tricks::of(*family, ground));
        let all = self.grounds.iter().flat_map(|(_, ground)| of_ground(ground));
        all.filter(|trick| self.http2 || matches!(trick.sent, Sent::Http1(_))).collect()
    }

    /// Tries everything.
    ///
    /// # Errors
    /// If the proxy or the report cannot be reached, or what must come through does not.
    pub async fn run(&self) -> Result<Verdict, Unfit> {
        let run = Run { settings: self, id: RandomState::new().hash_one(0_u8) & 0xff_ffff };
        let tricks = self.tricks();
        let before = self.report.read().await?.len();
        let controls = run.controls(tricks.len()).await?;
        let attempts = stream::iter(tricks.into_iter().enumerate()).map(|(number, trick)| run.attempt(number, trick));
        // one that nobody answers must not hold up the others
        let mut attempts: Vec<Attempt> = attempts.buffer_unordered(self.at_once).try_collect().await?;
        attempts.sort_by(|one, other| one.nonce.cmp(&other.nonce));
        run.controls(attempts.len().saturating_add(controls)).await?;
        let arrivals = run.settled().await?;
        let fresh = arrivals.get(before..).ok_or_else(|| Unfit::Report {
            from: self.report.to_string(),
            why: "it has become shorter; did the upstream start anew?".to_owned(),
        })?;
        Ok(judge::judge(&attempts, &run.without_controls(fresh, attempts.len()), &self.meaning))
    }
}

struct Run<'a> {
    settings: &'a Settings,
    id: u64,
}

/// A request that must come through.
struct Control<'a> {
    name: String,
    resource: &'a str,
    sent: Sent,
    permitted: Permitted,
}

impl Run<'_> {
    /// The nonce of the trick of this number; [`super::script::NONCE_LENGTH`] long.
    fn nonce(&self, number: usize) -> String {
        format!("{:06x}-{number:05}", self.id)
    }

    async fn attempt(&self, number: usize, trick: Trick) -> Result<Attempt, Unfit> {
        let nonce = self.nonce(number);
        let reply = self.send(&trick.sent, &nonce).await?;
        Ok(Attempt { trick, nonce, reply })
    }

    async fn send(&self, sent: &Sent, nonce: &str) -> Result<Reply, Unfit> {
        let Settings { target, tokens, patience, .. } = self.settings;
        let version = match sent {
            Sent::Http1(_) => Version::Http1,
            Sent::Http2(_) => Version::Http2,
        };
        let connection = target.connect(version, *patience).await;
        let connection = connection.map_err(|error| Unfit::Unreachable { address: target.to_string(), error })?;
        let with = Filling { tokens, nonce };
        Ok(match sent {
            Sent::Http1(steps) => {
                let part =
                    |step: &super::trick::Step| http1::Part { bytes: step.script.filled(with), answers: step.answers };
                http1::converse(connection, &steps.iter().map(part).collect::<Vec<_>>(), *patience).await
            }
            Sent::Http2(streams) => {
                http2::converse(connection, &http2::opening(streams, with), (streams.len(), *patience)).await
            }
        })
    }

    /// Sends what must come through; gives how many requests that were. Their nonces begin with this number.
    async fn controls(&self, first: usize) -> Result<usize, Unfit> {
        let controls = self.settings.controls();
        for (number, control) in (first..).zip(&controls) {
            let nonce = self.nonce(number);
            let reply = self.send(&control.sent, &nonce).await?;
            let expected = if control.permitted == Permitted::Yes { permit(&nonce) } else { nonce };
            let arrived = |arrival: &Arrival| {
                arrival.resource == control.resource && arrival.nonces().any(|nonce| nonce == expected)
            };
            let mut looks = 0_usize;
            while !self.settings.report.read().await?.iter().any(arrived) {
                looks = looks.saturating_add(1);
                if looks > CONTROL_LOOKS || reply.statuses.is_empty() {
                    let (control, resource) = (control.name.clone(), control.resource.to_owned());
                    return Err(Unfit::Control { control, resource, seen: reply.shown() });
                }
                sleep(PAUSE).await;
            }
        }
        Ok(controls.len())
    }

    /// The report when nothing more arrives.
    async fn settled(&self) -> Result<Vec<Arrival>, Unfit> {
        let mut arrivals = self.settings.report.read().await?;
        for _ in 0..LOOKS {
            sleep(PAUSE).await;
            let more = self.settings.report.read().await?;
            if more.len() == arrivals.len() {
                break;
            }
            arrivals = more;
        }
        Ok(arrivals)
    }

    /// What is not a control's.
    fn without_controls(&self, arrivals: &[Arrival], tricks: usize) -> Vec<Arrival> {
        let count = self.settings.controls().len().saturating_mul(2);
        let controls: Vec<String> = (tricks..tricks.saturating_add(count)).map(|number| self.nonce(number)).collect();
        let is_control = |nonce: &str| controls.iter().any(|control| nonce == control || nonce == permit(control));
        arrivals.iter().filter(|arrival| !arrival.nonces().any(is_control)).cloned().collect()
    }
}

impl Settings {
    fn controls(&self) -> Vec<Control<'_>> {
        let mut all = Vec::new();
        for (resource, ground) in &self.grounds {
            let requests = [
                (format!("the open GET {}", ground.open), &self.open, ground.get(&ground.open), Permitted::No),
                (
                    format!("GET {} with the permitted token", ground.guarded),
                    resource,
                    ground.permitted(&ground.guarded),
                    Permitted::Yes,
                ),
            ];
            for (name, resource, request, permitted) in requests {
                all.push(Control { name: name.clone(), resource, sent: request.http1(), permitted });
                if self.http2 {
                    all.push(Control {
                        name: format!("{name} over HTTP/2"),
                        resource,
                        sent: request.http2(),
                        permitted,
                    });
                }
            }
        }
        all
    }
}
