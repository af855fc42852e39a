//! Which version of Kubernetes this is: asked until it is known, and again from time to time, since clusters are upgraded.

use std::time::Duration;

use kube::Client;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::by_chance;

/// Until it is known, and from then on.
const PAUSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(600)];
const PATIENCE: Duration = Duration::from_secs(5);

/// Publishes major and minor until told to stop.
pub async fn run(client: Client, publish: watch::Sender<Option<(u32, u32)>>, stop: CancellationToken) {
    loop {
        match tokio::time::timeout(PATIENCE, client.apiserver_version()).await {
            Ok(Ok(info)) => match number(&info.major).zip(number(&info.minor)) {
                Some(version) => drop(publish.send_replace(Some(version))),
                None => tracing::warn!(code = "version_unknown", major = info.major, minor = info.minor),
            },
            Ok(Err(error)) => tracing::warn!(code = "version_unknown", %error, "trying again"),
            Err(_) => tracing::warn!(code = "version_unknown", error = "no answer in time", "trying again"),
        }
        let [short, long] = PAUSES;
        let pause = if publish.borrow().is_some() { long } else { short };
        tokio::select! {
            () = tokio::time::sleep(by_chance(pause)) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// The number that a text begins with: some clouds write `33+`.
fn number(text: &str) -> Option<u32> {
    text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
