//! A client for running servers.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Once},
    time::Duration,
};

use actix::{Actor, Context, Handler, ResponseFuture};
use anyhow::{Context as _, bail};
use awc::{Client, ClientResponse, Connector, http::StatusCode, http::header};
use bytes::Bytes;
use clap::Args;
use futures_util::Stream;
use rustls::ClientConfig;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::tls;
use crate::{
    config::Hidden,
    event::{IdempotencyKey, NewEvent},
    http::is_loopback,
    hub::{Broadcast, PublishError, Published},
    stream_key::StreamKey,
};

/// How long a server may take to answer a publish.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// Which server.
#[derive(Debug, Clone, Args)]
pub(super) struct ServerArgs {
    /// The server's address
    #[arg(long, env = "CLEARSIDE_URL", value_name = "URL", default_value = "http://127.0.0.1:3000", value_parser = base_url)]
    pub(super) url: String,

    /// File with the token to show to the server; the token itself may be in CLEARSIDE_TOKEN
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// File with the certificates, in PEM format, of the authorities to believe; those of this machine, if not given
    #[arg(long, env = "CLEARSIDE_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,

    #[arg(long, env = "CLEARSIDE_TOKEN", hide = true, hide_env_values = true)]
    token: Option<Hidden>,
}

impl ServerArgs {
    pub(super) fn token(&self) -> anyhow::Result<Option<String>> {
        let token = match &self.token_file {
            None => self.token.as_ref().map(|Hidden(token)| token.clone()),
            Some(path) => {
                let read = fs::read_to_string(path);
                let token = read.with_context(|| format!("cannot read {}", path.display()))?;
                Some(token.trim().to_owned())
            }
        };
        if token.is_some() {
            self.warn_of_listeners();
        }
        Ok(token)
    }

    /// How to speak to it; none: without TLS.
    pub(super) fn tls(&self) -> anyhow::Result<Option<Arc<ClientConfig>>> {
        if self.url.starts_with("https://") {
            return tls::client_config(self.ca_file.as_deref()).map(Some);
        }
        if self.ca_file.is_some() {
            bail!("--ca-file is for a server with TLS, and {} is none: write https://", self.url);
        }
        Ok(None)
    }

    /// Says so if whoever listens on the way will have the token.
    fn warn_of_listeners(&self) {
        let host = self.url.strip_prefix("http://").and_then(|rest| rest.split('/').next());
        let host = host.map(|host| host.rsplit_once('@').map_or(host, |(_, host)| host));
        if host.is_some_and(|host| !is_loopback(host)) {
            static SAID: Once = Once::new();
            SAID.call_once(|| {
                let url = &self.url;
                log::warn!(
                    "the token goes to {url} in plain sight of whoever is on the way: use https://"
                );
            });
        }
    }
}

fn base_url(text: &str) -> Result<String, String> {
    let url = text.trim_end_matches('/');
    match url.split_once("://") {
        Some(("http" | "https", server)) if !server.is_empty() => Ok(url.to_owned()),
        _ => {
            Err("a server's address looks like http://127.0.0.1:3000 or https://example.org".into())
        }
    }
}

/// A connection to one server.
#[derive(Clone)]
pub(super) struct ApiClient {
    base_url: String,
    client: Client,
}

#[derive(Deserialize)]
struct PublishedBody {
    ids: Vec<Option<String>>,
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Deserialize)]
pub(super) struct ErrorDetail {
    code: String,
    message: String,
}

/// What came of a request to publish.
pub(super) enum Sent {
    Published(Published),
    /// The server said no, and why.
    Refused(StatusCode, ErrorDetail),
}

impl ApiClient {
    pub(super) fn new(server: &ServerArgs) -> anyhow::Result<Self> {
        // A stream has no end; what must end has a limit of its own.
        let mut connector = Connector::new();
        if let Some(tls) = server.tls()? {
            connector = connector.rustls_0_23(tls);
        }
        let mut client = Client::builder().connector(connector).disable_timeout();
        if let Some(token) = server.token()? {
            client = client.bearer_auth(token);
        }
        Ok(Self { base_url: server.url.clone(), client: client.finish() })
    }

    /// Publishes events, all or none.
    ///
    /// With a key, it is safe to try again when this fails.
    pub(super) async fn publish(
        &self,
        stream: &StreamKey,
        events: &[NewEvent],
        key: Option<&IdempotencyKey>,
    ) -> anyhow::Result<Sent> {
        let url = format!("{}{}/events", self.base_url, stream.path());
        let mut request = self.client.post(&url).timeout(ANSWER_TIMEOUT);
        if let Some(key) = key {
            request = request.insert_header(("Idempotency-Key", key.as_str()));
        }
        let mut answer = request
            .send_json(&events)
            .await
            .map_err(|error| anyhow::anyhow!("{error}"))
            .with_context(|| format!("cannot reach {url}"))?;
        let body = answer.body().await.context("the server's answer is cut short")?;
        if !answer.status().is_success() {
            return Ok(Sent::Refused(answer.status(), detail(&body)));
        }
        let body: PublishedBody =
            serde_json::from_slice(&body).context("the server's answer makes no sense")?;
        let ids = body
            .ids
            .into_iter()
            .map(|id| id.map(|id| id.parse()).transpose())
            .collect::<Result<_, _>>()?;
        Ok(Sent::Published(Published { ids, is_repeat: answer.status() == StatusCode::OK }))
    }

