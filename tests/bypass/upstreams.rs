//! The servers of `examples/bypass`, each of which reads paths in its own way.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::children::{Process, port, scratch, until};
use crate::envoy_process::text;

/// One kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    FastApi,
    Gunicorn,
    Nginx,
    Node,
    Go,
    Tomcat,
    /// Agrees to go on in HTTP/2, with the application of uvicorn.
    Hypercorn,
    /// gunicorn with an application that believes `X-Original-URL` and `X-Rewrite-URL`.
    Believer,
}

impl Kind {
    /// Those that believe nobody.
    pub(crate) const ALL: [Self; 6] = [Self::FastApi, Self::Gunicorn, Self::Nginx, Self::Node, Self::Go, Self::Tomcat];

    /// Its name in tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::FastApi => "uvicorn, FastAPI",
            Self::Gunicorn => "gunicorn",
            Self::Hypercorn => "hypercorn, FastAPI",
            Self::Believer => "gunicorn, believing `X-Original-URL`",
            Self::Nginx => "nginx",
            Self::Node => "Node",
            Self::Go => "Go net/http",
            Self::Tomcat => "Tomcat",
        }
    }

    fn command(self, address: SocketAddr, directory: &Path) -> Command {
        let example = root().join("examples/bypass");
        let port = address.port().to_string();
        let mut command = Command::new(match self {
            Self::FastApi => tool("venv/bin/uvicorn"),
            Self::Hypercorn => tool("venv/bin/hypercorn"),
            Self::Gunicorn | Self::Believer => tool("venv/bin/gunicorn"),
            Self::Nginx => program("nginx"),
            Self::Node => program("node"),
            Self::Go => tool("bin/bypass-go"),
            Self::Tomcat => program("java"),
        });
        match self {
            Self::FastApi => command
                .args(["--log-level", "warning", "--host", "127.0.0.1", "--port", &port])
                .args(["--timeout-keep-alive", "75", "--app-dir"])
                .arg(example.join("fastapi"))
                .arg("app:app"),
            Self::Hypercorn => command.args(["--log-level", "warning", "--workers", "0", "--keep-alive", "75"]).args([
                "--bind",
                &address.to_string(),
                "app:app",
            ]),
            Self::Gunicorn | Self::Believer => command
                .args(if self == Self::Believer { &["--env", "BELIEVES=1"][..] } else { &[] })
                .args(["--log-level", "warning", "--workers", "1", "--threads", "4", "--header-map", "dangerous"])
                .args(["--keep-alive", "75", "--bind", &address.to_string(), "--chdir"])
                .arg(example.join("gunicorn"))
                .arg("app:app"),
            Self::Nginx => {
                let settings = std::fs::read_to_string(example.join("nginx/nginx.conf")).unwrap();
                std::fs::write(directory.join("nginx.conf"), settings.replace("@port@", &port)).unwrap();
                command.arg("-p").arg(directory).args(["-c", "nginx.conf", "-e", "stderr"])
            }
            Self::Node => command.arg(example.join("node/server.js")).arg(&port),
            Self::Go => command.arg(address.to_string()),
            Self::Tomcat => {
                let tomcat = tool("tomcat");
                command.arg("-cp").arg(format!("{0}/classes:{0}/jars/*", tomcat.display()));
                command.args(["Reporter", &port]).arg(directory)
            }
        };
        // hypercorn looks for its application where it is, or in PYTHONPATH
        command.current_dir(directory).env("PYTHONPATH", example.join("fastapi")).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What `make tools` installs.
fn tool(name: &str) -> PathBuf {
    let tool = root().join(".tools").join(name);
    assert!(tool.exists(), "no `{name}` in .tools: run `make tools`");
    tool
}

/// A program that `make tools` installs if PATH has none.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|place| place.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| tool(&format!("bin/{name}")))
}

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    _process: Process,
}

impl Server {
    /// Starts one; it answers when this returns.
    pub(crate) async fn start(kind: Kind) -> Self {
        let directory = scratch("upstream");
        let address = port();
        let process = Process::start(kind.command(address, &directory), &directory.join("server.log"));
        until("the upstream answers", async || {
            assert!(process.ended().is_none(), "{kind:?} ended:\n{}", process.said());
            text(address, "/arrivals").await
        })
        .await;
        Self { address, _process: process }
    }

    /// Where it tells what arrived.
    pub(crate) fn report(&self) -> String {
        format!("http://{}/arrivals", self.address)
    }
}
