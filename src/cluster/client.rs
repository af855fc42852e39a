//! The way to the API server: from inside a cluster, or by a kubeconfig.

use http::{Request, Uri};
use kube::client::{Body, ClientBuilder};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::util::MapRequestLayer;

/// Why there is no way to the API server.
#[derive(Debug, thiserror::Error)]
pub enum ConnectFault {
    /// Neither a kubeconfig nor the environment of a pod.
    #[error("no way to the Kubernetes API: {0}; run inside a cluster, or name a kubeconfig")]
    Config(String),
    /// What is there cannot be used.
    #[error("cannot use the Kubernetes API: {0}")]
    Client(String),
}

/// Connects as the environment says: `KUBECONFIG`, `~/.kube/config`, or the service account of the pod. Nothing is sent
/// yet. Needs a runtime.
///
/// # Errors
/// [`ConnectFault`].
pub async fn connect(kubeconfig: Option<&std::path::Path>) -> Result<Client, ConnectFault> {
    let config = match kubeconfig {
        Some(file) => {
            let read = Kubeconfig::read_from(file).map_err(|error| ConnectFault::Config(error.to_string()))?;
            Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
                .await
                .map_err(|error| ConnectFault::Config(error.to_string()))?
        }
        None => Config::infer().await.map_err(|error| ConnectFault::Config(error.to_string()))?,
    };
    let builder = ClientBuilder::try_from(config).map_err(|error| ConnectFault::Client(error.to_string()))?;
    Ok(builder.with_layer(&MapRequestLayer::new(consistent)).build())
}

/// A list that comes as a watch must be as new as one that comes as a list. The watcher begins it at version 0, which
/// means whatever the API server happens to remember: among several servers that may be older than what is enforced
/// already. Without a version it is what stands at this moment.
pub fn consistent(mut request: Request<Body>) -> Request<Body> {
    let query = request.uri().query().unwrap_or_default();
    if !query.split('&').any(|part| part == "sendInitialEvents=true") {
        return request;
    }
    let parts = query.split('&').filter(|part| *part != "resourceVersion=0");
    let path = format!("{}?{}", request.uri().path(), parts.collect::<Vec<_>>().join("&"));
    let mut uri = request.uri().clone().into_parts();
    uri.path_and_query = path.parse().ok().or(uri.path_and_query);
    if let Ok(uri) = Uri::from_parts(uri) {
        *request.uri_mut() = uri;
    }
    request
}
