//! Steering the orchestrator of a stream.

use actix::Addr;
use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{
    ApiState,
    access::{May, Steer},
    body,
    error::ApiError,
};
use crate::{
    event::{EventError, NewEvent, compact, object, vocabulary},
    hub::PublishError,
    orchestrator::{Command, Control, ControlError, Launch, Pace, Players, Transcript},
    stream_key::{StreamKey, StreamKind},
};

/// The longest transcript, in bytes.
const TRANSCRIPT_BYTES_MAX: usize = 1024 * 1024;

pub(super) async fn launch(
    may: May<Steer>,
    request: HttpRequest,
    payload: Payload,
    state: Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    may.count(&request, &state, |rates| &rates.publishes)?;
    let players = players(&state)?;
    let stream = may.stream;
    let limits = body::Limits { array: TRANSCRIPT_BYTES_MAX, object: TRANSCRIPT_BYTES_MAX };
    let json = body::text(&request, payload, limits, &state).await?;
    let asked = if json.trim().is_empty() {
        LaunchBody::default()
    } else {
        body::require_json(&request)?;
        body::parse(&json, "invalid_launch")?
    };
    let pace = asked.pace()?;
    let transcript = asked.transcript(stream.kind(), state.hub.config().event_bytes_max)?;
    let launch = Launch { stream, transcript, pace };
    players.send(launch).await.map_err(|_| ApiError::unavailable())??;
    Ok(accepted("launched"))
}

/// What to launch; without a body, the sample of the stream's kind at its natural pace.
#[derive(Debug, Default)]
struct LaunchBody {
    /// Markdown in a string, or the JSON form.
    transcript: Option<Box<RawValue>>,
    speed: Option<f64>,
}

impl LaunchBody {
    fn pace(&self) -> Result<Pace, ApiError> {
        let error = || ApiError::bad_request("invalid_speed", "'speed' must be 0.01 to 1000");
        self.speed.map_or(Ok(Pace::default()), |speed| Pace::at_speed(speed).ok_or_else(error))
    }

    /// The transcript, each event of which is short enough to be published.
    fn transcript(&self, kind: StreamKind, event_bytes_max: usize) -> Result<Transcript, ApiError> {
        let transcript = match &self.transcript {
            None => Transcript::sample(kind)?,
            Some(json) => match serde_json::from_str::<String>(json.get()) {
                Ok(markdown) => markdown.parse()?,
                Err(_) => compact(json.get()).map_err(EventError::Json)?.parse()?,
            },
        };
        if transcript.longest_event() > event_bytes_max {
            let message = format!(
                "a text of it, with its names and its phase, does not fit into an event of \
                 {event_bytes_max} bytes"
            );
            return Err(ApiError::unprocessable("invalid_transcript", message));
        }
        Ok(transcript)
    }
}

impl<'de> Deserialize<'de> for LaunchBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            transcript: Option<Box<RawValue>>,
            speed: Option<f64>,
        }

        let expected = r#"what to launch, as in {"transcript": "…", "speed": 2}"#;
        let Fields { transcript, speed } = object(deserializer, expected)?;
        Ok(Self { transcript, speed })
    }
}

pub(super) async fn pause(
    may: May<Steer>,
    request: HttpRequest,
    state: Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    may.count(&request, &state, |rates| &rates.publishes)?;
    steer(&may.stream, Command::Pause, players(&state)?).await?;
    Ok(accepted("paused"))
}

pub(super) async fn resume(
    may: May<Steer>,
    request: HttpRequest,
    state: Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    may.count(&request, &state, |rates| &rates.publishes)?;
    steer(&may.stream, Command::Resume, players(&state)?).await?;
    Ok(accepted("resumed"))
}

/// Ends the performance. A stream whose performance has ended without it, as in a restart, is ended, too.
pub(super) async fn stop(
    may: May<Steer>,
    request: HttpRequest,
    state: Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    may.count(&request, &state, |rates| &rates.publishes)?;
    match steer(&may.stream, Command::Stop, players(&state)?).await {
        Err(ControlError::NotRunning) if state.hub.is_under_way(&may.stream).await? => {
            let name = vocabulary(may.stream.kind()).final_name();
            let end = NewEvent::new(name, &serde_json::json!({ "reason": "stopped" }));
            state.hub.publish(&may.stream, end.map_err(|_| ApiError::internal())?).await?;
        }
        steered => steered?,
    }
    Ok(accepted("stopped"))
}

/// Whom to steer. An application may have none: then its streams are not ours to end either.
fn players(state: &ApiState) -> Result<&Addr<Players>, ControlError> {
    state.players.as_ref().ok_or(ControlError::NotRunning)
}

async fn steer(
    stream: &StreamKey,
    command: Command,
    players: &Addr<Players>,
) -> Result<(), ControlError> {
    let control = Control { stream: stream.clone(), command };
    players.send(control).await.unwrap_or(Err(PublishError::Unavailable.into()))
}

fn accepted(status: &str) -> HttpResponse {
    HttpResponse::Accepted().json(serde_json::json!({ "status": status }))
}
