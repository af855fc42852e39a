//! Which subscriber may see what: the API server says who holds a token, the installation says who is a gateway.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::clock::{Clock, UnixTime};
use crate::cluster::review::{ReviewFault, Reviewer};
use crate::delivery::server::{Admit, Refusal, Subscriber};
use crate::delivery::view::Audience;

/// A stream ends after this even if its token does not: labels of a pod may change, and accounts be taken away.
const LONGEST: Duration = Duration::from_secs(3600);

/// Lets subscribers in.
pub(super) struct Door {
    pub(super) reviewer: Reviewer,
    pub(super) clock: Arc<dyn Clock>,
    /// `namespace/serviceaccount` of those who may see everything.
    pub(super) gateways: BTreeSet<String>,
}

impl Admit for Door {
    fn admit<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Subscriber, Refusal>> {
        self.judge(token).boxed()
    }
}

impl Door {
    async fn judge(&self, token: &str) -> Result<Subscriber, Refusal> {
        let holder = self.reviewer.holder(token).await.map_err(refusal)?;
        let account = format!("{}/{}", holder.namespace, holder.account);
        let name = match &holder.pod {
            Some((pod, _)) => format!("pod {}/{pod}", holder.namespace).into(),
            None => account.as_str().into(),
        };
        let audience = if self.gateways.contains(&account) {
            Audience::Gateway
        } else {
            let labels = holder.pod.map(|(_, labels)| labels).unwrap_or_default();
            Audience::Workload { namespace: holder.namespace, labels }
        };
        Ok(Subscriber { name, audience, lifetime: lifetime(token, self.clock.unix()) })
    }
}

fn refusal(fault: ReviewFault) -> Refusal {
    match fault {
        ReviewFault::Refused => Refusal::Token("the API server does not accept it for the audience `entrance`"),
        ReviewFault::NotAnAccount => Refusal::Token("it is not a service account's"),
        ReviewFault::PodGone => Refusal::Token("the pod that it is bound to is gone"),
        ReviewFault::Unavailable => Refusal::Unavailable,
    }
}

/// How long a token that the API server accepted still counts, as it says itself.
fn lifetime(token: &str, now: UnixTime) -> Duration {
    let payload = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims = payload.and_then(|payload| serde_json::from_slice::<Value>(&payload).ok());
    let end = claims.and_then(|claims| claims.get("exp")?.as_i64());
    let left = end.map(|end| Duration::from_secs(u64::try_from(UnixTime(end).since(now)).unwrap_or(0)));
    left.unwrap_or(LONGEST).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::{LONGEST, lifetime};
    use crate::clock::UnixTime;

    #[test]
    fn a_stream_ends_with_its_token_and_after_an_hour_at_the_latest() {
        let token = |claims: &str| format!("head.{}.signature", URL_SAFE_NO_PAD.encode(claims));
        for (token, left) in [
            (token(r#"{"exp": 160}"#), Duration::from_secs(60)),
            (token(r#"{"exp": 90}"#), Duration::ZERO),
            (token(r#"{"exp": 99999999}"#), LONGEST),
            (token("{}"), LONGEST),
            ("opaque".to_owned(), LONGEST),
        ] {
            assert_eq!(lifetime(&token, UnixTime(100)), left, "{token}");
        }
    }
}
