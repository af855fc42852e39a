//! Our own authority in a Secret: made by whichever replica comes first, renewed by whichever sees first that it is time,
//! followed by all others.
//!
//! Nobody leads. A replica writes what it made only over the version that it read; one that was slower reads again and
//! takes what the faster one wrote. The Secret itself is not made here: nobody needs the right to create Secrets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};
use kube::{Client, Error};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, UnixTime, by_chance};
use crate::tls::Pem;
use crate::tls::authority::{self, Kept, Lifetimes, MakeFault};

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(5);

/// Members of the Secret.
const BUNDLE: &str = "ca.crt";
const KEYS: &str = "ca.key";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// Which Secret, and whether what is in it is for us to renew.
#[derive(Clone, Debug)]
pub struct Keeping {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What the certificate is for, and for how long; `None`: others see to that.
    pub renewing: Option<(Vec<String>, Lifetimes)>,
}

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
enum KeepFault {
    #[error("there is no Secret `{0}`; create an empty one, which is filled then")]
    Missing(String),
    #[error("the API server does not answer in time")]
    Slow,
    #[error(transparent)]
    Api(#[from] Error),
    #[error(transparent)]
    Make(#[from] MakeFault),
}

/// Follows the Secret until told to stop; the receiver sees what it holds once that can be used.
pub async fn run(
    client: Client,
    keeping: Keeping,
    (publish, clock): (watch::Sender<Option<Arc<Kept>>>, Arc<dyn Clock>),
    stop: CancellationToken,
) {
    let secrets: Api<Secret> = Api::namespaced(client, &keeping.namespace);
    let mut told = String::new();
    loop {
        let look = tokio::time::timeout(PATIENCE, look(&secrets, &keeping, &*clock)).await;
        let problem = match look.unwrap_or(Err(KeepFault::Slow)) {
            Ok(found) => {
                publish.send_if_modified(|shown| {
                    let news = found.is_some() && *shown != found;
                    if news {
                        *shown = found;
                    }
                    news
                });
                String::new()
            }
            Err(fault) => fault.to_string(),
        };
        if !problem.is_empty() && problem != told {
            tracing::warn!(code = "certificate_secret_failed", secret = keeping.name, problem, "trying again");
        }
        told = problem;
        let pause = pause(publish.borrow().as_deref(), clock.unix());
        tokio::select! {
            () = tokio::time::sleep(by_chance(pause)) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Short lives are for trials, but must be kept, too.
fn pause(kept: Option<&Kept>, now: UnixTime) -> Duration {
    let until = kept.and_then(|kept| authority::until(&kept.shown));
    let left = until.map_or(0, |until| u64::try_from(until.since(now)).unwrap_or(0));
    Duration::from_millis(left.saturating_mul(1000) / 16).clamp(Duration::from_millis(250), PAUSE)
}

/// What the Secret holds, renewed if it is time.
async fn look(secrets: &Api<Secret>, keeping: &Keeping, clock: &dyn Clock) -> Result<Option<Arc<Kept>>, KeepFault> {
    loop {
        let secret = secrets.get_opt(&keeping.name).await?;
        let secret = secret.ok_or_else(|| KeepFault::Missing(format!("{}/{}", keeping.namespace, keeping.name)))?;
        let kept = read(&secret);
        let Some((names, lifetimes)) = &keeping.renewing else { return Ok(kept.map(Arc::new)) };
        let Some(next) = authority::next(kept.as_ref(), (names, *lifetimes), clock.unix())? else {
            return Ok(kept.map(Arc::new));
        };
        let written = secrets.replace(&keeping.name, &PostParams::default(), &filled(secret, &next)).await;
        match written {
            Ok(_) => {
                tracing::info!(code = "certificate_made", secret = keeping.name, "a certificate was made and is kept");
                return Ok(Some(Arc::new(next)));
            }
            // Somebody was faster: what they wrote counts.
            Err(Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn read(secret: &Secret) -> Option<Kept> {
    let data = secret.data.as_ref()?;
    let text = |name: &str| String::from_utf8(data.get(name)?.0.clone()).ok();
    let shown = Pem { certificate: data.get(CERTIFICATE)?.0.clone(), key: data.get(KEY)?.0.clone() };
    Some(Kept { bundle: text(BUNDLE)?, keys: text(KEYS)?, shown })
}

/// The Secret with this in it; its version stays, so that it fails if another one was written meanwhile.
fn filled(secret: Secret, kept: &Kept) -> Secret {
    let members = [
        (BUNDLE, kept.bundle.as_bytes()),
        (KEYS, kept.keys.as_bytes()),
        (CERTIFICATE, &kept.shown.certificate),
        (KEY, &kept.shown.key),
    ];
    let mut data = secret.data.unwrap_or_default();
    data.extend(
        members
            .map(|(name, bytes)| (name.to_owned(), ByteString(bytes.to_vec())))
            .into_iter()
            .collect::<BTreeMap<_, _>>(),
    );
    Secret { data: Some(data), ..secret }
}
