//! A run: controls, tricks with controls between them, controls, and what arrived meanwhile.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::sleep;

use super::arrivals::Arrival;
use super::controls::{Control, Place, TRIES, Witness};
use super::door::Version;
use super::judge::{self, Attempt, Verdict};
use super::plan::{Lack, Versions};
use super::reply::Reply;
use super::script::{Filling, Permitted, permit};
use super::settings::Settings;
use super::trick::{Sent, Trick};
use super::{Unfit, controls, evidence, http1, http2};

/// Between two looks at a report that should not change any more.
const PAUSE: Duration = Duration::from_millis(100);
/// How often it is looked at.
const LOOKS: usize = 50;
/// How often a control is looked for: upstreams write down a request before they answer it.
const CONTROL_LOOKS: usize = 10;

impl Settings {
    /// Tries everything.
    ///
    /// # Errors
    /// If the proxy or the report cannot be reached, what must come through does not, or something is missing in the
    /// report, and nothing was found: then nothing was proved.
    pub async fn run(&self) -> Result<Verdict, Unfit> {
        let versions = self.versions().await?;
        let plan = self.plan(versions)?;
        let controls = self.controls(versions == Versions::Both);
        let id = RandomState::new().hash_one(0_u8) & 0xff_ffff;
        let earlier = self.report.read().await?;
        let run = Run { settings: self, id, earlier, number: AtomicUsize::new(plan.tricks.len()), controls: &controls };
        let mut witnesses = run.reach(Place::Before).await?;
        let (mut attempts, between) = run.attempts(plan.tricks).await?;
        attempts.sort_by(|one, other| one.nonce.cmp(&other.nonce));
        witnesses.extend(between);
        let end = run.reach(Place::After).await;
        let arrivals = run.settled().await?;
        let (missed, end) = end.map_or_else(|unfit| (Some(unfit), Vec::new()), |end| (None, end));
        witnesses.extend(end);
        let doubt = evidence::complete(&witnesses, &arrivals).err().or(missed);
        let arrivals = evidence::without_controls(&witnesses, arrivals);
        let verdict = judge::judge(&attempts, &arrivals, &self.meaning);
        match doubt {
            Some(unfit) if verdict.findings.is_empty() => Err(unfit),
            doubt => Ok(Verdict { untried: plan.untried, doubt: doubt.map(|unfit| unfit.to_string()), ..verdict }),
        }
    }

    /// Which versions are spoken.
    async fn versions(&self) -> Result<Versions, Unfit> {
        let connected = self.target.connect(Version::Http1, self.patience).await;
        connected.map_err(|error| self.unreachable(error))?;
        if !self.http2 {
            return Ok(Versions::Http1(Lack::Http1));
        }
        // who wants no HTTP/2 behind TLS refuses to shake hands for it (RFC 7301 §3.2)
        let spoken = match self.target.connect(Version::Http2, self.patience).await {
            Ok(connection) => http2::is_spoken(connection, self.patience).await,
            Err(_) => false,
        };
        Ok(if spoken { Versions::Both } else { Versions::Http1(Lack::Http2) })
    }

    fn unreachable(&self, error: std::io::Error) -> Unfit {
        Unfit::Unreachable { address: self.target.to_string(), error }
    }
}

struct Run<'a> {
    settings: &'a Settings,
    id: u64,
    /// What arrived before the run.
    earlier: Vec<Arrival>,
    /// The number of the next control: those of the tricks come before.
    number: AtomicUsize,
    controls: &'a [Control<'a>],
}

/// What is sent among the tricks.
enum Step<'a> {
    Trick(usize, Trick),
    Control(&'a Control<'a>, Place),
}

enum Done<'a> {
    Attempt(Attempt),
    Witness(Witness<'a>),
}

impl<'a> Run<'a> {
    /// The nonce of the request of this number; [`super::script::NONCE_LENGTH`] long.
    fn nonce(&self, number: usize) -> String {
        format!("{:06x}-{number:05}", self.id)
    }

