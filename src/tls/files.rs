//! A certificate in two files, read again when they change.
//!
//! The files are read every few seconds and compared. That sees what a notification may not: a Secret's volume changes by
//! a link to another directory, some file systems tell nothing, and the two files may come one after the other. A pair
//! that cannot be used is told once and tried again; the former one is shown meanwhile.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Certificate, CertificateFault, Pem};

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(2);

/// Where a certificate and its key are.
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Why there is no certificate in the files.
#[derive(Debug, thiserror::Error)]
pub enum FilesFault {
    /// One of them cannot be read.
    #[error("cannot read `{0}`: {1}")]
    Unreadable(PathBuf, io::Error),
    /// What is in them cannot be used.
    #[error(transparent)]
    Unusable(#[from] CertificateFault),
}

impl Files {
    /// What is in them.
    ///
    /// # Errors
    /// [`FilesFault::Unreadable`].
    pub fn read(&self) -> Result<Pem, FilesFault> {
        let read = |file: &PathBuf| std::fs::read(file).map_err(|error| FilesFault::Unreadable(file.clone(), error));
        Ok(Pem { certificate: read(&self.certificate)?, key: read(&self.key)? })
    }
}

/// A certificate that follows its files.
pub struct Followed {
    files: Files,
    last: Pem,
    certificate: Arc<Certificate>,
}

impl Followed {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// [`FilesFault`].
    pub fn new(files: Files) -> Result<Self, FilesFault> {
        let last = files.read()?;
        let certificate = Certificate::new(&last)?;
        Ok(Self { files, last, certificate })
    }

    /// What is shown.
    #[must_use]
    pub fn certificate(&self) -> Arc<Certificate> {
        Arc::clone(&self.certificate)
    }

    /// Follows the files until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut told = String::new();
        loop {
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = stop.cancelled() => return,
            }
            let problem = match tokio::task::block_in_place(|| self.look()) {
                Ok(true) => {
                    tracing::info!(code = "certificate_renewed", "new connections are shown another certificate");
                    String::new()
                }
                Ok(false) => String::new(),
                Err(fault) => fault.to_string(),
            };
            if !problem.is_empty() && problem != told {
                tracing::error!(code = "certificate_unusable", problem, "the former certificate is shown");
            }
            told = problem;
        }
    }

    /// Whether another certificate is shown from now on.
    fn look(&mut self) -> Result<bool, FilesFault> {
        let pem = self.files.read()?;
        if pem == self.last {
            return Ok(false);
        }
        self.certificate.replace(&pem)?;
        self.last = pem;
        Ok(true)
    }
}
