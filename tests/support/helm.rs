//! Helm, the real one, on the charts of this repository, without anybody's settings.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use entrance::files::yaml;
use serde_json::Value;
use tempfile::TempDir;

use super::api_server::binary;

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Helm, for one API server or for none.
pub(crate) struct Helm {
    home: TempDir,
    kubeconfig: Option<PathBuf>,
}

impl Helm {
    /// One that renders only.
    pub(crate) fn offline() -> Self {
        Self { home: tempfile::tempdir().unwrap(), kubeconfig: None }
    }

    /// One that acts as this kubeconfig says.
    pub(crate) fn of(kubeconfig: PathBuf) -> Self {
        Self { kubeconfig: Some(kubeconfig), ..Self::offline() }
    }

    /// Runs it to the end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary("helm"));
        command.args(arguments).current_dir(root());
        for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(name, self.home.path());
        }
        // Not even the machine's own cluster.
        let nowhere = self.home.path().join("kubeconfig");
        command.env("KUBECONFIG", self.kubeconfig.as_ref().unwrap_or(&nowhere));
        command.output().unwrap()
    }

    /// What it prints when it succeeds.
    pub(crate) fn prints(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        let complaint = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "helm {arguments:?}: {complaint}");
        String::from_utf8(ran.stdout).unwrap()
    }

    /// What it complains of when it fails.
    pub(crate) fn complains(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert!(!ran.status.success(), "helm {arguments:?} succeeded");
        String::from_utf8(ran.stderr).unwrap()
    }

    /// What the chart renders to, as text.
    pub(crate) fn renders(&self, more: &[&str]) -> String {
        self.prints(&[&["template", "entrance", "charts/entrance", "--namespace", "entrance"], more].concat())
    }
}

/// The objects of a rendered stream.
pub(crate) fn objects(rendered: &str) -> Vec<Value> {
    let documents = yaml::parse(rendered.as_bytes()).unwrap_or_else(|problem| panic!("{problem:?}"));
    documents.into_iter().map(|document| document.body).filter(|body| !body.is_null()).collect()
}

/// The one object of this kind and name.
pub(crate) fn object<'o>(objects: &'o [Value], kind: &str, name: &str) -> &'o Value {
    let found = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("there is no {kind} `{name}`"))
}
