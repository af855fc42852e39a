//! Runs a container of a pod as a process: the very command line of its spec, with its environment and its files.
//!
//! No kubelet takes part, so the test says what one would: which directory a volume is, at which free port of this machine
//! an address of the pod is reached, whose kubeconfig stands for the service account. Anything the spec asks for and the
//! test does not say is an error, and so is the reverse.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// One container, and what its pod is given.
pub(crate) struct Container {
    metadata: Value,
    container: Value,
    volumes: Vec<Value>,
    /// Where each mounted directory is on this machine.
    places: Vec<(String, PathBuf)>,
    /// Which argument ends differently here.
    addresses: Vec<(String, String)>,
    environment: Vec<(String, String)>,
}

impl Container {
    /// A container, or an init container, of a Pod, or of the template of a Deployment.
    pub(crate) fn of(object: &Value, name: &str) -> Self {
        let template = if object["kind"] == "Pod" { object } else { &object["spec"]["template"] };
        let spec = &template["spec"];
        let list = |key: &str| spec[key].as_array().cloned().unwrap_or_default();
        let mut all = [list("containers"), list("initContainers")].concat().into_iter();
        let container = all.find(|container| container["name"] == name);
        Self {
            metadata: template["metadata"].clone(),
            container: container.unwrap_or_else(|| panic!("there is no container `{name}` in {spec}")),
            volumes: list("volumes"),
            places: Vec::new(),
            addresses: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// Makes the directories of volumes that need nothing from the test: ConfigMaps among `objects`, and empty ones.
    pub(crate) fn filled(mut self, objects: &[Value], root: &Path) -> Self {
        for volume in self.volumes.clone() {
            let name = volume["name"].as_str().unwrap();
            let directory = root.join(name);
            if let Some(map) = volume["configMap"]["name"].as_str() {
                let known = |object: &&Value| object["kind"] == "ConfigMap" && object["metadata"]["name"] == map;
                let map = objects.iter().find(known).unwrap_or_else(|| panic!("there is no ConfigMap `{map}`"));
                std::fs::create_dir_all(&directory).unwrap();
                for (file, text) in map["data"].as_object().unwrap() {
                    std::fs::write(directory.join(file), text.as_str().unwrap()).unwrap();
                }
            } else if volume["emptyDir"].is_object() {
                std::fs::create_dir_all(&directory).unwrap();
            } else {
                continue;
            }
            self = self.mount(name, &directory);
        }
        self
    }

    /// This volume is this directory.
    pub(crate) fn mount(mut self, volume: &str, directory: &Path) -> Self {
        assert!(self.volumes.iter().any(|known| known["name"] == volume), "the pod has no volume `{volume}`");
        let mounts = self.container["volumeMounts"].as_array();
        let mounts = mounts.into_iter().flatten().filter(|mount| mount["name"] == volume);
        let places: Vec<_> =
            mounts.map(|mount| (mount["mountPath"].as_str().unwrap().to_owned(), directory.to_owned())).collect();
        self.places.extend(places);
        self
    }

    /// What the pod calls `from` is `to` on this machine; an argument must name it.
    pub(crate) fn address(mut self, from: &str, to: &str) -> Self {
        assert!(self.strings("args").iter().any(|argument| argument.contains(from)), "no argument names `{from}`");
        self.addresses.push((from.to_owned(), to.to_owned()));
        self
    }

    /// The address that begins like this, as an argument has it: `0.0.0.0:15901`.
    pub(crate) fn listening(&self, prefix: &str) -> String {
        let found = self
            .strings("args")
            .into_iter()
            .find_map(|argument| Some(argument.get(argument.find(prefix)?..)?.to_owned()));
        found.unwrap_or_else(|| panic!("no argument names `{prefix}`"))
    }

    /// What stands for the files of its service account.
    pub(crate) fn account(mut self, kubeconfig: &Path) -> Self {
        self.environment.push(("KUBECONFIG".to_owned(), kubeconfig.to_str().unwrap().to_owned()));
        self
    }

    /// The path that a probe asks for, on the port that some argument listens on.
    pub(crate) fn probe(&self, name: &str) -> String {
        let probe = &self.container[name]["httpGet"];
        let ports = self.container["ports"].as_array().unwrap();
        let port = ports.iter().find(|port| port["name"] == probe["port"]).unwrap_or(probe)["containerPort"].as_u64();
        let port = port.or_else(|| probe["port"].as_u64()).unwrap_or_else(|| panic!("`{name}` names no port: {probe}"));
        let ending = format!(":{port}");
        assert!(self.strings("args").iter().any(|argument| argument.ends_with(&ending)), "nothing listens on {port}");
        probe["path"].as_str().unwrap().to_owned()
    }

    /// The process that the kubelet would start from an image with `entrance` as its entry point.
    pub(crate) fn command(&self) -> Command {
        let mounts = self.container["volumeMounts"].as_array();
        for mount in mounts.into_iter().flatten() {
            let place = mount["mountPath"].as_str().unwrap();
            assert!(self.places.iter().any(|(known, _)| known == place), "nobody said what `{place}` is");
        }
        assert!(self.container["command"].is_null(), "the image has its own entry point");
        let environment = self.environment();
        let expanded = |text: &str| {
            environment.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("$({name})"), value))
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_entrance"));
        command.args(self.strings("args").iter().map(|argument| self.here(&expanded(argument))));
        command.env_clear().envs(environment.iter().map(|(name, value)| (name, self.here(value))));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    fn environment(&self) -> Vec<(String, String)> {
        let variables = self.container["env"].as_array().into_iter().flatten();
        let read = |variable: &Value| {
            let field = variable["valueFrom"]["fieldRef"]["fieldPath"].as_str();
            let field = field.map(|path| format!("/{}", path.trim_start_matches("metadata.").replace('.', "/")));
            let value = field.map_or(&variable["value"], |path| self.metadata.pointer(&path).unwrap());
            (variable["name"].as_str().unwrap().to_owned(), value.as_str().unwrap_or_default().to_owned())
        };
        variables.map(read).collect()
    }

    /// A text of the spec with this machine's places and addresses.
    fn here(&self, text: &str) -> String {
        let text = self.addresses.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
        self.places.iter().fold(text, |text, (from, to)| text.replace(from, to.to_str().unwrap()))
    }

    fn strings(&self, key: &str) -> Vec<String> {
        let all = self.container[key].as_array().into_iter().flatten();
        all.map(|text| text.as_str().unwrap().to_owned()).collect()
    }
}
