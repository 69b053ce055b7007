//! Steering the orchestrator of a stream.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{ApiState, body, error::ApiError, target::Target};
use crate::orchestrator::{Command, Control, ControlError, Launch, Pace, Transcript};

/// The longest transcript, in bytes.
const TRANSCRIPT_BYTES_MAX: usize = 1024 * 1024;

/// What to launch; without a body, the sample of the stream's kind at its natural pace.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LaunchBody {
    /// Markdown in a string, or the JSON form.
    transcript: Option<Box<RawValue>>,
    speed: Option<f64>,
}

pub(super) async fn launch(
    Target(stream): Target,
    request: HttpRequest,
    payload: Payload,
    state: Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let json = body::text(&request, payload, TRANSCRIPT_BYTES_MAX, &state).await?;
    let asked = if json.trim().is_empty() {
        LaunchBody::default()
    } else {
        body::require_json(&request)?;
        body::parse(&json)?
    };
    let pace = match asked.speed {
        Some(speed) => Pace::at_speed(speed).ok_or_else(|| {
            ApiError::bad_request("invalid_speed", "'speed' must be 0.01 to 1000")
        })?,
        None => Pace::default(),
    };
    let transcript = match asked.transcript {
        Some(json) => transcript(&json)?,
        None => Transcript::sample(stream.kind())?,
    };
    let players = state.players.as_ref().ok_or(ControlError::NotRunning)?;
    let launch = Launch { stream, transcript, pace };
    players.send(launch).await.map_err(|_| ApiError::unavailable())??;
    Ok(accepted("launched"))
}

pub(super) async fn pause(target: Target, state: Data<ApiState>) -> Result<HttpResponse, ApiError> {
    steer(target, Command::Pause, state).await?;
    Ok(accepted("paused"))
}

pub(super) async fn resume(
    target: Target,
    state: Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    steer(target, Command::Resume, state).await?;
    Ok(accepted("resumed"))
}

pub(super) async fn stop(target: Target, state: Data<ApiState>) -> Result<HttpResponse, ApiError> {
    steer(target, Command::Stop, state).await?;
    Ok(accepted("stopped"))
}

async fn steer(
    Target(stream): Target,
    command: Command,
    state: Data<ApiState>,
) -> Result<(), ApiError> {
    let players = state.players.as_ref().ok_or(ControlError::NotRunning)?;
    players.send(Control { stream, command }).await.map_err(|_| ApiError::unavailable())??;
    Ok(())
}

fn accepted(status: &str) -> HttpResponse {
    HttpResponse::Accepted().json(serde_json::json!({ "status": status }))
}

fn transcript(json: &RawValue) -> Result<Transcript, ApiError> {
    let parsed = match serde_json::from_str::<String>(json.get()) {
        Ok(markdown) => markdown.parse(),
        Err(_) => json.get().parse(),
    };
    Ok(parsed?)
}
