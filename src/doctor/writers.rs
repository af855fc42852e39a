//! Which headers of requests a filter writes, and what that means before the check and behind it.

use crate::answer::identity_headers;

use super::kinds;
use super::node::Node;
use super::{Findings, Place, Rule};

/// Where a filter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Before,
    After,
}

/// A header that is set or removed.
struct Change<'a> {
    name: &'a str,
    sets: bool,
    at: Node<'a>,
}

/// Looks at what a filter with settings of this type writes. Before the check identity headers are overwritten again, but
/// on routes without the check they are not.
pub(super) fn examine((url, settings): (&str, &Node<'_>), (side, place): (Side, &Place), findings: &mut Findings) {
    let family = kinds::family(url).unwrap_or_default();
    for Change { name, sets, at } in changes(family, settings) {
        let found = format!("{} `{name}`", if sets { "sets" } else { "removes" });
        if identity_headers::is_ours(name.as_bytes()) {
            findings.add(Rule::IdentityOverwritten, (place, &at, ""), found);
        } else if side == Side::Before && sets && name.eq_ignore_ascii_case("authorization") {
            findings.add(Rule::CredentialsBefore, (place, &at, ""), found);
        }
    }
}

fn changes<'a>(family: &str, settings: &Node<'a>) -> Vec<Change<'a>> {
    let set = |name: &'a str, at: &Node<'a>| Change { name, sets: true, at: at.clone() };
    let named = |names: &[&str]| settings.at(names).and_then(|node| Some(set(node.value.as_str()?, &node)));
    let token = || vec![set("authorization", settings)];
    match family {
        "header_mutation" => mutations(settings),
        "aws_request_signing" => token(),
        "gcp_authn" => named(&["token_header", "name"]).map_or_else(token, |change| vec![change]),
        "credential_injector" => {
            let credential = settings.field("credential").and_then(|credential| credential.typed("typed_config"));
            let header = credential.as_ref().map_or("", |(_, credential)| credential.text("header"));
            if header.is_empty() { token() } else { vec![set(header, settings)] }
        }
        "basic_auth" => named(&["forward_username_header"]).into_iter().collect(),
        "api_key_auth" => named(&["forwarding", "header"]).into_iter().collect(),
        "jwt_authn" => claims(settings),
        _ => Vec::new(),
    }
}

/// Those of a list of mutations, of the filter itself or of a route.
fn mutations<'a>(settings: &Node<'a>) -> Vec<Change<'a>> {
    let changes = settings.at(&["mutations", "request_mutations"]);
    let read = |at: Node<'a>| match at.at(&["append", "header"]) {
        Some(header) => Change { name: header.text("key"), sets: true, at },
        None => Change { name: at.text("remove"), sets: false, at },
    };
    changes.iter().flat_map(Node::items).map(read).collect()
}

/// The claims of a token that become headers.
fn claims<'a>(settings: &Node<'a>) -> Vec<Change<'a>> {
    let providers = settings.field("providers");
    let providers = providers.iter().flat_map(Node::members).map(|(_, provider)| provider);
    let read = |provider: Node<'a>| {
        let payload = provider.field("forward_payload_header");
        let payload = payload.and_then(|at| Some(Change { name: at.value.as_str()?, sets: true, at }));
        let claims = provider.list("claim_to_headers").into_iter();
        claims.map(|at| Change { name: at.text("header_name"), sets: true, at }).chain(payload)
    };
    providers.flat_map(read).collect()
}
