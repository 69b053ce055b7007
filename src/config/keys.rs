//! The keys that tokens are checked by, as they are named on the command line.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;

use super::{SettingsError, duration};
use crate::auth::{KeyError, Keys, Secret};

/// The secret that tokens are made with and checked by.
#[derive(Debug, Clone, Args)]
pub(crate) struct SecretSettings {
    /// File with a secret of 32 bytes or more, for tokens that are signed with HS256
    #[arg(long, env = "CLEARSIDE_JWT_SECRET_FILE", value_name = "FILE")]
    jwt_secret_file: Option<PathBuf>,

    /// The secret itself, for the environment: on a command line, all could see it
    #[arg(
        long,
        env = "CLEARSIDE_JWT_SECRET",
        value_name = "SECRET",
        hide = true,
        hide_env_values = true
    )]
    jwt_secret: Option<Hidden>,

    /// Audience (`aud`) that a token must name; without this setting it must name none
    #[arg(long, env = "CLEARSIDE_JWT_AUDIENCE", value_name = "NAME")]
    pub(crate) jwt_audience: Option<String>,

    /// Issuer (`iss`) that a token must name
    #[arg(long, env = "CLEARSIDE_JWT_ISSUER", value_name = "NAME")]
    pub(crate) jwt_issuer: Option<String>,
}

/// Settings of the keys.
#[derive(Debug, Clone, Args)]
pub(crate) struct KeySettings {
    #[command(flatten)]
    pub(crate) secret: SecretSettings,

    /// File with a public key in PEM format, for tokens signed with RS256, ES256 or EdDSA; may be repeated
    #[arg(
        long = "jwt-public-key",
        env = "CLEARSIDE_JWT_PUBLIC_KEY",
        value_name = "FILE",
        value_delimiter = ','
    )]
    jwt_public_keys: Vec<PathBuf>,

    /// File with a set of public keys (JWKS); read again when it changes
    #[arg(long, env = "CLEARSIDE_JWKS", value_name = "FILE")]
    pub(crate) jwks: Option<PathBuf>,

    /// Cookie that browsers bring the token in
    #[arg(long, env = "CLEARSIDE_JWT_COOKIE", value_name = "NAME", default_value = crate::http::Api::COOKIE, value_parser = cookie_name)]
    pub(crate) jwt_cookie: String,

    /// How long a ticket, which opens one stream from within a URL, is good for
    #[arg(long, env = "CLEARSIDE_TICKET_TTL", value_name = "TIME", default_value = "5m", value_parser = duration)]
    ticket_ttl: Duration,
}

/// What must not be printed.
#[derive(Clone)]
pub(crate) struct Hidden(pub(crate) String);

impl From<&str> for Hidden {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl SecretSettings {
    pub(crate) fn load(&self) -> Result<Option<Secret>, SettingsError> {
        match (&self.jwt_secret_file, &self.jwt_secret) {
            (Some(_), Some(_)) => Err(SettingsError::new(
                "--jwt-secret-file",
                "there is a secret in CLEARSIDE_JWT_SECRET, too; give one of the two",
            )),
            (Some(path), None) => {
                let text = read("--jwt-secret-file", path)?;
                let secret = text.parse().map_err(wrong("--jwt-secret-file", path))?;
                Ok(Some(secret))
            }
            (None, Some(Hidden(text))) => {
                let named = |error: KeyError| SettingsError::new("CLEARSIDE_JWT_SECRET", error);
                text.parse().map(Some).map_err(named)
            }
            (None, None) => Ok(None),
        }
    }
}

impl KeySettings {
    /// The keys; none if not one is named.
    pub(crate) fn load(&self) -> Result<Option<Keys>, SettingsError> {
        let secret = self.secret.load()?;
        if secret.is_none() && self.jwt_public_keys.is_empty() && self.jwks.is_none() {
            return Ok(None);
        }
        let mut keys = Keys::new()
            .with_audience(self.secret.jwt_audience.clone())
            .with_issuer(self.secret.jwt_issuer.clone())
            .with_ticket_lifetime(self.ticket_ttl);
        if let Some(secret) = &secret {
            keys = keys.with_secret(secret);
        }
        for path in &self.jwt_public_keys {
            let pem = read("--jwt-public-key", path)?;
            keys = keys.with_public_key(&pem).map_err(wrong("--jwt-public-key", path))?;
        }
        if let Some(path) = &self.jwks {
            let json = read("--jwks", path)?;
            keys = keys.with_key_set(&json).map_err(wrong("--jwks", path))?;
        }
        Ok(Some(keys))
    }
}

pub(crate) fn read(setting: &'static str, path: &Path) -> Result<String, SettingsError> {
    let unreadable =
        |error: io::Error| SettingsError::new(setting, format!("{}: {error}", path.display()));
    fs::read_to_string(path).map_err(unreadable)
}

pub(crate) fn wrong(setting: &'static str, path: &Path) -> impl FnOnce(KeyError) -> SettingsError {
    move |error| SettingsError::new(setting, format!("{}: {error}", path.display()))
}

fn cookie_name(text: &str) -> Result<String, String> {
    let is_allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.');
    if !text.is_empty() && text.bytes().all(is_allowed) {
        Ok(text.to_owned())
    } else {
        Err("a cookie is named with A-Z a-z 0-9 _ - .".into())
    }
}
