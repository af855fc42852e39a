//! A server that always allows: tonic and envoy-types as their documentation shows them.

use std::net::SocketAddr;

use envoy_types::ext_authz::v3::CheckResponseExt as _;
use envoy_types::ext_authz::v3::pb::{Authorization, AuthorizationServer, CheckRequest, CheckResponse};
use tonic::transport::Server;
use tonic::{Request, Response, Status};

struct Floor;

#[tonic::async_trait]
impl Authorization for Floor {
    async fn check(&self, _: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        Ok(Response::new(CheckResponse::with_status(Status::ok("allowed"))))
    }
}

/// Serves until it is killed.
#[tokio::main]
pub(crate) async fn serve(address: SocketAddr) {
    Server::builder().add_service(AuthorizationServer::new(Floor)).serve(address).await.unwrap();
}
