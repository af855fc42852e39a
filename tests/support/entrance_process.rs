//! A real `entrance serve`.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::children::{Process, until};
use crate::envoy_process::text;

/// How to start it.
pub(crate) struct Settings {
    /// Where it keeps its logs.
    pub(crate) directory: PathBuf,
    /// The policies.
    pub(crate) policies: PathBuf,
    /// `--listen`.
    pub(crate) listen: String,
    /// Further arguments.
    pub(crate) arguments: Vec<String>,
}

/// A running server.
pub(crate) struct Entrance {
    settings: Settings,
    /// Where it answers Envoy.
    pub(crate) listen: String,
    /// Where it tells of itself.
    pub(crate) admin: SocketAddr,
    pub(crate) process: Process,
}

impl Entrance {
    /// Starts it; it listens when this returns.
    pub(crate) async fn start(settings: Settings) -> Self {
        let process = launch(&settings);
        let (listen, admin) = addresses(&process).await;
        Self { settings, listen, admin: admin.parse().unwrap(), process }
    }

    /// Starts another one where this one was.
    pub(crate) async fn again(self) -> Self {
        let Self { settings, process, .. } = self;
        drop(process);
        Self::start(settings).await
    }

    /// Waits until it says that it is ready.
    pub(crate) async fn ready(&self) {
        until("Entrance is ready", async || {
            assert!(self.process.ended().is_none(), "Entrance ended:\n{}", self.process.said());
            self.readiness().await.filter(|page| page["ready"] == true)
        })
        .await;
    }

    /// What `/readyz` says.
    pub(crate) async fn readiness(&self) -> Option<Value> {
        serde_json::from_str(&text(self.admin, "/readyz").await?).ok()
    }

    /// The condition whose name begins so.
    pub(crate) async fn condition(&self, name: &str) -> Value {
        let page = self.readiness().await.unwrap();
        let conditions = page["conditions"].as_array().unwrap();
        let found = conditions.iter().find(|one| one["name"].as_str().unwrap().starts_with(name));
        found.unwrap_or_else(|| panic!("no `{name}` in {page}")).clone()
    }

    /// What `/debug/snapshot` says.
    pub(crate) async fn snapshot(&self) -> Value {
        serde_json::from_str(&text(self.admin, "/debug/snapshot").await.unwrap()).unwrap()
    }

    /// The generation in force.
    pub(crate) async fn generation(&self) -> u64 {
        self.snapshot().await["generation"].as_u64().unwrap()
    }

    /// A line of `/metrics`, by everything before its value.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let page = text(self.admin, "/metrics").await.unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no `{name}` in:\n{page}")).parse().unwrap()
    }

    /// Where it writes its audit log.
    pub(crate) fn audit_log(&self) -> PathBuf {
        audit_log(&self.settings.directory)
    }

    /// The audit record of a decision.
    pub(crate) async fn audited(&self, decision: &str) -> Value {
        until("the decision is recorded", async || {
            let log = tail(&self.audit_log());
            let line = log.lines().rev().find(|line| line.contains(decision))?;
            serde_json::from_str(line).ok()
        })
        .await
    }
}

/// The last lines of a file; the first of them may lack its beginning.
fn tail(file: &Path) -> String {
    let mut file = std::fs::File::open(file).unwrap();
    let length = file.metadata().unwrap().len();
    file.seek(SeekFrom::Start(length.saturating_sub(256 << 10))).unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn audit_log(directory: &Path) -> PathBuf {
    directory.join("audit.log")
}

fn launch(settings: &Settings) -> Process {
    let Settings { directory, policies, listen, arguments } = settings;
    let mut command = Command::new(env!("CARGO_BIN_EXE_entrance"));
    command.arg("serve").arg("--policies").arg(policies).args(["--listen", listen, "--admin", "127.0.0.1:0"]);
    command.arg("--audit").arg(format!("file:{}", audit_log(directory).display()));
    command.args(arguments).env("RUST_LOG", "info");
    let logs = std::fs::read_dir(directory).unwrap().count();
    Process::start(command, &directory.join(format!("entrance-{logs}.log")))
}

/// Where it answers Envoy, and where it tells of itself.
async fn addresses(process: &Process) -> (String, String) {
    until("Entrance listens", async || {
        let said = process.said();
        assert!(process.ended().is_none(), "Entrance ended:\n{said}");
        let lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let listening: Vec<_> = lines.filter(|line| line["message"] == "listening").collect();
        let at =
            |port: &str| listening.iter().find(|line| line["port"] == port)?["address"].as_str().map(str::to_owned);
        Some((at("ext_authz")?, at("admin")?))
    })
    .await
}
