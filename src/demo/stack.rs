//! The parts of the demo, started in order and stopped in the reverse order.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::emulator::{self, Emulator};

use super::children::Process;
use super::files::{self, Ports};
use super::upstream::Upstream;
use super::{DemoError, Options};

/// A part must answer within this time; it takes less than a second.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Ports are taken from here. Systems give those from 32768 on to connections, and to servers that do not care.
const FIRST_PORT: u32 = 20_000;
const PORTS: u32 = 12_000;

/// Everything that runs.
pub(super) struct Stack {
    pub(super) emulator: Emulator,
    pub(super) client: reqwest::Client,
    /// Where Envoy listens.
    pub(super) proxy: SocketAddr,
    /// Where Entrance tells of itself.
    pub(super) admin: SocketAddr,
    /// The policies of this run.
    pub(super) policies: PathBuf,
    /// The audit log of this run.
    pub(super) audit: PathBuf,
    upstream: Upstream,
    entrance: Process,
    envoy: Process,
}

impl Stack {
    /// Starts everything; all of it answers when this returns.
    pub(super) async fn start(options: &Options) -> Result<Self, DemoError> {
        let binary = find_envoy(options)?;
        let client = client()?;
        let started = Emulator::start(emulator::Options::default()).await;
        let emulator = started.map_err(|error| DemoError::failed("start the Entra stand-in", &error))?;
        let upstream = Upstream::start().await?;
        let (policies, audit) = (options.scratch.join("policies"), options.scratch.join("audit.log"));
        files::policies(options.policies.as_deref(), &policies, emulator.base_url())?;
        let [grpc, admin, proxy, envoy_admin] = free_ports()?;
        let mut entrance = start_entrance(&options.program, (&policies, &audit), [grpc, admin])?;
        ready(&client, &format!("http://{admin}/readyz"), &mut entrance).await?;
        let bootstrap = options.scratch.join("envoy.yaml");
        files::bootstrap(&bootstrap, &Ports { proxy, admin: envoy_admin, entrance: grpc, api: upstream.address })?;
        let mut envoy = start_envoy(&binary, &bootstrap)?;
        ready(&client, &format!("http://{envoy_admin}/ready"), &mut envoy).await?;
        Ok(Self { emulator, client, proxy, admin, policies, audit, upstream, entrance, envoy })
    }

    /// Ends everything and waits for it.
    pub(super) async fn stop(&mut self) {
        self.envoy.end().await;
        self.entrance.end().await;
        self.upstream.stop();
        self.emulator.shutdown().await;
    }
}

fn find_envoy(options: &Options) -> Result<PathBuf, DemoError> {
    if let Some(named) = &options.envoy {
        let missing = || DemoError::Setup(format!("--envoy: there is no file `{}`", named.display()));
        return if named.is_file() { Ok(named.clone()) } else { Err(missing()) };
    }
    let found = options.search.iter().map(|directory| directory.join("envoy")).find(|file| file.is_file());
    found.ok_or_else(|| {
        DemoError::Setup("no Envoy in .tools/bin or on PATH: run `make tools`, or name one with --envoy FILE".into())
    })
}

fn client() -> Result<reqwest::Client, DemoError> {
    let builder = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10));
    builder.build().map_err(|error| DemoError::failed("make an HTTP client", &error))
}

/// Ports that were free a moment ago, all different; nobody is given one by chance before its server takes it.
fn free_ports<const N: usize>() -> Result<[SocketAddr; N], DemoError> {
    // not the same ones for two demos that start at a time
    let start = std::process::id().wrapping_mul(37);
    let bound = (0..PORTS).filter_map(|at| {
        let port = u16::try_from(FIRST_PORT.wrapping_add(start.wrapping_add(at) % PORTS)).ok()?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
    });
    let held: Vec<TcpListener> = bound.take(N).collect();
    let addresses: Vec<SocketAddr> = held.iter().filter_map(|listener| listener.local_addr().ok()).collect();
    addresses
        .try_into()
        .map_err(|_| DemoError::Setup(format!("all ports from {FIRST_PORT} on are taken; end something")))
}

fn start_entrance(
    program: &Path,
    (policies, audit): (&Path, &Path),
    [grpc, admin]: [SocketAddr; 2],
) -> Result<Process, DemoError> {
    Process::start("entrance serve", program, |command| {
        command.arg("serve").arg("--policies").arg(policies);
        command.args(["--listen", &grpc.to_string(), "--admin", &admin.to_string()]);
        command.arg("--audit").arg(format!("file:{}", audit.display()));
        command.env("RUST_LOG", "warn");
    })
}

fn start_envoy(binary: &Path, bootstrap: &Path) -> Result<Process, DemoError> {
    Process::start("Envoy", binary, |command| {
        command.arg("-c").arg(bootstrap);
        // Without hot restart two Envoys on one machine do not find each other's shared memory.
        command.args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "error"]);
    })
}

async fn ready(client: &reqwest::Client, url: &str, process: &mut Process) -> Result<(), DemoError> {
    let limit = Instant::now().checked_add(START_LIMIT);
    loop {
        let answer = client.get(url).send().await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        let name = process.name();
        if let Some(status) = process.ended() {
            return Err(DemoError::Setup(format!("{name} ended ({status}); its log is above")));
        }
        if limit.is_none_or(|limit| Instant::now() > limit) {
            return Err(DemoError::Setup(format!("{name} is not ready after 20 s; its log is above")));
        }
        sleep(Duration::from_millis(50)).await;
    }
}
