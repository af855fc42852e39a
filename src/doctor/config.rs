//! Where a document keeps its listeners, clusters and routes.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::Unfit;
use super::node::Node;

/// What an Envoy is told.
#[derive(Default)]
pub(super) struct Config<'a> {
    pub(super) listeners: Vec<Node<'a>>,
    pub(super) clusters: HashMap<&'a str, Node<'a>>,
    /// Route configurations that a listener names.
    pub(super) routes: HashMap<&'a str, Node<'a>>,
    /// The scopes of routes that a listener names.
    pub(super) scopes: HashMap<&'a str, Vec<Node<'a>>>,
    /// Endpoints that a server has delivered, by what their clusters call them.
    pub(super) endpoints: HashMap<&'a str, Node<'a>>,
    /// Filters that a listener names.
    pub(super) filters: HashMap<&'a str, Node<'a>>,
    pub(super) admin: Option<Node<'a>>,
    /// Runtime values that the bootstrap sets.
    pub(super) runtime: Vec<Node<'a>>,
    /// The cluster that decides who gets in; empty if all that are asked do.
    pub(super) authorizer: &'a str,
    /// Clusters that checked requests go to.
    pub(super) upstreams: BTreeSet<&'a str>,
    /// Updates that the proxy has rejected: of what, and why.
    pub(super) rejected: Vec<(String, Node<'a>)>,
    /// Where a bootstrap says that there are more listeners.
    pub(super) more_listeners: Option<Node<'a>>,
    /// What it is in Istio: `sidecar`, `router`, `waypoint`; empty elsewhere.
    role: &'a str,
    /// Whether clusters that are not here do not exist: not so where a server delivers more.
    pub(super) whole: bool,
}

