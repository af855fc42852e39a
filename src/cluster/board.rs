//! A board on which the replicas of the controller leave notes for each other: one ConfigMap, one key for each replica.
//!
//! A note is applied by a field manager of its own, so that nobody needs to read before writing, and whoever finds a
//! replica gone can take its note away in its name.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Error};
use serde_json::json;

/// The notes of all replicas, by their identities.
pub type Notes = BTreeMap<String, String>;

/// The board.
#[derive(Clone)]
pub struct Board {
    maps: Api<ConfigMap>,
    name: String,
}

impl Board {
    /// The board of this name, which need not be there.
    #[must_use]
    pub fn new(client: Client, (namespace, name): (&str, &str)) -> Self {
        Self { maps: Api::namespaced(client, namespace), name: name.to_owned() }
    }

    /// Leaves the note of a replica in place of the one before; `None` takes it away.
    ///
    /// # Errors
    /// The API server does not answer, or does not permit it.
    pub async fn leave(&self, replica: &str, note: Option<&str>) -> Result<(), Error> {
        let data: BTreeMap<&str, &str> = note.map(|note| (replica, note)).into_iter().collect();
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": self.name}, "data": data});
        let params = PatchParams::apply(&format!("entrance-{replica}")).force();
        self.maps.patch(&self.name, &params, &Patch::Apply(&map)).await.map(drop)
    }

    /// All notes.
    ///
    /// # Errors
    /// The API server does not answer, or does not permit it.
    pub async fn read(&self) -> Result<Notes, Error> {
        let map = self.maps.get_opt(&self.name).await?;
        Ok(map.and_then(|map| map.data).unwrap_or_default())
    }
}
