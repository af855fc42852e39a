//! The files of one run: a copy of the policies that points at the stand-in, and Envoy's configuration with free ports.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use super::DemoError;

/// The stand-in's address in the example.
const AUTHORITY: &str = "http://127.0.0.1:8080";
/// The file with the example's rules.
pub(super) const POLICY: &str = "policy.yaml";
const BOOTSTRAP: &str = include_str!("../../examples/envoy/envoy.yaml");
const EXAMPLE: [(&str, &str); 2] = [
    ("application.yaml", include_str!("../../examples/orders/application.yaml")),
    (POLICY, include_str!("../../examples/orders/policy.yaml")),
];

/// Writes the policies into `to`, the built-in ones or those of `from`, with the stand-in as their authority.
pub(super) fn policies(from: Option<&Path>, to: &Path, authority: &str) -> Result<(), DemoError> {
    fs::create_dir_all(to).map_err(|error| failed("make a directory", to, &error))?;
    let put = |name: &Path, text: &str| write(&to.join(name), &text.replace(AUTHORITY, authority));
    let Some(from) = from else {
        return EXAMPLE.iter().try_for_each(|(name, text)| put(Path::new(name), text));
    };
    let unreadable = |error: io::Error| failed("read policies from", from, &error);
    for entry in fs::read_dir(from).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if let (true, Some(name)) = (yaml, path.file_name()) {
            let text = fs::read_to_string(&path).map_err(|error| failed("read", &path, &error))?;
            put(Path::new(name), &text)?;
        }
    }
    Ok(())
}

/// Takes everybody off the route that lists orders.
pub(super) fn edit(policies: &Path) -> Result<(), DemoError> {
    let file = policies.join(POLICY);
    let text = fs::read_to_string(&file).map_err(|error| failed("read", &file, &error))?;
    let route = "  - name: list-orders\n";
    let edited = text.replace(route, &format!("{route}    deny: [{{callers: Any}}]\n"));
    if edited == text {
        return Err(DemoError::Setup(format!("`{}` has no route `list-orders` to edit", file.display())));
    }
    // In one step, so that nobody reads half a file.
    let draft = policies.join(".policy.draft");
    write(&draft, &edited)?;
    fs::rename(&draft, &file).map_err(|error| failed("edit", &file, &error))
}

/// Where each of the example's ports is in this run.
pub(super) struct Ports {
    pub(super) proxy: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) entrance: SocketAddr,
    pub(super) api: SocketAddr,
}

/// Writes Envoy's configuration.
pub(super) fn bootstrap(file: &Path, ports: &Ports) -> Result<(), DemoError> {
    let Ports { proxy, admin, entrance, api } = ports;
    let mut text = BOOTSTRAP.to_owned();
    for (written, address) in [(10_000, proxy), (9902, admin), (9191, entrance), (8000, api)] {
        let from = format!("port_value: {written}}}");
        if !text.contains(&from) {
            return Err(DemoError::Setup(format!("Envoy's example configuration has no port {written}")));
        }
        text = text.replace(&from, &format!("port_value: {}}}", address.port()));
    }
    write(file, &text)
}

fn write(file: &Path, text: &str) -> Result<(), DemoError> {
    fs::write(file, text).map_err(|error| failed("write", file, &error))
}

fn failed(what: &str, path: &Path, error: &io::Error) -> DemoError {
    DemoError::failed(format!("{what} {}", path.display()), error)
}
