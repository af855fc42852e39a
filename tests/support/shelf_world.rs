//! A directory of resources that a test writes, and what reading it brings.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use entrance::files::shelf::Reading;
use tempfile::TempDir;

/// A directory that vanishes with the test. The resources lie in one below it, so that they can be replaced.
pub(crate) struct World(TempDir);

impl World {
    pub(crate) fn new() -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        fs::create_dir(world.top()).unwrap();
        world
    }

    /// The directory of the resources.
    pub(crate) fn top(&self) -> PathBuf {
        self.0.path().join("policies")
    }

    /// Where `name` lies; `../` leads out of the resources.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        name.strip_prefix("../").map_or_else(|| self.top().join(name), |name| self.0.path().join(name))
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        let path = self.at(name);
        if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(path).unwrap()
        } else {
            fs::remove_file(path).unwrap()
        }
    }

    /// Makes `name` a link to `target`, at once, whatever it was.
    pub(crate) fn link(&self, target: impl AsRef<Path>, name: &str) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let temporary = path.with_file_name("..link");
        symlink(target, &temporary).unwrap();
        fs::rename(temporary, path).unwrap();
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.at(from), self.at(to)).unwrap();
    }

    /// Writes the next generation of a ConfigMap into `directory` as the kubelet does, and removes the former one.
    pub(crate) fn mount(&self, directory: &str, generation: usize, files: &[(&str, String)]) {
        let in_directory =
            |name: &str| if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
        let hidden = format!("..{generation}");
        for (name, text) in files {
            self.write(&in_directory(&format!("{hidden}/{name}")), text);
        }
        let former = fs::read_link(self.at(&in_directory("..data"))).ok();
        self.link(&hidden, &in_directory("..data"));
        for (name, _) in files {
            let first = name.split('/').next().unwrap();
            if fs::read_link(self.at(&in_directory(first))).is_err() {
                self.link(Path::new("..data").join(first), &in_directory(first));
            }
        }
        if let Some(former) = former {
            self.remove(&in_directory(former.to_str().unwrap()));
        }
    }
}

/// A policy; its one route has this path.
pub(crate) fn policy(name: &str, path: &str) -> String {
    format!(
        "apiVersion: entrance.dev/v1alpha1\nkind: AccessPolicy\nmetadata:\n  namespace: shop\n  name: {name}\nspec:\n  routes:\n  - path: {path}\n"
    )
}

/// What a reading says, a line each: the policies with the paths of their routes, or `none`, and then the problems.
pub(crate) fn said(reading: &Reading) -> Vec<String> {
    let policies = reading.library.as_ref().map(|library| {
        let policies = library.resources.of(entrance::api::object::Kind::AccessPolicy);
        policies
            .map(|policy| {
                format!("{} {}", policy.id.name, policy.body()["spec"]["routes"][0]["path"].as_str().unwrap())
            })
            .collect()
    });
    let problems = reading.problems.iter().map(ToString::to_string);
    policies.unwrap_or_else(|| vec!["none".to_owned()]).into_iter().chain(problems).collect()
}
