//! The subscriber's end: stays connected to the controller, takes changes in, publishes whole states.
//!
//! A connection that is lost is made anew, after a pause that grows to ten seconds and is never the same for a herd of
//! subscribers. What is held stands meanwhile, and says that it may be old.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

use crate::api::object::Resources;
use crate::api::settings::Scope;
use crate::clock::{Clock, UnixTime, by_chance};
use crate::token::cloud::loopback;

use super::disk;
use super::subscription::{Became, Subscription, Taken};
use super::wire::Pins;

/// Largest message from the controller, in bytes. It sends more than 8 MiB in several.
const MAX_MESSAGE: usize = 64 << 20;
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(5);
const KEEPALIVE: Duration = Duration::from_secs(20);

/// How to reach the controller.
#[derive(Clone, Debug)]
pub struct Options {
    /// `https://entrance-controller.entrance.svc:9193`; http for loopback only.
    pub url: String,
    /// PEM of the authorities that the controller's certificate must come from.
    pub ca: Option<Vec<u8>>,
    /// File with the projected service-account token; read anew for every connection, since it is rotated.
    pub token: PathBuf,
    /// Directory that outlives the process, to keep what is held.
    pub state: Option<PathBuf>,
}

/// Why the controller cannot be subscribed to as asked.
#[derive(Debug, thiserror::Error)]
pub enum OptionsFault {
    /// The URL.
    #[error("`{0}` must be https://host:port (http:// only for loopback)")]
    Url(String),
    /// The authorities.
    #[error("the certificate authority cannot be used: {0}")]
    Ca(String),
}

/// What is held, and how the connection is.
#[derive(Clone, Debug, Default)]
pub struct Delivered {
    /// The last good state.
    pub state: Option<Arc<State>>,
    /// Whether the controller said so in this connection.
    pub live: bool,
    /// When the controller was last heard.
    pub heard: Option<UnixTime>,
    /// Why there is no connection, if there is none.
    pub problem: Option<Arc<str>>,
}

/// A whole state.
#[derive(Debug)]
pub struct State {
    /// The resources.
    pub resources: Resources,
    /// Who enforces them here.
    pub scope: Scope,
    /// Hosts that the installation gave to a namespace.
    pub pins: Pins,
    /// It comes from the disk and was not confirmed since.
    pub recalled: bool,
}

/// A subscriber that is not connected yet.
pub struct Subscriber {
    options: Options,
    endpoint: Endpoint,
    subscription: Subscription,
    clock: Arc<dyn Clock>,
    published: watch::Sender<Delivered>,
}

impl Subscriber {
    /// Checks the options and recalls what was kept.
    ///
    /// # Errors
    /// [`OptionsFault`].
    pub fn new(options: Options, clock: Arc<dyn Clock>) -> Result<Self, OptionsFault> {
        let endpoint = endpoint(&options)?;
        let recalled = options.state.as_deref().and_then(disk::recall);
        let state = recalled.as_ref().and_then(|subscription| state(subscription, true));
        let published = watch::Sender::new(Delivered { state, ..Delivered::default() });
        Ok(Self { options, endpoint, subscription: recalled.unwrap_or_default(), clock, published })
    }

