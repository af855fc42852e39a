//! The way to the API server: from inside a cluster, or by a kubeconfig.

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

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
    Client::try_from(config).map_err(|error| ConnectFault::Client(error.to_string()))
}
