//! The processes of the demo: asked to end when it ends, and killed when nobody gets to ask.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::DemoError;

/// Time to end in after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(5);

/// One process.
pub(super) struct Process {
    name: &'static str,
    child: Child,
}

impl Process {
    /// Starts a process that is killed when this is dropped.
    pub(super) fn start(
        name: &'static str,
        program: &Path,
        adjust: impl FnOnce(&mut Command),
    ) -> Result<Self, DemoError> {
        let mut command = Command::new(program);
        adjust(&mut command);
        command.stdin(Stdio::null()).kill_on_drop(true);
        let child = command.spawn();
        let child =
            child.map_err(|error| DemoError::failed(format!("start {name} ({})", program.display()), &error))?;
        Ok(Self { name, child })
    }

    /// What to call it.
    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<String> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(status.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }

    /// SIGTERM, and SIGKILL if that does not help.
    pub(super) async fn end(&mut self) {
        if let Some(pid) = self.child.id() {
            let asked = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &pid.to_string()]).status().await;
            if asked.is_ok_and(|status| status.success()) && timeout(PATIENCE, self.child.wait()).await.is_ok() {
                return;
            }
        }
        if let Err(error) = self.child.kill().await {
            tracing::warn!(%error, name = self.name, "a process of the demo cannot be ended");
        }
    }
}