impl<'a> Config<'a> {
    /// The configuration of a filter, as an `Any`: its own, or the one that a server has delivered.
    pub(super) fn given(&self, filter: &Node<'a>) -> Option<Node<'a>> {
        let delivered = self.filters.get(filter.text("name")).filter(|_| filter.field("config_discovery").is_some());
        filter.field("typed_config").or_else(|| delivered?.field("typed_config"))
    }

    /// Reads a bootstrap, or the answer of `/config_dump`.
    pub(super) fn read(document: &'a Value) -> Result<Self, Unfit> {
        let root = Node::root(document);
        let mut config = Self::default();
        if let Some(configs) = root.field("configs") {
            configs.items().for_each(|dump| config.take(&dump));
            config.whole = true;
        } else if root.field("static_resources").is_some() {
            config.bootstrap(&root);
            config.whole = root.field("dynamic_resources").is_none();
        } else {
            return Err(Unfit::Foreign);
        }
        if config.listeners.is_empty() { Err(Unfit::NoListener) } else { Ok(config) }
    }

    /// Whether Istio runs it.
    pub(super) const fn is_of_istio(&self) -> bool {
        !self.role.is_empty()
    }

    /// Whether a listener is for what the workload beside the proxy sends: its requests are checked where they arrive.
    pub(super) fn is_own_way_out(&self, listener: &Node<'_>) -> bool {
        self.role == "sidecar" && listener.text("traffic_direction") == "OUTBOUND"
    }

    fn bootstrap(&mut self, root: &Node<'a>) {
        self.admin = root.field("admin");
        self.runtime = runtime(root);
        let delivered = ["lds_config", "lds_resources_locator"];
        self.more_listeners = delivered.iter().find_map(|name| root.at(&["dynamic_resources", name]));
        if let Some(resources) = root.field("static_resources") {
            self.listeners.extend(resources.list("listeners"));
            self.clusters.extend(resources.list("clusters").into_iter().map(named));
        }
    }

    /// One part of a dump.
    fn take(&mut self, dump: &Node<'a>) {
        self.rejections(dump);
        match dump.unwrapped().0 {
            // Its static resources come again in the other parts.
            "BootstrapConfigDump" => {
                self.admin = dump.at(&["bootstrap", "admin"]);
                self.runtime = dump.field("bootstrap").map(|bootstrap| runtime(&bootstrap)).unwrap_or_default();
                let node = dump.at(&["bootstrap", "node"]);
                self.role = node.and_then(|node| node.text("id").split_once('~')).map_or("", |(role, _)| role);
            }
            "ListenersConfigDump" => {
                let fixed = dump.list("static_listeners").into_iter().filter_map(|entry| entry.field("listener"));
                let dynamic = dump.list("dynamic_listeners").into_iter();
                let dynamic = dynamic.flat_map(|entry| {
                    // What is being warmed serves next.
                    ["active_state", "warming_state"]
                        .into_iter()
                        .filter_map(move |state| entry.at(&[state, "listener"]))
                });
                self.listeners.extend(fixed.chain(dynamic).map(|listener| listener.unwrapped().1));
            }
            "ClustersConfigDump" => {
                let entries = ["static_clusters", "dynamic_active_clusters"].map(|name| dump.list(name));
                let clusters = entries.into_iter().flatten().filter_map(|entry| entry.field("cluster"));
                self.clusters.extend(clusters.map(|cluster| named(cluster.unwrapped().1)));
            }
            // There if somebody asks for it: `/config_dump?include_eds`.
            "EndpointsConfigDump" => {
                let entries = ["static_endpoint_configs", "dynamic_endpoint_configs"].map(|name| dump.list(name));
                let entries = entries.into_iter().flatten().filter_map(|entry| entry.field("endpoint_config"));
                let assignments = entries.map(|endpoints| endpoints.unwrapped().1);
                self.endpoints.extend(assignments.map(|endpoints| (endpoints.text("cluster_name"), endpoints)));
            }
            "RoutesConfigDump" => {
                let entries = ["static_route_configs", "dynamic_route_configs"].map(|name| dump.list(name));
                let routes = entries.into_iter().flatten().filter_map(|entry| entry.field("route_config"));
                self.routes.extend(routes.map(|routes| named(routes.unwrapped().1)));
            }
            "ScopedRoutesConfigDump" => {
                let entries =
                    ["inline_scoped_route_configs", "dynamic_scoped_route_configs"].map(|name| dump.list(name));
                let scopes = entries.into_iter().flatten().map(|entry| {
                    let scopes = entry.list("scoped_route_configs").into_iter().map(|scope| scope.unwrapped().1);
                    (entry.text("name"), scopes.collect())
                });
                self.scopes.extend(scopes);
            }
            "EcdsConfigDump" => {
                let entries = dump.list("ecds_filters").into_iter().filter_map(|entry| entry.field("ecds_filter"));
                self.filters.extend(entries.map(|filter| named(filter.unwrapped().1)));
            }
            _ => {}
        }
    }
}

impl<'a> Config<'a> {
    /// What a part of a dump tells of updates that failed; of some twice, in an entry of what is there and in one alone.
    fn rejections(&mut self, dump: &Node<'a>) {
        for (list, entries) in dump.members() {
            let kind =
                list.trim_start_matches("dynamic").trim_start_matches('_').trim_end_matches('s').replace('_', " ");
            for (error, entry) in entries.items().filter_map(|entry| Some((entry.field("error_state")?, entry))) {
                let failed = error.field("failed_configuration").map_or("", |failed| failed.text("name"));
                let name = Some(entry.text("name")).filter(|name| !name.is_empty()).unwrap_or(failed);
                let what = format!("{} `{name}`", kind.to_lowercase());
                if self.rejected.iter().all(|(other, _)| *other != what) {
                    self.rejected.push((what, error));
                }
            }
        }
    }
}

/// The layers of runtime values in a bootstrap itself.
fn runtime<'a>(bootstrap: &Node<'a>) -> Vec<Node<'a>> {
    let layers = bootstrap.at(&["layered_runtime", "layers"]);
    layers.iter().flat_map(Node::items).filter_map(|layer| layer.field("static_layer")).collect()
}

fn named(node: Node<'_>) -> (&str, Node<'_>) {
    (node.text("name"), node)
}