    /// Follows a stream from this cursor on; `None` if it has ended and all of it has been seen.
    pub(super) async fn follow(
        &self,
        stream: &StreamKey,
        last_event_id: Option<&str>,
    ) -> anyhow::Result<Option<impl Stream<Item = Result<Bytes, awc::error::PayloadError>> + use<>>>
    {
        let url = format!("{}{}/stream", self.base_url, stream.path());
        let mut request =
            self.client.get(&url).insert_header((header::ACCEPT, "text/event-stream"));
        if let Some(id) = last_event_id {
            request = request.insert_header(("Last-Event-ID", id));
        }
        let mut answer: ClientResponse<_> = request
            .send()
            .await
            .map_err(|error| anyhow::anyhow!("{error}"))
            .with_context(|| format!("cannot reach {url}"))?;
        match answer.status() {
            StatusCode::OK => Ok(Some(answer)),
            StatusCode::NO_CONTENT => Ok(None),
            status => {
                let body = answer.body().await.unwrap_or_default();
                Err(Refused { status, message: detail(&body).message }.into())
            }
        }
    }
}

/// The server has answered, and will not answer differently the next time.
#[derive(Debug, thiserror::Error)]
#[error("the server refuses ({status}): {message}")]
pub(super) struct Refused {
    status: StatusCode,
    message: String,
}

pub(super) fn detail(body: &[u8]) -> ErrorDetail {
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(body) => body.error,
        Err(_) => ErrorDetail { code: String::new(), message: "it does not say why".into() },
    }
}

impl std::fmt::Display for ErrorDetail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// Publishes on another process's hub what a player here performs.
pub(super) struct HttpPublisher {
    pub(super) client: ApiClient,
}

impl Actor for HttpPublisher {
    type Context = Context<Self>;
}

impl Handler<Broadcast> for HttpPublisher {
    type Result = ResponseFuture<Result<Published, PublishError>>;

    fn handle(&mut self, broadcast: Broadcast, _: &mut Self::Context) -> Self::Result {
        let client = self.client.clone();
        Box::pin(async move {
            match forward(&client, &broadcast).await {
                Ok(Sent::Published(published)) => Ok(published),
                Ok(Sent::Refused(status, detail)) => Err(publish_error(status, detail)),
                Err(error) => Err(PublishError::Unreachable(format!("{error:#}"))),
            }
        })
    }
}

/// What the server's refusal means to whoever publishes: whether to try again, above all.
fn publish_error(status: StatusCode, detail: ErrorDetail) -> PublishError {
    match status {
        _ if detail.code == "completed" => PublishError::Completed,
        StatusCode::TOO_MANY_REQUESTS => PublishError::Overloaded,
        // The last two are a proxy's, while the server behind it starts again.
        StatusCode::REQUEST_TIMEOUT
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::BAD_GATEWAY
        | StatusCode::GATEWAY_TIMEOUT => PublishError::Unavailable,
        _ => PublishError::Refused(detail.message),
    }
}

async fn forward(client: &ApiClient, broadcast: &Broadcast) -> anyhow::Result<Sent> {
    let mut events = Vec::with_capacity(broadcast.events().len());
    for event in broadcast.events() {
        events.push(NewEvent {
            name: event.name().to_owned(),
            data: RawValue::from_string(event.data().to_owned())?,
            transient: event.is_transient(),
        });
    }
    client.publish(broadcast.stream(), &events, broadcast.idempotency_key()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_right_a_little_later_is_tried_again() {
        for (status, code, is_passing) in [
            (408, "timeout", true),
            (429, "rate_limited", true),
            (502, "", true),
            (503, "overloaded", true),
            (503, "unavailable", true),
            (504, "", true),
            (401, "invalid_token", false),
            (403, "forbidden", false),
            (409, "completed", false),
            (409, "idempotency_key_reused", false),
            (413, "too_large", false),
            (500, "internal", false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let detail = ErrorDetail { code: code.into(), message: "no".into() };
            let error = publish_error(status, detail);
            assert_eq!(error.is_passing(), is_passing, "{status} {code}: {error}");
            assert_eq!(error == PublishError::Completed, code == "completed");
        }
    }
}
