//! Controls: requests that must come through. What a run that reaches nothing says is worth nothing, and neither is what
//! one says whose upstream was away for a while, or forgot, or was not the only one.
//!
//! They are sent before the tricks, between them, and after them, and the last report must still have them all.

use super::Unfit;
use super::arrivals::Arrival;
use super::reply::Reply;
use super::script::Permitted;
use super::settings::Settings;
use super::trick::{Sent, Trick};

/// How often a control is sent that the proxy answers with a failure: an upstream may close a connection in the moment in
/// which the proxy uses it again.
pub(super) const TRIES: usize = 3;

/// How many tricks are between two controls: ten on average, but never regularly, so that no upstream whose turn comes
/// regularly gets none.
pub(super) fn gaps(seed: u64) -> impl Iterator<Item = usize> {
    // the generator of Knuth's MMIX; its upper bits are good enough
    let next =
        |state: &u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
    let spread = |state: u64| usize::try_from((state >> 33) % 13).unwrap_or(0).saturating_add(4);
    std::iter::successors(Some(seed), next).skip(1).map(spread)
}

/// A request that must come through.
pub(super) struct Control<'a> {
    pub(super) name: String,
    pub(super) resource: &'a str,
    pub(super) sent: Sent,
    pub(super) permitted: Permitted,
}

/// A control that was sent.
pub(super) struct Witness<'a> {
    pub(super) control: &'a Control<'a>,
    /// Of each time.
    pub(super) nonces: Vec<String>,
    /// What was answered in the end.
    pub(super) reply: Reply,
    pub(super) place: Place,
}

/// When it was sent.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Before,
    /// Behind this trick.
    Behind(String),
    After,
}

impl Place {
    pub(super) fn behind(trick: &Trick) -> Self {
        Self::Behind(format!("{}: {}", trick.family.id(), trick.name))
    }
}

impl Witness<'_> {
    /// Whether this is the control as it should arrive, and nothing else.
    pub(super) fn is(&self, arrival: &Arrival) -> bool {
        let mut nonces = arrival.nonces();
        let one = nonces.next().is_some_and(|nonce| self.nonces.iter().any(|sent| sent == nonce));
        one && nonces.next().is_none() && arrival.resource == self.control.resource
    }

    /// How often it arrived.
    pub(super) fn times(&self, arrivals: &[Arrival]) -> usize {
        arrivals.iter().filter(|arrival| self.is(arrival)).count()
    }

    /// Why it proves that nothing was proved.
    pub(super) fn missed(&self) -> Unfit {
        let (control, resource) = (self.control.name.clone(), self.control.resource.to_owned());
        let seen = self.reply.shown();
        match &self.place {
            Place::Before | Place::After => Unfit::Control { control, resource, seen, hint: self.hint() },
            Place::Behind(trick) => Unfit::Interrupted { control, resource, seen, trick: trick.clone() },
        }
    }

    fn hint(&self) -> &'static str {
        match &self.control.sent {
            Sent::Http1(_) if self.reply.is_success() => {
                "; is the report that of the upstream that answers? Of several behind one proxy it must tell of all"
            }
            Sent::Http1(_) => "",
            Sent::Http2(_) => "; `--http1` leaves HTTP/2 out",
        }
    }
}

impl Settings {
    /// One for each resource, and for each version that is spoken.
    pub(super) fn controls(&self, http2: bool) -> Vec<Control<'_>> {
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
                if http2 {
                    let name = format!("{name} over HTTP/2");
                    all.push(Control { name, resource, sent: request.http2(), permitted });
                }
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::gaps;

    #[test]
    fn gaps_are_ten_on_average_and_irregular() {
        for seed in [0, 1, 0xff_ffff] {
            let some: Vec<usize> = gaps(seed).take(1000).collect();
            let sum: usize = some.iter().sum();
            assert!((9_500..10_500).contains(&sum) && some.iter().all(|gap| (4..=16).contains(gap)), "{sum}");
            for length in 1..8 {
                assert_ne!(some[..100 - length], some[length..100]);
            }
        }
    }
}
