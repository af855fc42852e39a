//! The secret discovery service that `istio-agent` would be: certificates of the mesh for proxies, by mutual TLS.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::{DataSource, data_source::Specifier};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, Secret, TlsCertificate, secret::Type,
};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use envoy_types::pb::envoy::service::secret::v3::secret_discovery_service_server::{
    SecretDiscoveryService, SecretDiscoveryServiceServer,
};
use envoy_types::pb::google::protobuf::Any;
use futures_util::{Stream, StreamExt as _};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};

const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

/// A certificate of a workload, and the authority of the mesh.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) authority: String,
}

/// The running server.
pub(crate) struct Secrets {
    pub(crate) address: SocketAddr,
    /// Who a client is that belongs to the mesh.
    pub(crate) client: Identity,
    /// The gateways of the examples: that of `ingress.yaml` and that of `gateway-api.yaml`.
    pub(crate) edges: [Identity; 2],
    /// And one whose authority the mesh does not know.
    pub(crate) stranger: Identity,
}

/// The authority of a mesh.
fn authority() -> (String, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "mesh");
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    (pem, Issuer::new(params, key))
}

fn identity(account: &str, (authority, issuer): &(String, Issuer<'static, KeyPair>)) -> Identity {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    let name = format!("spiffe://cluster.local/ns/{account}");
    params.subject_alt_names.push(SanType::URI(name.try_into().unwrap()));
    let certificate = params.signed_by(&key, issuer).unwrap().pem();
    Identity { certificate, key: key.serialize_pem(), authority: authority.clone() }
}

impl Secrets {
    pub(crate) async fn start() -> Self {
        let mesh = authority();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = SecretDiscoveryServiceServer::new(Service(Arc::new(identity("shop/sa/default", &mesh))));
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        let client = "shop/sa/client";
        let edges = ["istio-ingress/sa/istio-ingressgateway", "shop/sa/edge-istio"];
        Self {
            address,
            client: identity(client, &mesh),
            edges: edges.map(|edge| identity(edge, &mesh)),
            stranger: identity(client, &authority()),
        }
    }
}

struct Service(Arc<Identity>);

fn inline(pem: &str) -> Option<DataSource> {
    Some(DataSource { specifier: Some(Specifier::InlineString(pem.to_owned())), ..DataSource::default() })
}

impl Identity {
    fn secret(&self, name: &str) -> Secret {
        let kind = match name {
            "ROOTCA" => Type::ValidationContext(CertificateValidationContext {
                trusted_ca: inline(&self.authority),
                ..CertificateValidationContext::default()
            }),
            _ => Type::TlsCertificate(TlsCertificate {
                certificate_chain: inline(&self.certificate),
                private_key: inline(&self.key),
                ..TlsCertificate::default()
            }),
        };
        Secret { name: name.to_owned(), r#type: Some(kind) }
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl SecretDiscoveryService for Service {
    type DeltaSecretsStream = Answers<DeltaDiscoveryResponse>;
    type StreamSecretsStream = Answers<DiscoveryResponse>;

    async fn delta_secrets(
        &self,
        _: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaSecretsStream>, Status> {
        Err(Status::unimplemented("istio-agent has none either"))
    }

    async fn stream_secrets(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamSecretsStream>, Status> {
        let identity = Arc::clone(&self.0);
        let answers = request.into_inner().filter_map(move |request| {
            let identity = Arc::clone(&identity);
            async move {
                // An acknowledgement carries the nonce of what it acknowledges: nothing new comes after it.
                let request = request.ok().filter(|request| request.response_nonce.is_empty())?;
                let secret = |name: &String| Any {
                    type_url: SECRET.to_owned(),
                    value: prost::Message::encode_to_vec(&identity.secret(name)),
                };
                Some(Ok(DiscoveryResponse {
                    version_info: "1".to_owned(),
                    nonce: "1".to_owned(),
                    type_url: SECRET.to_owned(),
                    resources: request.resource_names.iter().map(secret).collect(),
                    ..DiscoveryResponse::default()
                }))
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn fetch_secrets(&self, _: Request<DiscoveryRequest>) -> Result<Response<DiscoveryResponse>, Status> {
        Err(Status::unimplemented("istio-agent has none either"))
    }
}
