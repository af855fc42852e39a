//! A release of the chart in a real API server, and its containers as processes.

use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use super::api_server::{ADMIN, ApiServer};
use super::helm::{Helm, object, objects};
use super::objects::Objects;
use super::pod::Container;
use super::server::Server;

/// A free port, wherever a pod listens.
pub(crate) const ANY: &str = "127.0.0.1:0";

/// A release, and what the API server has made of its objects.
pub(crate) struct Release {
    pub(crate) server: &'static ApiServer,
    pub(crate) namespace: String,
    pub(crate) helm: Helm,
    pub(crate) installed: Vec<Value>,
    directory: tempfile::TempDir,
}

impl Release {
    /// Installs the chart, under the name of a namespace.
    pub(crate) async fn install(server: &'static ApiServer, namespace: &str, values: &str) -> Self {
        let helm = Helm::of(server.kubeconfig(ADMIN));
        let within = ["--namespace", namespace];
        let install = ["install", namespace, "charts/entrance", "--create-namespace", "--set", values];
        helm.prints(&[&install[..], &within].concat());
        let client = server.client(ADMIN).await;
        let to = Objects { client: &client, namespace, manager: "test", dry_run: false };
        let mut installed = Vec::new();
        for object in objects(&helm.prints(&[&["get", "manifest", namespace], &within[..]].concat())) {
            installed.push(to.read(&object).await.unwrap());
        }
        let directory = tempfile::tempdir().unwrap();
        Self { server, namespace: namespace.to_owned(), helm, installed, directory }
    }

    /// The name of an object.
    pub(crate) fn name(&self, what: &str) -> String {
        let prefix = if self.namespace.contains("entrance") { "" } else { "-entrance" };
        format!("{}{prefix}-{what}", self.namespace)
    }

    /// The container of a Deployment, with the kubeconfig of the account that its pod runs under.
    pub(crate) async fn container(&self, component: &str) -> Container {
        let deployment = object(&self.installed, "Deployment", &self.name(component));
        let account = deployment["spec"]["template"]["spec"]["serviceAccountName"].as_str().unwrap();
        let token = self.server.account_token(&self.namespace, account, &[]).await;
        Container::of(deployment, component)
            .filled(&self.installed, self.directory.path())
            .address("0.0.0.0:9901", ANY)
            .account(&self.server.kubeconfig(&token))
    }
}

/// Starts a container; its probes succeed when this returns. `port` is what its log calls the port that it is there for.
pub(crate) async fn started(container: &Container, port: &str) -> Server {
    let mut command = Command::from(container.command());
    command.stdout(Stdio::null());
    let server = Server::of(command, port).await;
    assert_eq!(container.probe("readinessProbe"), "/readyz");
    server.becomes(|status, _| status == 200).await;
    assert_eq!(server.admin(&container.probe("startupProbe")).await.0, 200);
    server
}
