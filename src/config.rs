//! The settings of a server: flags, the environment and their defaults. Nothing else reads the environment.

mod hub;
mod keys;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
    time::Duration,
};

use clap::{Args, ValueEnum, builder::BoolishValueParser};
use ipnet::IpNet;

pub(crate) use self::{
    hub::{HubSettings, connections_per_worker},
    keys::{Hidden, KeySettings, SecretSettings, read, wrong},
};
use crate::{
    auth::Keys,
    http::{RateLimit, RateLimits},
    store::DatabaseUrl,
};

/// Publishes in a second: an orchestrator that publishes each token of ten speakers comes to some 500.
const PUBLISH_RATE: NonZeroU32 = NonZeroU32::MIN.saturating_add(999);

/// Connections in a second: all of an office that comes from one address may come back at once.
const CONNECT_RATE: NonZeroU32 = NonZeroU32::MIN.saturating_add(99);

/// The longest time that makes sense for any setting.
const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Settings of a server.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerConfig {
    /// Address and port to listen on; port 0 takes any that is free
    #[arg(
        long,
        env = "CLEARSIDE_LISTEN",
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:3000"
    )]
    pub(crate) listen: SocketAddr,

    /// Where the history is kept, as sqlite://PATH; made if it is not there
    #[arg(
        long,
        env = "CLEARSIDE_DATABASE",
        value_name = "URL",
        default_value = "sqlite://clearside.db"
    )]
    pub(crate) database: DatabaseUrl,

    /// Who is let in.
    #[command(flatten)]
    pub(crate) keys: KeySettings,

    /// Serve without keys wherever it listens, under whatever name: something in front decides who is let in
    #[arg(long, env = "CLEARSIDE_OPEN", value_parser = BoolishValueParser::new())]
    pub(crate) open: bool,

    /// Origin whose pages may follow and publish, such as https://example.org; may be repeated
    #[arg(
        long = "cors-origin",
        env = "CLEARSIDE_CORS_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ',',
        value_parser = origin
    )]
    pub(crate) cors_origins: Vec<String>,

    /// Settings of the hub.
    #[command(flatten)]
    pub(crate) hub: HubSettings,

    /// Publishes in a second, by each token and each address; 1000 if not set, but then none for this machine and private networks
    #[arg(long, env = "CLEARSIDE_PUBLISH_RATE", value_name = "N")]
    publish_rate: Option<NonZeroU32>,

    /// Connections in a second, by each token and each address; 100 if not set, but then none for this machine and private networks
    #[arg(long, env = "CLEARSIDE_CONNECT_RATE", value_name = "N")]
    connect_rate: Option<NonZeroU32>,

    /// Address or network of a proxy whose X-Forwarded-For is believed; may be repeated
    #[arg(
        long = "trusted-proxy",
        env = "CLEARSIDE_TRUSTED_PROXY",
        value_name = "ADDR",
        value_delimiter = ',',
        value_parser = network
    )]
    pub(crate) trusted_proxies: Vec<IpNet>,

    /// File with the certificate and its chain in PEM format, for TLS and HTTP/2; read again when it changes
    #[arg(long, env = "CLEARSIDE_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// File with the certificate's private key in PEM format
    #[arg(long, env = "CLEARSIDE_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Take HTTP/2 without TLS, too: for a proxy that speaks it, and that no stranger gets around
    #[arg(long, env = "CLEARSIDE_H2C", conflicts_with = "tls_cert", value_parser = BoolishValueParser::new())]
    pub(crate) h2c: bool,

    /// How long a connection may take nothing before it is closed
    #[arg(long, env = "CLEARSIDE_STALL", value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(crate) stall: Duration,

    /// How long a shutdown may take
    #[arg(long, env = "CLEARSIDE_DRAIN", value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) drain: Duration,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Settings of the logs.
#[derive(Debug, Clone, Args)]
pub(crate) struct LogConfig {
    /// How logs are written; text on a terminal, else json
    #[arg(long, env = "CLEARSIDE_LOG_FORMAT", value_name = "FORMAT", global = true)]
    pub(crate) log_format: Option<LogFormat>,

    /// What is logged, as for env_logger: info, debug, clearside_sse=trace, …
    #[arg(long, env = "RUST_LOG", value_name = "FILTER", global = true, hide = true)]
    pub(crate) log_filter: Option<String>,