    /// All tricks, with controls between them. One that nobody answers does not hold up the others.
    async fn attempts(&self, tricks: Vec<Trick>) -> Result<(Vec<Attempt>, Vec<Witness<'a>>), Unfit> {
        let mut controls = self.controls.iter().cycle();
        let mut gaps = controls::gaps(self.id);
        let mut until = gaps.next();
        let mut steps = Vec::new();
        for (number, trick) in tricks.into_iter().enumerate() {
            let place = Place::behind(&trick);
            steps.push(Step::Trick(number, trick));
            until = until.and_then(|left: usize| left.checked_sub(1));
            if until.is_none() {
                until = gaps.next();
                steps.extend(controls.next().map(|control| Step::Control(control, place)));
            }
        }
        let done = stream::iter(steps).map(|step| self.step(step)).buffer_unordered(self.settings.at_once);
        let (mut attempts, mut witnesses) = (Vec::new(), Vec::new());
        for done in done.try_collect::<Vec<_>>().await? {
            match done {
                Done::Attempt(attempt) => attempts.push(attempt),
                Done::Witness(witness) => witnesses.push(witness),
            }
        }
        Ok((attempts, witnesses))
    }

    async fn step(&self, step: Step<'a>) -> Result<Done<'a>, Unfit> {
        match step {
            Step::Trick(number, trick) => {
                let nonce = self.nonce(number);
                let reply = self.send(&trick.sent, &nonce).await?;
                Ok(Done::Attempt(Attempt { trick, nonce, reply }))
            }
            Step::Control(control, place) => Ok(Done::Witness(self.witness(control, place).await?)),
        }
    }

    /// Sends a control, again if the proxy fails.
    async fn witness(&self, control: &'a Control<'a>, place: Place) -> Result<Witness<'a>, Unfit> {
        let mut witness = Witness { control, nonces: Vec::new(), reply: Reply::default(), place };
        for attempt in 0..TRIES {
            if attempt > 0 {
                sleep(PAUSE).await;
            }
            let nonce = self.nonce(self.number.fetch_add(1, Ordering::Relaxed));
            witness.reply = self.send(&control.sent, &nonce).await?;
            witness.nonces.push(if control.permitted == Permitted::Yes { permit(&nonce) } else { nonce });
            if !witness.reply.is_failure() {
                break;
            }
        }
        Ok(witness)
    }

    async fn send(&self, sent: &Sent, nonce: &str) -> Result<Reply, Unfit> {
        let Settings { target, tokens, patience, .. } = self.settings;
        let version = match sent {
            Sent::Http1(_) => Version::Http1,
            Sent::Http2(_) => Version::Http2,
        };
        let connection = target.connect(version, *patience).await;
        let connection = connection.map_err(|error| self.settings.unreachable(error))?;
        let with = Filling { tokens, nonce };
        Ok(match sent {
            Sent::Http1(steps) => {
                let part =
                    |step: &super::trick::Step| http1::Part { bytes: step.script.filled(with), answers: step.answers };
                http1::converse(connection, &steps.iter().map(part).collect::<Vec<_>>(), *patience).await
            }
            Sent::Http2(streams) => {
                http2::converse(connection, &http2::opening((http2::FIRST, streams), with), (streams.len(), *patience))
                    .await
            }
        })
    }

    /// Sends every control, and waits until each has arrived once.
    async fn reach(&self, place: Place) -> Result<Vec<Witness<'a>>, Unfit> {
        let mut witnesses = Vec::new();
        for control in self.controls {
            let witness = self.witness(control, place.clone()).await?;
            let mut looks = 0_usize;
            let arrivals = loop {
                let arrivals = self.arrivals().await?;
                if witness.times(&arrivals) > 0 {
                    break arrivals;
                }
                looks = looks.saturating_add(1);
                if looks > CONTROL_LOOKS || witness.reply.statuses.is_empty() {
                    return Err(witness.missed());
                }
                sleep(PAUSE).await;
            };
            let times = witness.times(&arrivals);
            if times > witness.nonces.len() {
                return Err(Unfit::Repeated { control: control.name.clone(), times });
            }
            witnesses.push(witness);
        }
        Ok(witnesses)
    }

    /// What has arrived since the run began.
    async fn arrivals(&self) -> Result<Vec<Arrival>, Unfit> {
        evidence::since(&self.earlier, self.settings.report.read().await?)
    }

    /// The same when nothing more arrives.
    async fn settled(&self) -> Result<Vec<Arrival>, Unfit> {
        let mut arrivals = self.arrivals().await?;
        for _ in 0..LOOKS {
            sleep(PAUSE).await;
            let more = self.arrivals().await?;
            if more.len() == arrivals.len() {
                return Ok(more);
            }
            arrivals = more;
        }
        Err(Unfit::Restless)
    }
}
