//! The settings of the hub that can be set from outside, and how many connections the machine allows.

use std::time::Duration;

use clap::Args;

use super::{SettingsError, duration, positive};
use crate::hub::HubConfig;

/// File descriptors that no subscriber gets: for publishers, health checks, the database and the logs.
const DESCRIPTORS_RESERVED: u64 = 256;

/// Half of it, which some browsers are told, is then a whole millisecond: at `retry: 0` they would come back at once,
/// and again at once.
const RETRY_MIN: Duration = Duration::from_millis(2);

/// File descriptors that no connection gets at all.
const DESCRIPTORS_OWN: u64 = 64;

/// The settings of the hub that can be set from outside.
#[derive(Debug, Clone, Args)]
pub(crate) struct HubSettings {
    /// Time between the heartbeats on each connection
    #[arg(long, env = "CLEARSIDE_HEARTBEAT", value_name = "TIME", default_value = "15s", value_parser = duration)]
    pub(crate) heartbeat: Duration,

    /// How long browsers wait before they reconnect; each is told 50 to 150 % of it
    #[arg(long, env = "CLEARSIDE_RETRY", value_name = "TIME", default_value = "2s", value_parser = retry)]
    pub(crate) retry: Duration,

    /// Age at which a connection is ended, to resume at once; 90 to 110 % of it
    #[arg(
        long,
        env = "CLEARSIDE_MAX_CONNECTION_AGE",
        value_name = "TIME",
        default_value = "1h",
        value_parser = duration
    )]
    pub(crate) max_connection_age: Duration,

    /// Connections in all; no more than the limit of open files allows
    #[arg(long, env = "CLEARSIDE_MAX_CLIENTS", value_name = "N", default_value_t = 20_000, value_parser = positive)]
    pub(crate) max_clients: usize,

    /// Connections to one stream
    #[arg(
        long,
        env = "CLEARSIDE_MAX_CLIENTS_PER_STREAM",
        value_name = "N",
        default_value_t = 20_000,
        value_parser = positive
    )]
    pub(crate) max_clients_per_stream: usize,

    /// Connections from one address; 1000 if not set, but then none for this machine and private networks
    #[arg(long, env = "CLEARSIDE_MAX_CLIENTS_PER_ADDRESS", value_name = "N", value_parser = positive)]
    pub(crate) max_clients_per_address: Option<usize>,

    /// Connections of one token, or of all tokens with the same `sub`
    #[arg(
        long,
        env = "CLEARSIDE_MAX_CLIENTS_PER_SUBJECT",
        value_name = "N",
        default_value_t = 1_000,
        value_parser = positive
    )]
    pub(crate) max_clients_per_subject: usize,

    /// Streams in memory: those that are followed, or were published to in the last minutes
    #[arg(long, env = "CLEARSIDE_MAX_STREAMS", value_name = "N", default_value_t = 65_536, value_parser = positive)]
    pub(crate) max_streams: usize,

    /// Deliveries that may wait for one connection before it falls behind
    #[arg(long, env = "CLEARSIDE_MAILBOX", value_name = "N", default_value_t = 64, value_parser = positive)]
    pub(crate) mailbox: usize,

    /// Events that each active stream keeps in memory
    #[arg(long, env = "CLEARSIDE_HISTORY", value_name = "N", default_value_t = 256, value_parser = positive)]
    pub(crate) history: usize,

    /// Longest data of one event, in bytes
    #[arg(
        long,
        env = "CLEARSIDE_MAX_EVENT_BYTES",
        value_name = "BYTES",
        default_value_t = 65_536,
        value_parser = positive
    )]
    pub(crate) max_event_bytes: usize,
}

