//! Our authority where the API server looks for it: `caBundle` of the webhook configurations of one name.
//!
//! Only that field is applied, by a field manager of our own, and only where it differs, so that whoever manages the rest
//! of the configuration sees no drift that matters to them.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Error, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::by_chance;

/// Who owns the field.
pub const FIELD_MANAGER: &str = "entrance-webhook";
/// Between two looks: somebody may have applied the configuration anew.
const PAUSE: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(5);

/// Webhooks of a configuration: name and `caBundle`.
trait Configuration: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned {
    fn bundles(&self) -> Vec<(&str, Option<&ByteString>)>;
}

impl Configuration for ValidatingWebhookConfiguration {
    fn bundles(&self) -> Vec<(&str, Option<&ByteString>)> {
        let hooks = self.webhooks.iter().flatten();
        hooks.map(|hook| (hook.name.as_str(), hook.client_config.ca_bundle.as_ref())).collect()
    }
}

impl Configuration for MutatingWebhookConfiguration {
    fn bundles(&self) -> Vec<(&str, Option<&ByteString>)> {
        let hooks = self.webhooks.iter().flatten();
        hooks.map(|hook| (hook.name.as_str(), hook.client_config.ca_bundle.as_ref())).collect()
    }
}

/// Keeps the bundle where it belongs until told to stop; `stands` says whether it is there.
pub async fn run(
    (client, name): (Client, String),
    mut bundle: watch::Receiver<Option<String>>,
    stands: watch::Sender<bool>,
    stop: CancellationToken,
) {
    let validating: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let mutating: Api<MutatingWebhookConfiguration> = Api::all(client);
    let mut told = String::new();
    loop {
        let wanted = bundle.borrow_and_update().clone();
        if let Some(wanted) = wanted {
            let both = async {
                put(&validating, &name, &wanted).await?;
                put(&mutating, &name, &wanted).await
            };
            let problem = match tokio::time::timeout(PATIENCE, both).await {
                Ok(Ok(())) => String::new(),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer in time".to_owned(),
            };
            stands.send_replace(problem.is_empty());
            if !problem.is_empty() && problem != told {
                tracing::warn!(code = "bundle_failed", configuration = name, problem, "trying again");
            }
            told = problem;
        }
        tokio::select! {
            () = tokio::time::sleep(by_chance(PAUSE)) => {}
            changed = bundle.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
    }
}

/// Applies the bundle where it differs. A configuration that is not there needs none.
async fn put<K: Configuration>(api: &Api<K>, name: &str, bundle: &str) -> Result<(), Error> {
    let Some(found) = api.get_opt(name).await? else { return Ok(()) };
    let wanted = ByteString(bundle.as_bytes().to_vec());
    let bundles = found.bundles();
    if bundles.iter().all(|(_, there)| *there == Some(&wanted)) {
        return Ok(());
    }
    let hooks = bundles.iter().map(|(hook, _)| json!({"name": hook, "clientConfig": {"caBundle": wanted}}));
    let patch = json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": name},
        "webhooks": hooks.collect::<Value>(),
    });
    api.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&patch)).await?;
    tracing::info!(code = "bundle_applied", kind = %K::kind(&()), name, "the API server knows our authority");
    Ok(())
}
