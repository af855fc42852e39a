//! A check as Envoy sends it.

use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{Address, SocketAddress, address};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request};
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use prost::Message as _;

/// The host of every check.
pub(crate) const HOST: &str = "orders.example.com";

/// The headers of a usual request beside the token, as Envoy hands them over.
const HEADERS: [(&str, &str); 11] = [
    (":authority", HOST),
    (":method", "GET"),
    (":scheme", "https"),
    ("accept", "application/json"),
    ("accept-encoding", "gzip, deflate, br"),
    ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ("user-agent", "orders-client/2.1"),
    ("x-envoy-internal", "true"),
    ("x-forwarded-for", "10.0.0.9"),
    ("x-forwarded-proto", "https"),
    ("x-request-id", "2f1b2a86-5c1e-4e0a-9f51-0d6f3c1f9a77"),
];

/// The message for `GET path` with this token.
pub(crate) fn message(path: &str, token: &str) -> Vec<u8> {
    let text = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let mut headers: std::collections::HashMap<String, String> = HEADERS.map(text).into();
    headers.insert(":path".into(), path.into());
    headers.insert("authorization".into(), format!("Bearer {token}"));
    let http = HttpRequest {
        id: "1234567890".into(),
        method: "GET".into(),
        path: path.into(),
        host: HOST.into(),
        scheme: "https".into(),
        protocol: "HTTP/2".into(),
        headers,
        ..HttpRequest::default()
    };
    let request = Request { http: Some(http), ..Request::default() };
    let (source, destination) = (Some(peer("10.0.0.9", 40_000)), Some(peer("10.0.0.1", 8443)));
    let attributes = AttributeContext { source, destination, request: Some(request), ..AttributeContext::default() };
    CheckRequest { attributes: Some(attributes) }.encode_to_vec()
}

fn peer(address: &str, port: u32) -> Peer {
    let port = Some(PortSpecifier::PortValue(port));
    let socket = SocketAddress { address: address.into(), port_specifier: port, ..SocketAddress::default() };
    Peer { address: Some(Address { address: Some(address::Address::SocketAddress(socket)) }), ..Peer::default() }
}
