//! `entrance serve` as a process: its log, its ports, its end.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use entrance::listen::Listen;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{sleep, timeout};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// Nothing here takes nearly as long; a loaded machine is given more.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A running server. Killed when dropped, and gone then: another one may take its port.
pub(crate) struct Server {
    child: Child,
    /// Standard output, which nobody reads; there is none without an audit log.
    pub(crate) out: Option<ChildStdout>,
    log: UnboundedReceiver<String>,
    /// Every line of the log that somebody waited for, and those before it.
    pub(crate) seen: Vec<Value>,
    /// Where ext_authz is answered.
    pub(crate) listen: Listen,
    admin: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended cannot be killed.
        let (Ok(()) | Err(_)) = self.child.start_kill();
        while matches!(self.child.try_wait(), Ok(None)) {
            std::thread::yield_now();
        }
    }
}

impl Server {
    /// Starts a server on free ports, unless `more` says where to listen; it answers when this returns.
    pub(crate) async fn start(policies: &Path, more: &[&str]) -> Self {
        Self::serve(&[&["--policies", policies.to_str().unwrap()], more].concat()).await
    }

    /// Starts a server with these flags alone.
    pub(crate) async fn serve(more: &[&str]) -> Self {
        Self::run("serve", more, "ext_authz").await
    }

    /// Starts a command that answers on `port`, and on the admin port.
    pub(crate) async fn run(name: &str, more: &[&str], port: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_entrance"));
        command.arg(name).args(["--admin", "127.0.0.1:0"]).args(more);
        if !more.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let audited = more.contains(&"--audit");
        if !audited && name == "serve" {
            command.args(["--audit", "off"]);
        }
        command.stdout(if audited { Stdio::piped() } else { Stdio::null() });
        Self::of(command, port).await
    }

    /// Starts a command that somebody else put together.
    pub(crate) async fn of(mut command: Command, port: &str) -> Self {
        command.env_remove("RUST_LOG").stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = lines(child.stderr.take().unwrap());
        let listen = "127.0.0.1:0".parse().unwrap();
        let out = child.stdout.take();
        let mut server = Self { child, out, log, seen: Vec::new(), listen, admin: String::new() };
        let at = server.logged(|line| line["port"] == port).await;
        server.listen = at["address"].as_str().unwrap().parse().unwrap();
        let at = server.logged(|line| line["port"] == "admin").await;
        server.admin = format!("http://{}", at["address"].as_str().unwrap());
        server
    }

    /// The next line of the log that is wanted.
    pub(crate) async fn logged(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let next = async {
            while let Some(line) = self.log.recv().await {
                let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                self.seen.push(line.clone());
                if wanted(&line) {
                    return Some(line);
                }
            }
            None
        };
        let found = timeout(DEADLINE, next).await.ok().flatten();
        found.unwrap_or_else(|| panic!("never logged: {:#?}", self.seen))
    }

    /// An answer of the admin port.
    pub(crate) async fn admin(&self, path: &str) -> (u16, String) {
        let answer = reqwest::get(format!("{}{path}", self.admin)).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Status and body of `/readyz`.
    pub(crate) async fn ready(&self) -> (u16, Value) {
        let (status, body) = self.admin("/readyz").await;
        (status, serde_json::from_str(&body).unwrap())
    }

    /// Waits until `/readyz` is as wanted.
    pub(crate) async fn becomes(&self, wanted: impl Fn(u16, &Value) -> bool) -> Value {
        let mut last = (0, Value::Null);
        let wait = async {
            loop {
                last = self.ready().await;
                if wanted(last.0, &last.1) {
                    return last.1.clone();
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        let found = timeout(DEADLINE, wait).await;
        found.unwrap_or_else(|_| panic!("never so: {last:?} {:#?}", self.seen))
    }

    /// A connection of one's own.
    pub(crate) async fn channel(&self) -> Channel {
        let uri = match &self.listen {
            Listen::Tcp(address) => format!("http://{address}"),
            Listen::Unix(path) => format!("unix:{}", path.display()),
        };
        Endpoint::try_from(uri).unwrap().connect().await.unwrap()
    }

    /// What the health service says.
    pub(crate) async fn health(&self) -> ServingStatus {
        let request = HealthCheckRequest { service: String::new() };
        let mut client = HealthClient::new(self.channel().await);
        client.check(request).await.unwrap().into_inner().status()
    }

    /// Sends a signal.
    pub(crate) async fn signal(&self, name: &str) {
        signal(self.child.id().unwrap(), name).await;
    }

    /// Waits for the end; the exit code.
    pub(crate) async fn end(&mut self) -> i32 {
        let rest = async {
            while let Some(line) = self.log.recv().await {
                self.seen.push(serde_json::from_str(&line).unwrap());
            }
            self.child.wait().await.unwrap()
        };
        timeout(DEADLINE, rest).await.unwrap().code().unwrap()
    }
}

/// Sends a signal to a process.
pub(crate) async fn signal(pid: u32, name: &str) {
    let kill = ["-c", "kill -s \"$0\" \"$1\"", name, &pid.to_string()];
    assert!(Command::new("sh").args(kill).status().await.unwrap().success());
}

/// Lines of a log, read whether or not somebody waits for one: whoever writes them stands still when the pipe is full.
fn lines(log: ChildStderr) -> UnboundedReceiver<String> {
    let (sender, receiver) = unbounded_channel();
    tokio::spawn(async move {
        let mut lines = BufReader::new(log).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            // Nobody may be left who could want it.
            drop(sender.send(line));
        }
    });
    receiver
}

/// Asks whether a request may pass: status and reason.
pub(crate) async fn ask(channel: &Channel, request: (&str, &str), token: Option<&str>) -> (i32, String) {
    ask_of(channel, ("orders.example.com", request), token).await
}

/// The same of another host.
pub(crate) async fn ask_of(
    channel: &Channel,
    (host, (method, path)): (&str, (&str, &str)),
    token: Option<&str>,
) -> (i32, String) {
    let mut http = HttpRequest {
        method: method.to_owned(),
        path: path.to_owned(),
        host: host.to_owned(),
        ..HttpRequest::default()
    };
    if let Some(token) = token {
        http.headers.insert("authorization".to_owned(), format!("Bearer {token}"));
    }
    let request = Request { http: Some(http), ..Request::default() };
    let attributes = AttributeContext { request: Some(request), ..AttributeContext::default() };
    let mut client = AuthorizationClient::new(channel.clone());
    let answer = client.check(CheckRequest { attributes: Some(attributes) }).await.unwrap().into_inner();
    match answer.http_response {
        Some(HttpResponse::DeniedResponse(denied)) => {
            let body: Value = serde_json::from_str(&denied.body).unwrap();
            (denied.status.unwrap().code, body["reason"].as_str().unwrap().to_owned())
        }
        Some(HttpResponse::OkResponse(_)) if answer.status.is_some_and(|status| status.code == 0) => {
            (200, String::new())
        }
        other => panic!("{other:?}"),
    }
}
