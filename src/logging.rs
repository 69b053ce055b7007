//! Logs: to standard error, as text for people or as one JSON object a line.

use std::io::{self, IsTerminal, Write};

use env_logger::{Builder, Logger, fmt::Formatter};
use log::{
    Log, Metadata, Record,
    kv::{self, Key, Source, Value, VisitSource},
};

use crate::{
    config::{LogConfig, LogFormat},
    http::RequestId,
};

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
    let logger = builder.build();
    log::set_max_level(logger.filter());
    // Only a second one would be refused.
    let _ = log::set_boxed_logger(Box::new(OfRequests(logger)));
}

/// Adds to each record the name of the request that is answered at that moment.
struct OfRequests(Logger);

impl Log for OfRequests {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.0.matches(record) {
            return;
        }
        match RequestId::current() {
            Some(id) => {
                let pairs = WithRequest { id, rest: record.key_values() };
                self.0.log(&record.to_builder().key_values(&pairs).build());
            }
            None => self.0.log(record),
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

struct WithRequest<'a> {
    id: RequestId,
    rest: &'a dyn Source,
}

impl Source for WithRequest<'_> {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn VisitSource<'kvs>) -> Result<(), kv::Error> {
        self.rest.visit(visitor)?;
        visitor.visit_pair(Key::from_str("request"), Value::from(self.id.as_str()))
    }
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
