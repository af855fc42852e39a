//! `--sidecar FILE`: what is injected, read again when it changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::admission::inject::sidecar::Sidecar;
use crate::files::yaml;

use super::super::UsageError;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(5);

/// What is injected, and whom its controller's certificate must come from, if a file says so.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Injected {
    pub(super) sidecar: Arc<Sidecar>,
    pub(super) authority: Option<Arc<str>>,
}

/// Reads the file for the first time.
pub(super) fn read(file: &Path) -> Result<Injected, UsageError> {
    look(file).map_err(|problem| UsageError::new(format!("--sidecar: {problem}")))
}

/// Follows the file until told to stop. What cannot be used is told once; the former state stands.
pub(super) async fn follow(file: PathBuf, publish: watch::Sender<Option<Injected>>, stop: CancellationToken) {
    let mut told = String::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = stop.cancelled() => return,
        }
        let problem = match tokio::task::block_in_place(|| look(&file)) {
            Ok(injected) => {
                publish.send_if_modified(|known| {
                    let news = known.as_ref() != Some(&injected);
                    if news {
                        tracing::info!(
                            code = "sidecar_changed",
                            image = injected.sidecar.image,
                            "pods get this from now on"
                        );
                        *known = Some(injected);
                    }
                    news
                });
                String::new()
            }
            Err(problem) => problem,
        };
        if !problem.is_empty() && problem != told {
            tracing::error!(code = "sidecar_unusable", problem, "the former one is injected");
        }
        told = problem;
    }
}

fn look(file: &Path) -> Result<Injected, String> {
    let read = |file: &Path| std::fs::read(file).map_err(|error| format!("cannot read `{}`: {error}", file.display()));
    let documents = yaml::parse(&read(file)?).map_err(|problem| format!("{}:{problem}", file.display()))?;
    let [document] = <[yaml::Document; 1]>::try_from(documents)
        .map_err(|_| format!("`{}` must hold one YAML document", file.display()))?;
    let mut sidecar = Sidecar::read(document.body).map_err(|fault| format!("{}: {fault}", file.display()))?;
    let pem = |file: &String| String::from_utf8(read(Path::new(file))?).map_err(|_| format!("`{file}` is not PEM"));
    let authority = sidecar.ca_file.as_ref().map(pem).transpose()?.map(Arc::from);
    sidecar.extra_ca = sidecar.extra_ca_file.as_ref().map(pem).transpose()?;
    Ok(Injected { sidecar: Arc::new(sidecar), authority })
}
