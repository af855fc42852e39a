//! Where a document keeps its listeners, clusters and routes.

use std::collections::HashMap;

use serde_json::Value;

use super::Unfit;
use super::node::Node;

/// What an Envoy is told.
pub(super) struct Config<'a> {
    pub(super) listeners: Vec<Node<'a>>,
    pub(super) clusters: HashMap<&'a str, Node<'a>>,
    /// Route configurations that a listener names.
    pub(super) routes: HashMap<&'a str, Node<'a>>,
    /// Filters that a listener names.
    pub(super) filters: HashMap<&'a str, Node<'a>>,
    pub(super) admin: Option<Node<'a>>,
    /// It stands beside one workload of Istio, and takes requests of others as well as that one's own.
    is_sidecar: bool,
    /// Whether clusters that are not here do not exist: not so where a server delivers more.
    pub(super) whole: bool,
}

impl<'a> Config<'a> {
    /// Reads a bootstrap, or the answer of `/config_dump`.
    pub(super) fn read(document: &'a Value) -> Result<Self, Unfit> {
        let root = Node::root(document);
        let mut config = Self::empty();
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

    fn empty() -> Self {
        Self {
            listeners: Vec::new(),
            clusters: HashMap::new(),
            routes: HashMap::new(),
            filters: HashMap::new(),
            admin: None,
            is_sidecar: false,
            whole: false,
        }
    }

    /// Whether a listener is for what the workload itself sends: its requests are checked where they arrive.
    pub(super) fn is_own_way_out(&self, listener: &Node<'_>) -> bool {
        self.is_sidecar && listener.text("traffic_direction") == "OUTBOUND"
    }

    fn bootstrap(&mut self, root: &Node<'a>) {
        self.admin = root.field("admin");
        if let Some(resources) = root.field("static_resources") {
            self.listeners.extend(resources.list("listeners"));
            self.clusters.extend(resources.list("clusters").into_iter().map(named));
        }
    }

    /// One part of a dump.
    fn take(&mut self, dump: &Node<'a>) {
        match dump.unwrapped().0 {
            // Its static resources come again in the other parts.
            "BootstrapConfigDump" => {
                self.admin = dump.at(&["bootstrap", "admin"]);
                let node = dump.at(&["bootstrap", "node"]);
                self.is_sidecar = node.is_some_and(|node| node.text("id").starts_with("sidecar~"));
            }
            "ListenersConfigDump" => {
                let fixed = dump.list("static_listeners").into_iter().filter_map(|entry| entry.field("listener"));
                let dynamic = dump.list("dynamic_listeners").into_iter();
                let dynamic = dynamic.filter_map(|entry| entry.at(&["active_state", "listener"]));
                self.listeners.extend(fixed.chain(dynamic).map(|listener| listener.unwrapped().1));
            }
            "ClustersConfigDump" => {
                let entries = ["static_clusters", "dynamic_active_clusters"].map(|name| dump.list(name));
                let clusters = entries.into_iter().flatten().filter_map(|entry| entry.field("cluster"));
                self.clusters.extend(clusters.map(|cluster| named(cluster.unwrapped().1)));
            }
            "RoutesConfigDump" => {
                let entries = ["static_route_configs", "dynamic_route_configs"].map(|name| dump.list(name));
                let routes = entries.into_iter().flatten().filter_map(|entry| entry.field("route_config"));
                self.routes.extend(routes.map(|routes| named(routes.unwrapped().1)));
            }
            "EcdsConfigDump" => {
                let entries = dump.list("ecds_filters").into_iter().filter_map(|entry| entry.field("ecds_filter"));
                self.filters.extend(entries.map(|filter| named(filter.unwrapped().1)));
            }
            _ => {}
        }
    }
}

fn named(node: Node<'_>) -> (&str, Node<'_>) {
    (node.text("name"), node)
}