    /// The same, for those who are used to that name.
    #[arg(long, env = "LOG_LEVEL", value_name = "LEVEL", global = true, hide = true)]
    pub(crate) log_level: Option<String>,
}

/// A setting that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {reason}")]
pub(crate) struct SettingsError {
    setting: &'static str,
    reason: String,
}

impl SettingsError {
    pub(crate) fn new(setting: &'static str, reason: impl fmt::Display) -> Self {
        Self { setting, reason: reason.to_string() }
    }
}

impl ServerConfig {
    /// The keys that tokens are checked by. None: everybody may do everything, which is for this machine
    /// alone unless it is asked for.
    pub(crate) fn keys(&self) -> Result<Option<Keys>, SettingsError> {
        let keys = self.keys.load()?;
        if keys.is_none() && !self.open && !self.is_loopback() {
            let reason = format!(
                "{} lets others in, and without keys they could publish: give --jwt-secret-file, \
                 --jwt-public-key or --jwks, or --open if something in front decides who is let in",
                self.listen
            );
            return Err(SettingsError::new("--listen", reason));
        }
        Ok(keys)
    }

    pub(crate) fn rate_limits(&self) -> RateLimits {
        let limit = |set: Option<NonZeroU32>, default| RateLimit {
            per_second: set.unwrap_or(default),
            counts_own_network: set.is_some(),
        };
        RateLimits {
            publishes: limit(self.publish_rate, PUBLISH_RATE),
            connects: limit(self.connect_rate, CONNECT_RATE),
        }
    }

    /// Whether only this machine reaches it.
    pub(crate) fn is_loopback(&self) -> bool {
        self.listen.ip().to_canonical().is_loopback()
    }
}

/// Reads `15s`, `1h 30m` or `500ms`; zero makes no sense for any of ours.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write it like 15s, 500ms or 1h"))?;
    match duration {
        Duration::ZERO => Err("must be longer than nothing".into()),
        duration if duration > DURATION_MAX => Err("must be at most 365 days".into()),
        duration => Ok(duration),
    }
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".into()),
        Ok(number) => Ok(number),
        Err(_) => Err("must be a whole number".into()),
    }
}

/// `10.0.0.0/8`, or an address alone.
fn network(text: &str) -> Result<IpNet, String> {
    let alone = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>()
        .or_else(|_| alone())
        .map_err(|_| "an address or a network looks like 127.0.0.1 or 10.0.0.0/8".into())
}

/// An origin as browsers send it: scheme, host and port, no path. A wildcard would let any page publish, and what
/// no browser sends would let none.
fn origin(text: &str) -> Result<String, String> {
    let secure = text.strip_prefix("https://").map(|host| (host, ":443"));
    let plain = || text.strip_prefix("http://").map(|host| (host, ":80"));
    match secure.or_else(plain) {
        Some((host, _)) if host.contains('@') => Err("an origin names no user".into()),
        Some((host, port)) if host.ends_with(port) => {
            Err(format!("browsers leave out the usual port: write it without {port}"))
        }
        Some((host, _)) if host.contains(|c: char| c.is_ascii_uppercase()) => {
            Err("browsers send it in small letters: write it so".into())
        }
        Some((host, _)) if !host.is_empty() && !host.contains(['/', '*', ' ', '?', '#']) => {
            Ok(text.into())
        }
        _ => Err("an origin looks like https://example.org or http://localhost:5173".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_exact() {
        for (text, is_valid) in [
            ("https://example.org", true),
            ("http://localhost:5173", true),
            ("*", false),
            ("https://*", false),
            ("example.org", false),
            ("https://example.org/", false),
            ("null", false),
            ("https://", false),
            ("https://EXAMPLE.org", false),
            ("HTTPS://example.org", false),
            ("https://example.org:443", false),
            ("http://example.org:80", false),
            ("https://example.org:80", true),
            ("https://somebody@example.org", false),
            ("https://[::1]:8443", true),
        ] {
            assert_eq!(origin(text).is_ok(), is_valid, "{text}");
        }
    }

    #[test]
    fn durations_have_units_and_are_not_zero() {
        assert_eq!(duration("15s"), Ok(Duration::from_secs(15)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        for text in ["", "0s", "15", "-1s", "soon", "2y"] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }
}
