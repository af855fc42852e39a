//! The parts of the demo, started in order and stopped in the reverse order, by process id.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::emulator::{self, Emulator};

use super::upstream::Upstream;
use super::{DemoError, Options};

const START_LIMIT: Duration = Duration::from_secs(20);
const BOOTSTRAP: &str = include_str!("../../examples/envoy/envoy.yaml");

/// Everything that runs.
pub(super) struct Stack {
    pub(super) emulator: Emulator,
    pub(super) client: reqwest::Client,
    pub(super) proxy: SocketAddr,
    pub(super) policies: PathBuf,
    directory: PathBuf,
    upstream: Upstream,
    entrance: Child,
    envoy: Child,
    admin: SocketAddr,
}

impl Stack {
    pub(super) async fn start(options: &Options) -> Result<Self, DemoError> {
        let binary = find_envoy(options)?;
        let emulator =
            Emulator::start(emulator::Options::default()).await.map_err(|e| DemoError::failed("start the emulator", &e))?;
        let upstream = Upstream::start().await?;
        let directory = scratch()?;
        let policies = directory.join("policies");
        copy_policies(&options.policies, &policies, &emulator.base_url())?;
        let [grpc, admin, proxy, envoy_admin] = free_ports()?;
        let entrance = start_entrance(options, &policies, [grpc, admin])?;
        let ports =
            [("10000", proxy), ("9902", envoy_admin), ("9191", grpc), ("8000", upstream.address)];
        let envoy = start_envoy(&binary, &directory, &ports)?;
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(10))
            .build()
            .map_err(|e| DemoError::failed("make an HTTP client", &e))?;
        let stack = Self { emulator, client, proxy, policies, directory, upstream, entrance, envoy, admin };
        stack.wait_until(&format!("http://{}/readyz", stack.admin), "entrance serve").await?;
        stack.wait_until(&format!("http://{envoy_admin}/ready"), "Envoy").await?;
        Ok(stack)
    }

    async fn wait_until(&self, url: &str, who: &str) -> Result<(), DemoError> {
        let limit = Instant::now().checked_add(START_LIMIT);
        loop {
            let answer = self.client.get(url).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if limit.is_none_or(|limit| Instant::now() > limit) {
                return Err(DemoError::Setup(format!("{who} is not ready after 20 s; its log is above")));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// What a person can try while the demo stays up.
    pub(super) fn invitation(&self) -> String {
        let (proxy, base) = (self.proxy, self.emulator.base_url());
        let tenant = emulator::defaults::CONTOSO;
        let mint = format!("curl -s {base}/_emulator/mint -H 'content-type: application/json' -d");
        format!(
            "\nIt stays up until Ctrl-C. Try:\n\
             \n  # no token: 401\n  curl -i -H 'Host: orders.example.com' http://{proxy}/orders/7\n\
             \n  # a user who may read: 200\n  TOKEN=$({mint} '{{\"base\":\"user\",\"tenant\":\"{tenant}\",\"set_claims\":{{\"roles\":[\"Orders.Read\"],\"scp\":\"orders.read\"}}}}' \\\n    | python3 -c 'import json,sys; print(json.load(sys.stdin)[\"token\"])')\n  \
             curl -i -H 'Host: orders.example.com' -H \"Authorization: Bearer $TOKEN\" http://{proxy}/orders/7\n\
             \n  # edit a rule and ask again\n  $EDITOR {}\n\
             \n  # what is enforced, and how it went\n  curl -s http://{}/debug/snapshot\n  curl -s http://{}/metrics\n",
            self.policies.display(),
            self.admin,
            self.admin,
        )
    }

    pub(super) async fn wait_for_interrupt(&self) {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::error!(%error, "cannot wait for Ctrl-C");
        }
    }

    pub(super) async fn stop(&mut self) {
        end(&mut self.envoy).await;
        end(&mut self.entrance).await;
        self.upstream.stop();
        self.emulator.shutdown().await;
        if let Err(error) = std::fs::remove_dir_all(&self.directory) {
            tracing::warn!(%error, directory = %self.directory.display(), "scratch directory stays");
        }
    }
}

/// SIGTERM, then, if that does not help within five seconds, SIGKILL.
async fn end(child: &mut Child) {
    if let Some(pid) = child.id() {
        let asked = Command::new("kill").arg(pid.to_string()).status().await;
        if asked.is_ok() && timeout(Duration::from_secs(5), child.wait()).await.is_ok() {
            return;
        }
    }
    if let Err(error) = child.kill().await {
        tracing::warn!(%error, "cannot end a process of the demo");
    }
}

fn find_envoy(options: &Options) -> Result<PathBuf, DemoError> {
    options
        .envoy
        .iter()
        .cloned()
        .chain(options.search.iter().map(|directory| directory.join("envoy")))
        .find(|file| file.is_file())
        .ok_or_else(|| {
            DemoError::Setup(
                "no Envoy binary in .tools/bin or on PATH: run `make tools`, or name one with --envoy FILE".into(),
            )
        })
}

fn scratch() -> Result<PathBuf, DemoError> {
    let directory = std::env::temp_dir().join(format!("entrance-demo-{}", std::process::id()));
    std::fs::create_dir_all(&directory).map_err(|e| DemoError::failed("make a scratch directory", &e))?;
    Ok(directory)
}

/// Copies the example policies and points them at the running stand-in.
fn copy_policies(from: &Path, to: &Path, authority: &str) -> Result<(), DemoError> {
    let failed = |e: std::io::Error| DemoError::failed(format!("copy policies from {}", from.display()), &e);
    std::fs::create_dir_all(to).map_err(failed)?;
    for entry in std::fs::read_dir(from).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = std::fs::read_to_string(&path).map_err(failed)?;
            let name = path.file_name().unwrap_or_default();
            std::fs::write(to.join(name), text.replace("http://127.0.0.1:8080", authority)).map_err(failed)?;
        }
    }
    Ok(())
}

fn free_ports<const N: usize>() -> Result<[SocketAddr; N], DemoError> {
    let failed = |e: std::io::Error| DemoError::failed("find a free port", &e);
    let mut listeners = Vec::new();
    let mut addresses = [SocketAddr::from(([127, 0, 0, 1], 0)); N];
    for address in &mut addresses {
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(failed)?;
        *address = listener.local_addr().map_err(failed)?;
        listeners.push(listener);
    }
    Ok(addresses)
}

fn start_entrance(options: &Options, policies: &Path, ports: [SocketAddr; 2]) -> Result<Child, DemoError> {
    let [grpc, admin] = ports;
    Command::new(&options.program)
        .arg("serve")
        .arg("--policies")
        .arg(policies)
        .args(["--listen", &grpc.to_string(), "--admin", &admin.to_string()])
        .args(["--audit", if options.once { "off" } else { "stdout" }])
        .env("RUST_LOG", "warn")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| DemoError::failed("start entrance serve", &e))
}

fn start_envoy(binary: &Path, directory: &Path, ports: &[(&str, SocketAddr)]) -> Result<Child, DemoError> {
    let mut bootstrap = BOOTSTRAP.to_owned();
    for (written, address) in ports {
        bootstrap =
            bootstrap.replace(&format!("port_value: {written}}}"), &format!("port_value: {}}}", address.port()));
    }
    let file = directory.join("envoy.yaml");
    std::fs::write(&file, bootstrap).map_err(|e| DemoError::failed("write Envoy's configuration", &e))?;
    Command::new(binary)
        .arg("-c")
        .arg(&file)
        .args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "error"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| DemoError::failed("start Envoy", &e))
}
