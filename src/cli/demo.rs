//! `entrance demo`: finds what the demo needs on this machine, and makes sure that nothing is left of it.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::demo::{self, Ending, Options};

use super::args::DemoArgs;
use super::out::Out;
use super::runtime::{self, Signals};
use super::{Outcome, UsageError, logging};

/// Where `make tools` puts Envoy.
const TOOLS: &str = ".tools/bin";

/// Runs the demo.
pub(super) fn run(args: DemoArgs) -> Result<Outcome, UsageError> {
    logging::start("warn");
    let program = std::env::current_exe()
        .map_err(|error| UsageError::new(format!("cannot tell where this program is: {error}")))?;
    let scratch = Scratch::new()?;
    let DemoArgs { once, envoy, policies } = args;
    let options = Options { once, envoy, search: search(), policies, program, scratch: scratch.0.clone() };
    let ending = runtime::run(tour(&options))??;
    Ok(match ending {
        Ending::AsExpected => Outcome::Done,
        Ending::Otherwise | Ending::Interrupted => Outcome::Refused,
    })
}

async fn tour(options: &Options) -> Result<Ending, UsageError> {
    let mut signals = Signals::take()?;
    let interrupt = async move {
        signals.next().await;
    };
    let say = |line: &str| Out.line(line);
    demo::run(options, &say, interrupt).await.map_err(|error| UsageError::new(error.to_string()))
}

fn search() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::iter::once(Path::new(TOOLS).to_owned()).chain(std::env::split_paths(&path)).collect()
}

/// A directory of this run, for this user only. Removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, UsageError> {
        let path = std::env::temp_dir().join(format!("entrance-demo-{}", std::process::id()));
        let made = fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| UsageError::new(format!("cannot make the directory `{}`: {error}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, directory = %self.0.display(), "a directory of the demo stays");
        }
    }
}
