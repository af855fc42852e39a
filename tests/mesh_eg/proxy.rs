//! Envoy as Envoy Gateway starts it: with the command line of the Deployment that it made for a Gateway.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::children::{Process, port, scratch, until};
use super::envoy_process::{binary, text};
use super::plane::{Plane, SYSTEM};
use super::private_network::ADDRESS;

/// A running proxy of a Gateway.
pub(crate) struct Proxy {
    /// Where the listener of the Gateway is.
    pub(crate) address: SocketAddr,
    /// Its admin port.
    pub(crate) admin: SocketAddr,
    process: Process,
}

impl Proxy {
    /// Starts the proxy of a Deployment, whose Gateway listens on `port`.
    pub(crate) async fn start(plane: &Plane, deployment: &Value, listener: u16) -> Self {
        let directory = scratch("proxy");
        let name = deployment["metadata"]["name"].as_str().unwrap();
        let map = plane.read(&format!("/api/v1/namespaces/{SYSTEM}/configmaps/{name}")).await.unwrap();
        let certs = plane.proxies.to_str().unwrap();
        for (file, text) in map["data"].as_object().unwrap() {
            std::fs::write(directory.join(file), text.as_str().unwrap().replace("/certs", certs)).unwrap();
        }
        let admin = port();
        let template = &deployment["spec"]["template"]["spec"];
        let containers = template["containers"].as_array().unwrap();
        let container = containers.iter().find(|container| container["name"] == "envoy").unwrap();
        let mut command = Command::new(binary());
        for argument in container["args"].as_array().unwrap() {
            let argument = argument.as_str().unwrap();
            let argument = here(argument, (&directory, certs));
            // the API server knows no two pods of one name; Envoy Gateway keeps its proxies apart by it
            let argument = argument.replace("$(ENVOY_POD_NAME)", name);
            command.arg(argument.replace("port_value: 19000", &format!("port_value: {}", admin.port())));
        }
        command.args(["--disable-hot-restart", "--concurrency", "1"]);
        let process = Process::start(command, &directory.join("envoy.log"));
        let address = SocketAddr::new(ADDRESS.parse().unwrap(), listener);
        let proxy = Self { address, admin, process };
        until("Envoy is ready", async || {
            assert!(proxy.process.ended().is_none(), "Envoy ended:\n{}", proxy.process.said());
            (text(admin, "/ready").await? == "LIVE\n").then_some(())
        })
        .await;
        proxy
    }

    /// What it has said besides its access log.
    pub(crate) fn said(&self) -> String {
        let said = self.process.said();
        said.lines().filter(|line| !line.starts_with('{')).collect::<Vec<_>>().join("\n")
    }
}

/// An argument with this machine's places.
fn here(argument: &str, (sds, certs): (&Path, &str)) -> String {
    argument
        .replace(&format!("envoy-gateway.{SYSTEM}.svc.cluster.local."), "127.0.0.1")
        .replace("$(ENVOY_SERVICE_ZONE)", "")
        .replace("/sds", sds.to_str().unwrap())
        .replace("/certs", certs)
}
