//! What the installation says of the sidecar: image, controller, resources, further flags.

use serde::Deserialize;
use serde_json::{Map, Value};

/// Flags that the injection sets itself, or that `entrance serve` does not take beside them.
const RESERVED: [&str; 12] = [
    "--admin",
    "--audit",
    "--controller",
    "--controller-ca",
    "--controller-token",
    "--kube",
    "--listen",
    "--pin-host",
    "--policies",
    "--state",
    "--workload-label",
    "--workload-namespace",
];

/// What is injected.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sidecar {
    /// The image; its entry point is the program.
    pub image: String,
    /// When it is pulled.
    #[serde(default)]
    pub image_pull_policy: Option<String>,
    /// `--controller`.
    pub controller: String,
    /// Requests and limits.
    #[serde(default)]
    pub resources: Resources,
    /// `--audit`.
    #[serde(default)]
    pub audit: Option<String>,
    /// Further flags of `entrance serve`.
    #[serde(default)]
    pub args: Vec<String>,
    /// Further environment, as a container has it.
    #[serde(default)]
    pub env: Vec<Map<String, Value>>,
    /// A file with the PEM of the controller's authority, instead of our own.
    #[serde(default)]
    pub ca_file: Option<String>,
    /// A file with PEM of further authorities to trust when fetching signing keys.
    #[serde(default)]
    pub extra_ca_file: Option<String>,
    /// What that file holds; whoever reads files puts it in.
    #[serde(skip)]
    pub extra_ca: Option<String>,
}

/// Requests and limits of the container.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// What it needs.
    #[serde(default)]
    pub requests: Map<String, Value>,
    /// What it may take.
    #[serde(default)]
    pub limits: Map<String, Value>,
}

/// Why a file does not say what to inject.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SidecarFault {
    /// A field.
    #[error("{0}")]
    Field(String),
    /// The controller's address.
    #[error("controller: `{0}` must be https://host:port")]
    Controller(String),
}

impl Sidecar {
    /// Reads what a file holds.
    ///
    /// # Errors
    /// [`SidecarFault`].
    pub fn read(body: Value) -> Result<Self, SidecarFault> {
        let mut sidecar: Self = serde_json::from_value(body).map_err(|error| SidecarFault::Field(error.to_string()))?;
        if sidecar.image.trim().is_empty() {
            return Err(SidecarFault::Field("image: is empty; name the image".to_owned()));
        }
        if sidecar.port().is_none() {
            return Err(SidecarFault::Controller(sidecar.controller));
        }
        let flags = sidecar.args.iter().map(|flag| flag.split('=').next().unwrap_or_default());
        if let Some(flag) = flags.into_iter().find(|flag| RESERVED.contains(flag)) {
            return Err(SidecarFault::Field(format!("args: `{flag}` is not for a sidecar to be told; leave it out")));
        }
        sidecar.ca_file = sidecar.ca_file.filter(|file| !file.is_empty());
        sidecar.extra_ca_file = sidecar.extra_ca_file.filter(|file| !file.is_empty());
        Ok(sidecar)
    }

    /// The controller's port.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        let uri: http::Uri = self.controller.parse().ok()?;
        let standard = match uri.scheme_str() {
            Some("https") => 443,
            Some("http") => 80,
            Some(_) | None => return None,
        };
        uri.host().filter(|host| !host.is_empty())?;
        Some(uri.port_u16().unwrap_or(standard))
    }

    /// Whether the controller is asked by TLS.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.controller.starts_with("https:")
    }
}