impl HubSettings {
    /// The hub's own settings; connections are bounded by what `descriptors` allows, too.
    ///
    /// # Errors
    /// When they allow none.
    pub(crate) fn to_hub_config(&self, descriptors: u64) -> Result<HubConfig, SettingsError> {
        let allowed =
            usize::try_from(descriptors.saturating_sub(DESCRIPTORS_RESERVED)).unwrap_or(usize::MAX);
        if allowed == 0 {
            let reason = format!("must be more than {DESCRIPTORS_RESERVED}, and is {descriptors}");
            return Err(SettingsError::new("the limit on open files (`ulimit -n`)", reason));
        }
        let default = HubConfig::default();
        let per_address = self.max_clients_per_address;
        let config = HubConfig {
            heartbeat_interval: self.heartbeat,
            retry: self.retry,
            connection_age_max: self.max_connection_age,
            clients_max: self.max_clients.min(allowed),
            clients_per_stream_max: self.max_clients_per_stream,
            clients_per_address_max: per_address.unwrap_or(default.clients_per_address_max),
            counts_own_network: per_address.is_some(),
            clients_per_subject_max: self.max_clients_per_subject,
            streams_max: self.max_streams,
            mailbox_capacity: self.mailbox,
            history_events: self.history,
            event_bytes_max: self.max_event_bytes,
            ..default
        };
        Ok(config.with_room_for_each_publish())
    }
}

fn retry(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        retry if retry < RETRY_MIN => Err("must be at least 2ms".into()),
        retry => Ok(retry),
    }
}

/// How many connections of all kinds each of so many workers takes.
///
/// Twice as many as subscribers, for they have other requests, too; but never so many that no descriptor is
/// left for the database.
pub(crate) fn connections_per_worker(clients: usize, descriptors: u64, workers: usize) -> usize {
    let allowed = usize::try_from(descriptors.saturating_sub(DESCRIPTORS_OWN));
    let shared = allowed.unwrap_or(usize::MAX) / workers.max(1);
    clients.saturating_mul(2).max(1024).min(shared.max(1))
}

#[cfg(test)]
mod tests {
    use actix::Arbiter;
    use clap::Parser;

    use super::*;
    use crate::{
        event::NewEvent,
        hub::{Hub, PublishError},
        store::{DatabaseUrl, Store},
    };

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        hub: HubSettings,
    }

    #[test]
    fn every_browser_is_told_to_wait_for_a_millisecond_or_more() {
        for text in ["1ns", "500us", "1999us"] {
            assert_eq!(retry(text), Err("must be at least 2ms".into()), "{text}");
        }
        assert_eq!(retry("2ms"), Ok(RETRY_MIN));
        let config = HubConfig { retry: RETRY_MIN, ..HubConfig::default() };
        assert!((0..1000).all(|_| config.jittered_retry().as_millis() >= 1));
    }

    #[test]
    fn an_address_is_capped_out_of_the_box_and_our_own_network_only_if_that_is_asked_for() {
        for (args, cap, counts_own_network) in
            [(&["x"][..], 1000, false), (&["x", "--max-clients-per-address", "7"], 7, true)]
        {
            let line = Line::parse_from(args);
            let config = line.hub.to_hub_config(20_000).unwrap();
            assert_eq!(config.clients_per_address_max, cap);
            assert_eq!(config.counts_own_network, counts_own_network);
            assert_eq!(config.clients_per_subject_max, 1000);
        }
    }
    #[actix_web::test]
    async fn the_longest_event_that_may_be_published_can_be() {
        const LONGEST: usize = 8 * 1024 * 1024;
        let line = Line::parse_from(["x", "--max-event-bytes", &LONGEST.to_string()]);
        let config = line.hub.to_hub_config(20_000).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&DatabaseUrl::file(folder.path().join("clearside.db"))).unwrap();
        let hub = Hub::start(&Arbiter::current(), store, config);
        for (kind, name) in [("debate", "token"), ("conversation", "note")] {
            let stream = format!("{kind}/d1").parse().unwrap();
            let mut data = serde_json::json!({ "speaker": "", "token": "" });
            let rest = LONGEST - data.to_string().len();
            data["speaker"] = "p".repeat(rest).into();
            let longest = NewEvent::new(name, &data).unwrap();
            hub.publish(&stream, longest).await.unwrap();
            data["token"] = "t".into();
            let longer = hub.publish(&stream, NewEvent::new(name, &data).unwrap()).await;
            assert_eq!(longer, Err(PublishError::TooLarge { limit: LONGEST }));
        }
    }
}