    /// What is held, from now on.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Delivered> {
        self.published.subscribe()
    }

    /// Stays connected until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut pause = SHORTEST_PAUSE;
        loop {
            let before = self.published.borrow().heard;
            let status = tokio::select! {
                status = self.connection() => status,
                () = stop.cancelled() => return,
            };
            let heard = self.published.borrow().heard != before;
            pause = if heard { SHORTEST_PAUSE } else { pause.saturating_mul(2).min(LONGEST_PAUSE) };
            tracing::warn!(code = "controller_lost", status = ?status.code(), reason = status.message(), "trying again");
            let problem: Arc<str> = status.message().chars().take(256).collect::<String>().into();
            self.published.send_modify(|delivered| {
                delivered.live = false;
                delivered.problem = Some(problem);
            });
            tokio::select! {
                () = tokio::time::sleep(by_chance(pause)) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// One connection, until it ends.
    async fn connection(&mut self) -> Status {
        match self.converse().await {
            Ok(()) => Status::new(Code::Unavailable, "the controller ended the stream"),
            Err(status) => status,
        }
    }

    async fn converse(&mut self) -> Result<(), Status> {
        let channel = self.endpoint.connect().await.map_err(|error| Status::unavailable(reasons(&error)))?;
        let mut client = AggregatedDiscoveryServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
        let (answers, outbound) = mpsc::channel(8);
        let gone = |_| Status::cancelled("the stream is closed");
        answers.send(self.subscription.subscribe()).await.map_err(gone)?;
        let mut request = Request::new(ReceiverStream::new(outbound));
        request.metadata_mut().insert("authorization", self.bearer().await?);
        let mut responses = client.delta_aggregated_resources(request).await?.into_inner();
        while let Some(response) = responses.message().await? {
            let answer = self.take(&response).await?;
            answers.send(answer).await.map_err(gone)?;
        }
        Ok(())
    }

    /// Reads the token; it never appears in a message.
    async fn bearer(&self) -> Result<MetadataValue<Ascii>, Status> {
        let file = &self.options.token;
        let text = tokio::fs::read_to_string(file).await;
        let text =
            text.map_err(|error| Status::unauthenticated(format!("cannot read {}: {}", file.display(), error.kind())))?;
        let mut value: MetadataValue<Ascii> = format!("Bearer {}", text.trim())
            .parse()
            .map_err(|_| Status::unauthenticated(format!("{} holds no token", file.display())))?;
        value.set_sensitive(true);
        Ok(value)
    }

    async fn take(&mut self, response: &DeltaDiscoveryResponse) -> Result<DeltaDiscoveryRequest, Status> {
        let Taken { answer, became } = self.subscription.take(response);
        match became {
            Became::Underway => {}
            Became::Whole => {
                let heard = Some(self.clock.unix());
                let state = state(&self.subscription, false);
                self.published.send_replace(Delivered { state, live: true, heard, problem: None });
                self.keep().await;
            }
            Became::Refused(fault) => {
                tracing::error!(code = "delivery_refused", %fault, "what stood before stands");
            }
            Became::Lacking(names) => {
                let first = names.first().map_or("workload", String::as_str);
                tracing::error!(code = "delivery_incomplete", lacking = first, "nothing of it is enforced");
                let problem = format!("what it delivers lacks `{first}`, which was refused").into();
                self.published.send_modify(|delivered| delivered.problem = Some(problem));
            }
            Became::Strayed => {
                return Err(Status::data_loss("what is held is not what the controller delivered; asking anew"));
            }
        }
        Ok(answer)
    }

    async fn keep(&self) {
        let Some(directory) = self.options.state.clone() else { return };
        let subscription = self.subscription.clone();
        let kept = tokio::task::spawn_blocking(move || disk::keep(&subscription, &directory)).await;
        if let Ok(Err(error)) = kept {
            tracing::warn!(code = "state_not_kept", %error, "a start without the controller would find an older state");
        }
    }
}

fn state(subscription: &Subscription, recalled: bool) -> Option<Arc<State>> {
    let (resources, scope) = (subscription.resources(), subscription.scope()?);
    Some(Arc::new(State { resources, scope, pins: subscription.pins(), recalled }))
}

fn endpoint(options: &Options) -> Result<Endpoint, OptionsFault> {
    let fault = || OptionsFault::Url(options.url.clone());
    let endpoint = Channel::from_shared(options.url.clone()).map_err(|_| fault())?;
    let uri = endpoint.uri();
    let host = uri.authority().map(ToString::to_string).ok_or_else(fault)?;
    let endpoint = match uri.scheme_str() {
        Some("https") => {
            let tls =
                options.ca.iter().fold(ClientTlsConfig::new(), |tls, ca| tls.ca_certificate(Certificate::from_pem(ca)));
            endpoint.tls_config(tls).map_err(|error| OptionsFault::Ca(reasons(&error)))?
        }
        Some("http") if loopback(&host) => endpoint,
        Some(_) | None => return Err(fault()),
    };
    Ok(endpoint.connect_timeout(CONNECT).http2_keep_alive_interval(KEEPALIVE).keep_alive_while_idle(true))
}

/// An error with what caused it, on one line.
fn reasons(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
