//! Real proxies other than Envoy, configured by the files that we ship: Traefik, nginx, Caddy.
//!
//! Only addresses are put in. nginx's example belongs into an `http` block, which is written here.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::children::{Process, port, scratch, until};
use crate::raw_http::{Ask, Wire};

/// Which one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Traefik,
    Nginx,
    Caddy,
}

/// Where its neighbours are.
#[derive(Clone, Copy)]
pub(crate) struct Neighbours {
    /// The port of Entrance for this kind.
    pub(crate) entrance: SocketAddr,
    pub(crate) upstream: SocketAddr,
}

/// What somebody who did not read the docs writes instead of what stands in a file.
pub(crate) type Slip<'a> = (&'a str, &'a str);

/// Waits longer than shipped: that a machine is busy must not fail a test that is about something else.
pub(crate) const PATIENT: [Slip<'_>; 4] = [
    ("proxy_connect_timeout 1s", "proxy_connect_timeout 20s"),
    ("proxy_read_timeout    1s", "proxy_read_timeout 20s"),
    ("dial_timeout 1s", "dial_timeout 20s"),
    ("response_header_timeout 1s", "response_header_timeout 20s"),
];

/// A running proxy.
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    pub(crate) process: Process,
}

impl Kind {
    /// What `--listen-http` calls it.
    pub(crate) fn dialect(self) -> &'static str {
        match self {
            Self::Traefik => "traefik",
            Self::Nginx => "nginx",
            Self::Caddy => "caddy",
        }
    }

    /// The command that starts it, with its files in `directory`.
    fn command(self, directory: &Path, place: impl Fn(&str) -> String) -> Command {
        let write = |name: &str, text: String| {
            let file = directory.join(name);
            std::fs::write(&file, text).unwrap();
            file
        };
        let mut command = Command::new(binary(self.dialect()));
        match self {
            Self::Traefik => {
                let dynamic = write("dynamic.yaml", place(include_str!("../../examples/traefik/dynamic.yaml")));
                let text = place(include_str!("../../examples/traefik/traefik.yaml"));
                let text = text.replace("/etc/traefik/dynamic.yaml", dynamic.to_str().unwrap());
                command.arg(format!("--configfile={}", write("traefik.yaml", text).display()));
            }
            Self::Nginx => {
                write("api.conf", place(include_str!("../../examples/nginx/api.conf")));
                let main = write("nginx.conf", around(directory));
                command.args(["-e", "stderr", "-p"]).arg(directory).arg("-c").arg(main);
            }
            Self::Caddy => {
                let file = write("Caddyfile", place(include_str!("../../examples/caddy/Caddyfile")));
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
                command.env("HOME", directory).env("XDG_DATA_HOME", directory).env("XDG_CONFIG_HOME", directory);
            }
        }
        command
    }
}

/// An nginx without daemons and with all that it writes in one place, around the example.
fn around(directory: &Path) -> String {
    let at = directory.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let paths: String = temporary.iter().map(|name| format!("{name}_temp_path {at}/{name};\n")).collect();
    let main = "daemon off;\nmaster_process off;\nerror_log stderr warn;\nevents {}\n";
    format!("{main}pid {at}/nginx.pid;\nhttp {{\naccess_log off;\n{paths}include {at}/api.conf;\n}}\n")
}

impl Proxy {
    /// Starts it, with slips in its files; it asks Entrance and forwards requests when this returns.
    pub(crate) async fn start(kind: Kind, neighbours: &Neighbours, slips: &[Slip<'_>]) -> Self {
        let address = port();
        let place = |text: &str| {
            let put = |text: String, (old, new): &(&str, &str)| text.replace(old, new);
            let [entrance, listen, upstream] =
                [neighbours.entrance.to_string(), format!(":{}", address.port()), neighbours.upstream.to_string()];
            let addresses = [("127.0.0.1:9192", &*entrance), (":10000", &listen), ("127.0.0.1:8000", &upstream)];
            slips.iter().chain(&addresses).fold(text.to_owned(), put)
        };
        let directory = scratch(kind.dialect());
        let process = Process::start(kind.command(&directory, place), &directory.join("log"));
        let proxy = Self { address, process };
        proxy.ready(kind).await;
        proxy
    }

    /// Waits until Entrance decides about a request: before, it is refused for want of it or of a configuration.
    async fn ready(&self, kind: Kind) {
        until(kind.dialect(), async || {
            assert!(self.process.ended().is_none(), "it ended:\n{}", self.process.said());
            let mut wire = Wire::try_connect(self.address).await?;
            let answer = wire.send(&Ask::get("ready.example.com", "/").bytes()).await?;
            matches!(answer.status, 200 | 401 | 403).then_some(())
        })
        .await;
    }
}

/// The program to test with.
fn binary(name: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/bin").join(name);
    assert!(program.exists(), "no {name} for tests: run `make tools`");
    program
}
