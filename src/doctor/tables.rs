//! Where the routes of a connection manager are written: in it, in a configuration that a server delivers, by scope, and in
//! matcher trees.

use super::config::Config;
use super::node::Node;

/// The route configurations of a manager.
pub(super) struct Tables<'a> {
    pub(super) seen: Vec<Node<'a>>,
    /// Those that are not in the document: the field that leads to them, and what they are called.
    pub(super) unseen: Vec<(Node<'a>, String)>,
}

impl<'a> Tables<'a> {
    /// Those of a manager.
    pub(super) fn of(manager: &Node<'a>, config: &Config<'a>) -> Self {
        let mut tables = Self { seen: Vec::new(), unseen: Vec::new() };
        if let Some(table) = manager.field("route_config") {
            tables.seen.push(table);
        } else if let Some(rds) = manager.field("rds") {
            tables.named(rds.text("route_config_name"), rds, config);
        } else if let Some(scoped) = manager.field("scoped_routes") {
            tables.scoped(&scoped, config);
        } else {
            tables.unseen.push((manager.clone(), String::new()));
        }
        let beyond = tables.seen.iter().flat_map(beyond).collect::<Vec<_>>();
        tables.unseen.extend(beyond);
        tables
    }

    fn named(&mut self, name: &str, at: Node<'a>, config: &Config<'a>) {
        match config.routes.get(name) {
            Some(table) => self.seen.push(table.clone()),
            None => self.unseen.push((at, name.to_owned())),
        }
    }

    fn scoped(&mut self, scoped: &Node<'a>, config: &Config<'a>) {
        const INLINE: [&str; 2] = ["scoped_route_configurations_list", "scoped_route_configurations"];
        let name = scoped.text("name");
        let inline = scoped.at(&INLINE).map(|scopes| scopes.items().collect::<Vec<_>>());
        let Some(scopes) = inline.or_else(|| config.scopes.get(name).cloned()) else {
            return self.unseen.push((scoped.clone(), name.to_owned()));
        };
        for scope in scopes {
            match scope.field("route_configuration") {
                Some(table) => self.seen.push(table),
                None => self.named(scope.text("route_configuration_name"), scope, config),
            }
        }
    }

    /// All routes that are seen.
    pub(super) fn routes(&self) -> Vec<Node<'a>> {
        self.seen.iter().flat_map(|table| table.list("virtual_hosts")).flat_map(|host| routes(&host).0).collect()
    }
}

/// What a route configuration leaves to others.
fn beyond<'a>(table: &Node<'a>) -> Vec<(Node<'a>, String)> {
    let name = table.text("name");
    let hosts = table.list("virtual_hosts");
    let others = hosts.iter().flat_map(|host| routes(host).1);
    table.field("vhds").into_iter().chain(others).map(|node| (node, name.to_owned())).collect()
}

/// The routes of a virtual host, and actions of its matcher tree that are none.
pub(super) fn routes<'a>(host: &Node<'a>) -> (Vec<Node<'a>>, Vec<Node<'a>>) {
    let (mut routes, mut others) = (host.list("routes"), Vec::new());
    let mut open: Vec<Node<'a>> = host.field("matcher").into_iter().collect();
    while let Some(node) = open.pop() {
        let action = node.field("action").filter(|action| action.field("typed_config").is_some());
        match action.and_then(|action| action.typed("typed_config")) {
            Some(("Route", route)) => routes.push(route),
            Some(("RouteList", list)) => routes.extend(list.list("routes")),
            Some((_, other)) => others.push(other),
            None => open.extend(node.members().map(|(_, child)| child).chain(node.items())),
        }
    }
    (routes, others)
}
