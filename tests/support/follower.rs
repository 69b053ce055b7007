//! An `EventSource`: reconnects, resumes, stops where a browser would stop.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{DEADLINE, SseEvent, Wire};

/// One of a follower's connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Connection {
    /// Before anything was sent.
    pub(crate) asked_at: Instant,
    /// Where its events begin in what the follower has seen.
    pub(crate) first_event: usize,
}

pub(crate) struct Follower {
    address: SocketAddr,
    path: String,
    last_event_id: String,
    retry: Duration,
    /// Everything that listeners have seen.
    pub(crate) seen: Vec<SseEvent>,
    /// How often it has connected.
    pub(crate) connections: usize,
    /// Those of them that were answered with a stream.
    pub(crate) streams: Vec<Connection>,
    /// The status that has ended it, as it would end an `EventSource`.
    pub(crate) closed_by: Option<u16>,
    /// When each connection was answered.
    pub(crate) connected_at: Vec<Instant>,
    /// How long it was told to stay away, each time that it was told.
    pub(crate) told_to_wait: Vec<Duration>,
}

impl Follower {
    /// `from` goes into the query, as a page would put it there that opens its first `EventSource`.
    pub(crate) fn new(address: SocketAddr, path: &str, from: Option<&str>) -> Self {
        let query = from.map_or(String::new(), |from| format!("?lastEventId={from}"));
        Self {
            address,
            path: format!("{path}{query}"),
            last_event_id: String::new(),
            retry: Duration::from_millis(50),
            seen: Vec::new(),
            connections: 0,
            streams: Vec::new(),
            closed_by: None,
            connected_at: Vec::new(),
            told_to_wait: Vec::new(),
        }
    }

    /// Follows until the server says that it is over for good (204), or anything else that an `EventSource`
    /// does not come back from.
    pub(crate) async fn follow_to_the_end(mut self) -> Self {
        let ended = async {
            while self.connect().await {
                tokio::time::sleep(self.retry).await;
            }
        };
        if tokio::time::timeout(2 * DEADLINE, ended).await.is_err() {
            let seen = self.seen.len();
            panic!("no end: {} at {:?} after {seen} events", self.path, self.last_event_id);
        }
        self
    }

    /// One connection, until it ends. False: do not come back.
    async fn connect(&mut self) -> bool {
        let mut headers = vec![("Accept", "text/event-stream")];
        if !self.last_event_id.is_empty() {
            headers.push(("Last-Event-ID", &self.last_event_id));
        }
        let asked_at = Instant::now();
        let Ok(mut wire) = Wire::try_follow(self.address, &self.path, &headers).await else {
            return true;
        };
        self.connections += 1;
        self.connected_at.push(Instant::now());
        let is_stream = wire.head.header("content-type") == Some("text/event-stream");
        if wire.head.status != 200 || !is_stream {
            self.closed_by = Some(wire.head.status);
            return false;
        }
        self.streams.push(Connection { asked_at, first_event: self.seen.len() });
        loop {
            let goes_on = wire.fill().await;
            for event in wire.take_events() {
                event.last_event_id.clone_into(&mut self.last_event_id);
                self.seen.push(event);
            }
            if let Some(retry) = wire.retry() {
                self.retry = Duration::from_millis(retry);
                if self.told_to_wait.last() != Some(&self.retry) {
                    self.told_to_wait.push(self.retry);
                }
            }
            if !goes_on {
                return true;
            }
        }
    }

    /// The path of the stream that it follows.
    pub(crate) fn stream(&self) -> &str {
        self.path.split_once("/stream").map_or(&self.path, |(stream, _)| stream)
    }

    pub(crate) fn durable(&self) -> impl Iterator<Item = &SseEvent> {
        self.seen.iter().filter(|event| event.is_durable())
    }

    /// Each durable event from the first to this one was seen, once and in order, and nothing was missed.
    #[track_caller]
    pub(crate) fn assert_saw_everything(&self, last: u64) {
        let seqs: Vec<_> = self.durable().filter_map(SseEvent::seq).collect();
        let expected: Vec<_> = (1..=last).collect();
        assert_eq!(seqs, expected, "each event once and in order");
        let gap = self.seen.iter().find(|event| event.name == "gap");
        assert_eq!(gap, None, "nothing was missing");
        assert_eq!(self.closed_by, Some(204), "it was told that it is over");
    }
}
