//! `entrance emulator` as a process.
#![cfg(feature = "emulator")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/program.rs"]
#[expect(dead_code, reason = "reads no JSON")]
mod program;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use program::{file, run};

const DEADLINE: Duration = Duration::from_secs(60);

struct Running {
    child: Child,
    out: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_entrance"));
        command.arg("emulator").args(["--listen", "127.0.0.1:0"]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, out }
    }

    /// What the next line says after this.
    async fn says(&mut self, what: &str) -> String {
        let line = timeout(DEADLINE, self.out.next_line()).await.unwrap().unwrap().unwrap();
        line.strip_prefix(what).map(|rest| rest.trim().to_owned()).ok_or(line).unwrap()
    }

    async fn end(mut self, signal: &str) -> Option<i32> {
        let pid = self.child.id().unwrap().to_string();
        let sent = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", signal, &pid]).status().await.unwrap();
        assert!(sent.success());
        timeout(DEADLINE, self.child.wait()).await.unwrap().unwrap().code()
    }
}

async fn metadata(client: &reqwest::Client, base: &str) -> u16 {
    let url = format!("{base}/contoso/v2.0/.well-known/openid-configuration");
    client.get(url).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn it_says_where_it_is_and_ends_when_told() {
    for signal in ["TERM", "INT"] {
        let mut running = Running::start(&[]);
        let base = running.says("base URL").await;
        assert!(base.starts_with("http://127.0.0.1:"), "{base}");
        assert_eq!(metadata(&reqwest::Client::new(), &base).await, 200);
        assert_eq!(running.end(signal).await, Some(0));
    }
}

#[tokio::test]
async fn with_https_its_certificate_authority_is_in_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let asked = directory.path().join("ca.pem");
    let asked = asked.to_str().unwrap();
    for more in [&["--https"][..], &["--https", "--ca-out", asked]] {
        let mut running = Running::start(more);
        let base = running.says("base URL").await;
        let path = running.says("CA certificate").await;
        let pem = std::fs::read(&path).unwrap();
        let client = reqwest::Client::builder().add_root_certificate(reqwest::Certificate::from_pem(&pem).unwrap());
        assert_eq!(metadata(&client.build().unwrap(), &base).await, 200);
        assert_eq!(running.end("TERM").await, Some(0));
        assert_eq!(Path::new(&path).exists(), path == asked, "only a file that somebody asked for stays");
    }
}

#[test]
fn it_stays_on_loopback_unless_told_otherwise_twice() {
    let directory = tempfile::tempdir().unwrap();
    let rubbish = file(directory.path(), "rubbish.yaml", "tenants: []\napis: []\n");
    let remote = ["emulator", "--listen", "0.0.0.0:0"];
    for (arguments, part) in [
        (remote.to_vec(), "--https --allow-remote"),
        ([&remote[..], &["--https"]].concat(), "--allow-remote"),
        ([&remote[..], &["--allow-remote"]].concat(), "--https"),
        (vec!["emulator", "--ca-out", "ca.pem"], "--https"),
        (vec!["emulator", "--config", "/does/not/exist"], "--config"),
        (vec!["emulator", "--config", &rubbish], "tenants"),
    ] {
        let ran = run(arguments.iter().copied());
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.out);
        assert!(ran.err.contains(part), "{arguments:?}: {}", ran.err);
    }
}
