//! The controller's end: Envoy's `AggregatedDiscoveryService`, delta only.
//!
//! A stream begins with a bearer token; whoever may judge it ([`Admit`]) says what its holder may see. When the token
//! ends, the stream ends with it, and the subscriber comes back with a fresh one.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryService;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use futures_util::Stream;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::RESOURCE_TYPE;
use super::roster::{Entry, Roster};
use super::session::{Heard, Session};
use super::view::{Audience, Catalogue};

/// Longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 16 * 1024;
/// Responses on their way to one subscriber.
const RESPONSES: usize = 4;
/// For the first request of a stream.
const GREETING: Duration = Duration::from_secs(10);

/// Who judges the tokens of subscribers.
pub trait Admit: Send + Sync {
    /// What the holder of this token may see.
    fn admit<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Subscriber, Refusal>>;
}

/// A subscriber that was let in.
#[derive(Clone, Debug)]
pub struct Subscriber {
    /// Who it is, for people.
    pub name: Arc<str>,
    /// What it may see.
    pub audience: Audience,
    /// For so long.
    pub lifetime: Duration,
}

/// Why a subscriber was not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The token is not good.
    #[error("the token is not accepted: {0}")]
    Token(&'static str),
    /// Nobody can tell now.
    #[error("the token cannot be judged now")]
    Unavailable,
}

/// Delivers catalogues.
pub struct Delivery {
    catalogue: watch::Receiver<Option<Arc<Catalogue>>>,
    admit: Arc<dyn Admit>,
    roster: Arc<Roster>,
    stop: CancellationToken,
}

impl Delivery {
    /// Delivers what `catalogue` holds, as soon as it holds something.
    #[must_use]
    pub fn new(
        catalogue: watch::Receiver<Option<Arc<Catalogue>>>,
        admit: Arc<dyn Admit>,
        (roster, stop): (Arc<Roster>, CancellationToken),
    ) -> Self {
        Self { catalogue, admit, roster, stop }
    }
}

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl AggregatedDiscoveryService for Delivery {
    type StreamAggregatedResourcesStream = Responses<DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Responses<DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        _request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("only DeltaAggregatedResources is served"))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let token = bearer(&request)?;
        let subscriber = self.admit.admit(&token).await.map_err(|refusal| match refusal {
            Refusal::Token(_) => Status::unauthenticated(refusal.to_string()),
            Refusal::Unavailable => Status::unavailable(refusal.to_string()),
        })?;
        let (responses, outbound) = mpsc::channel(RESPONSES);
        let entry = self.roster.enter(&subscriber.name, &subscriber.audience);
        let stream = Deliverer { subscriber, entry, catalogue: self.catalogue.clone(), responses };
        let stop = self.stop.clone();
        // The task ends with the stream, with the token, or with the process.
        tokio::spawn(async move {
            tokio::select! {
                () = stream.run(request.into_inner()) => {}
                () = stop.cancelled() => {}
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outbound))))
    }
}

fn bearer<T>(request: &Request<T>) -> Result<String, Status> {
    let missing = || Status::unauthenticated("a bearer token is needed");
    let mut values = request.metadata().get_all("authorization").iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(missing()) };
    let token = value.to_str().ok().and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(missing)?;
    if token.is_empty() || token.len() > MAX_TOKEN { Err(missing()) } else { Ok(token.to_owned()) }
}

struct Deliverer {
    subscriber: Subscriber,
    entry: Entry,
    catalogue: watch::Receiver<Option<Arc<Catalogue>>>,
    responses: mpsc::Sender<Result<DeltaDiscoveryResponse, Status>>,
}

impl Deliverer {
    async fn run(mut self, mut requests: Streaming<DeltaDiscoveryRequest>) {
        let end = tokio::time::sleep(self.subscriber.lifetime);
        tokio::pin!(end);
        let Ok(Ok(Some(first))) = tokio::time::timeout(GREETING, requests.message()).await else { return };
        if first.type_url != RESOURCE_TYPE {
            return self.close(Status::invalid_argument(format!("only {RESOURCE_TYPE} is served"))).await;
        }
        let mut session = Session::begin(&first);
        loop {
            if !self.send(&mut session).await {
                return;
            }
            tokio::select! {
                request = requests.message() => match request {
                    Ok(Some(request)) => self.hear(&mut session, &request),
                    Ok(None) | Err(_) => return,
                },
                changed = self.catalogue.changed() => if changed.is_err() { return },
                () = &mut end => return self.close(Status::unauthenticated("the token has ended; come back with a fresh one")).await,
            }
        }
    }

    fn hear(&mut self, session: &mut Session, request: &DeltaDiscoveryRequest) {
        match session.hear(request) {
            Heard::Acknowledged(_) => self.entry.note(session),
            Heard::Refused(reason) => {
                tracing::warn!(code = "delivery_refused", subscriber = %self.subscriber.name, reason);
                self.entry.note(session);
            }
            Heard::Nothing => {}
        }
    }

    /// Sends what is missing; `false` if nobody listens any more.
    async fn send(&mut self, session: &mut Session) -> bool {
        let Some(catalogue) = self.catalogue.borrow_and_update().clone() else { return true };
        let view = catalogue.view(&self.subscriber.audience);
        match session.send(&view, catalogue.generation) {
            Some(response) => self.responses.send(Ok(response)).await.is_ok(),
            None => true,
        }
    }

    async fn close(self, status: Status) {
        // Whoever went away needs no farewell.
        let (Ok(()) | Err(_)) = self.responses.send(Err(status)).await;
    }
}
