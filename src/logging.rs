//! Logs: to standard error, as text for people or as one JSON object a line.

use std::io::{self, IsTerminal, Write};

use env_logger::{Builder, fmt::Formatter};
use log::{
    Record,
    kv::{self, Key, Value, VisitSource},
};

use crate::config::{LogConfig, LogFormat};

/// What a server logs unless it is said otherwise.
pub(crate) const SERVER_FILTER: &str = "info,actix_server=warn,actix_http::h2=error";

/// What the other commands log unless it is said otherwise: they have an output of their own.
pub(crate) const CLIENT_FILTER: &str = "warn";

/// Sends everything that is logged to standard error from now on.
pub(crate) fn init(config: &LogConfig, default_filter: &str) {
    let filter = config.log_filter.as_ref().or(config.log_level.as_ref());
    let mut builder = Builder::new();
    builder.parse_filters(filter.map_or(default_filter, String::as_str));
    let is_terminal = io::stderr().is_terminal();
    match config.log_format {
        Some(LogFormat::Text) => {}
        None if is_terminal => {}
        Some(LogFormat::Json) | None => {
            builder.format(write_json);
        }
    }
    builder.init();
}

fn write_json(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let mut fields = Fields(serde_json::Map::new());
    fields.0.insert("ts".into(), out.timestamp_millis().to_string().into());
    fields.0.insert("level".into(), record.level().as_str().into());
    fields.0.insert("target".into(), record.target().into());
    fields.0.insert("msg".into(), record.args().to_string().into());
    let _ = record.key_values().visit(&mut fields);
    serde_json::to_writer(&mut *out, &fields.0)?;
    out.write_all(b"\n")
}

struct Fields(serde_json::Map<String, serde_json::Value>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        let value = serde_json::to_value(&value).unwrap_or_else(|_| value.to_string().into());
        self.0.insert(key.as_str().to_owned(), value);
        Ok(())
    }
}
