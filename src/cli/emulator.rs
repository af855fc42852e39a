//! `entrance emulator`: an Entra stand-in until it is told to end.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::clock::SystemClock;
use crate::emulator::config::Config;
use crate::emulator::{Emulator, Options, Reach, StartFault, Tls, defaults};

use super::args::EmulatorArgs;
use super::out::Out;
use super::runtime::{self, Signals};
use super::{Outcome, UsageError, logging};

/// Runs until SIGTERM or SIGINT.
pub(super) fn run(args: &EmulatorArgs) -> Result<Outcome, UsageError> {
    logging::start("warn");
    let options = options(args)?;
    runtime::run(serve(options, args.ca_out.as_deref()))?
}

async fn serve(options: Options, ca_out: Option<&Path>) -> Result<Outcome, UsageError> {
    let mut signals = Signals::take()?;
    let emulator = Emulator::start(options).await.map_err(|fault| UsageError::new(advised(&fault)))?;
    let ca = emulator.ca_pem().map(|pem| CaFile::write(pem, ca_out)).transpose()?;
    Out.line(&format!("base URL        {}", emulator.base_url()));
    if let Some(ca) = &ca {
        Out.line(&format!("CA certificate  {}", ca.path.display()));
    }
    Out.line("Anybody who reaches it can mint any token. Ctrl-C ends it.");
    signals.next().await;
    emulator.shutdown().await;
    Ok(Outcome::Done)
}

fn advised(fault: &StartFault) -> String {
    let advice = match fault {
        StartFault::NotLoopback(_) => "; write --https --allow-remote if that is meant",
        StartFault::PlainOnNetwork(_) => "; add --https",
        StartFault::Listen(..) => "; choose another address with --listen",
        StartFault::Directory(_) | StartFault::ClientKey(..) => "; mend the file of --config",
        StartFault::Keys(_) | StartFault::Tls(_) => "",
    };
    format!("{fault}{advice}")
}

fn options(args: &EmulatorArgs) -> Result<Options, UsageError> {
    let directory = match &args.config {
        Some(file) => config(file)?,
        None => defaults::config(),
    };
    let reach = if args.allow_remote { Reach::Network } else { Reach::Loopback };
    let base_url = args.base_url.as_ref().map(|url| url.trim_end_matches('/').to_owned());
    let tls = args.https.then(|| Tls { names: base_url.as_deref().and_then(host).into_iter().collect() });
    Ok(Options { listen: args.listen, reach, tls, base_url, directory, clock: Arc::new(SystemClock) })
}

fn config(file: &Path) -> Result<Config, UsageError> {
    let shown = file.display();
    let text = fs::read_to_string(file)
        .map_err(|error| UsageError::new(format!("--config: cannot read `{shown}`: {error}")))?;
    Config::parse(&text).map_err(|fault| UsageError::new(format!("--config: `{shown}`: {fault}")))
}

/// The host of a URL, for the certificate.
fn host(url: &str) -> Option<String> {
    let authority = url.split_once("://")?.1.split('/').next()?;
    let port = authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
    let name = port.map_or(authority, |(name, _)| name);
    Some(name.trim_matches(['[', ']']).to_owned())
}

/// The certificate authority's PEM in a file; one that nobody asked for is removed at the end.
struct CaFile {
    path: PathBuf,
    temporary: bool,
}

impl CaFile {
    fn write(pem: &str, asked: Option<&Path>) -> Result<Self, UsageError> {
        let (path, temporary) = match asked {
            Some(path) => (path.to_owned(), false),
            None => (std::env::temp_dir().join(format!("entrance-emulator-{}-ca.pem", std::process::id())), true),
        };
        let mut open = OpenOptions::new();
        open.write(true);
        // In a directory that all may write to, what is there already is somebody else's.
        let opened = if temporary { open.create_new(true) } else { open.create(true).truncate(true) }.open(&path);
        opened.and_then(|mut file| file.write_all(pem.as_bytes())).map_err(|error| {
            UsageError::new(format!("cannot write `{}`: {error}; name a file with --ca-out", path.display()))
        })?;
        Ok(Self { path, temporary })
    }
}

impl Drop for CaFile {
    fn drop(&mut self) {
        if self.temporary && fs::remove_file(&self.path).is_err() {
            // Somebody was quicker.
        }
    }
}
