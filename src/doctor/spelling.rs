//! Hosts that the proxy and the authorizer take for two: to the proxy a name with another port is none that it knows.
//!
//! Envoy looks for a virtual host by the `Host` header as it is. An authorizer decides by the name. So where one virtual
//! host has names and another takes what is left, `Host: open.example.com:81` leads to the other, and is checked by the
//! rules of `open.example.com`.

use super::node::Node;
use super::{Findings, Place, Rule};

/// A table of routes below a connection manager that does not take ports away.
pub(super) fn examine((manager, table): (&Node<'_>, &Node<'_>), place: &Place, findings: &mut Findings) {
    if manager.is_surely_on("strip_any_host_port") || table.is_surely_on("ignore_port_in_host_matching") {
        return;
    }
    let hosts = table.list("virtual_hosts");
    let domains = || hosts.iter().flat_map(|host| host.list("domains").into_iter().map(move |domain| (host, domain)));
    let is_named = domains().any(|(_, domain)| domain.value.as_str().is_some_and(|name| !takes_ports(name)));
    let rest = domains().find(|(host, domain)| domain.value.as_str().is_some_and(takes_ports) && leads(host));
    if let Some((host, domain)) = rest.filter(|_| is_named) {
        let found = format!(
            "a name of another virtual host with a port behind it leads to `{}`, and is checked as if it had none",
            host.text("name")
        );
        findings.add(Rule::HostSpelling, (place, &domain, ""), found);
    }
}

/// Whether a domain covers names with any port: `*`, and what begins with a name and ends with `*`.
fn takes_ports(domain: &str) -> bool {
    domain.ends_with('*')
}

/// Whether there is an upstream behind a virtual host.
fn leads(host: &Node<'_>) -> bool {
    let by_matcher = host.field("matcher").is_some();
    by_matcher || host.list("routes").iter().any(|route| route.field("route").is_some())
}
