//! A process of ours, watched from outside.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tonic::transport::{Channel, Endpoint};

use crate::children::{Process, scratch, until};
use crate::server::ask_of;

/// A quiet process spends less than this in a second.
const QUIET: Duration = Duration::from_millis(30);
/// Whatever it does after that, it goes on with.
const LONGEST: u32 = 300;

pub(crate) struct Running {
    process: Process,
    pub(crate) listen: String,
    admin: String,
    channel: Channel,
    _kept: Option<tempfile::TempDir>,
}

impl Running {
    /// Starts a command of ours; it is ready when this returns.
    pub(crate) async fn start((name, port): (&str, &str), flags: &[&str], kept: Option<tempfile::TempDir>) -> Self {
        let mut command = Command::new(binary());
        command.arg(name).args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).args(flags);
        command.env("RUST_LOG", "info");
        let process = Process::start(command, &scratch(name).join("log"));
        let at = async |port: &str| {
            until("it listens", async || {
                assert!(process.ended().is_none(), "{}", process.said());
                let said = process.said();
                let mut lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
                lines.find(|line| line["port"] == port)?["address"].as_str().map(str::to_owned)
            })
            .await
        };
        let (listen, admin) = (at(port).await, at("admin").await);
        let channel = Endpoint::try_from(format!("http://{listen}")).unwrap().connect_lazy();
        let running = Self { process, listen, admin, channel, _kept: kept };
        until("it is ready", async || running.ready().await.then_some(())).await;
        running
    }

    async fn ready(&self) -> bool {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.get(format!("http://{}/readyz", self.admin)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// What a request to a host is answered with.
    pub(crate) async fn asks(&self, host: &str) -> i32 {
        ask_of(&self.channel, (host, ("GET", "/r0/1")), None).await.0
    }

    /// Resident memory, in MiB.
    pub(crate) fn resident(&self) -> f64 {
        self.process.resident() as f64 / f64::from(1 << 20)
    }

    /// CPU time so far.
    pub(crate) fn busy(&self) -> Duration {
        self.process.busy()
    }

    /// Waits until it has nothing to do.
    pub(crate) async fn settles(&self) {
        let mut before = self.busy();
        let mut quiet = 0;
        for _ in 0..LONGEST {
            if quiet >= 6 {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = self.busy();
            quiet = if now.saturating_sub(before) <= QUIET { quiet + 1 } else { 0 };
            before = now;
        }
    }
}

/// The release binary, whatever this program was built as.
fn binary() -> PathBuf {
    let given = std::env::var_os("ENTRANCE_BIN").map(PathBuf::from);
    let built = given.unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/target/release/entrance").into());
    assert!(built.is_file(), "there is no `{}`: run `cargo build --release`", built.display());
    built
}
