//! The hub's settings; each field says its unit, its default and where the number comes from.

use std::time::Duration;

/// How many times its data a publish takes in memory at most: a token that is nothing but the name of who speaks is
/// held three times, and each event takes a little by itself.
const PUBLISH_TIMES_DATA: usize = 4;

/// How the hub treats its clients and how much it keeps in memory.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// Silence after which a heartbeat is due; it is sent whether or not there was silence, and up to a sixteenth
    /// of this, at most a second, early. Default 15 s.
    ///
    /// Source: INFRA-003. Must stay under a proxy's idle limit (nginx `proxy_read_timeout`: 60 s).
    pub heartbeat_interval: Duration,
    /// How long a client waits before it reconnects, jittered by half of it both ways. Default 2 s.
    pub retry: Duration,
    /// The age at which a connection is ended, to resume at once; ± 10 %. Default 1 h.
    ///
    /// Source: CONV-011, `cleanupStaleConnections`.
    pub connection_age_max: Duration,
    /// Connections in all. Default 20,000; a server lowers it to what its file descriptors allow.
    pub clients_max: usize,
    /// Connections to one stream. Default 20,000.
    pub clients_per_stream_max: usize,
    /// Connections from one address. Default 1,000: a large office behind one address has room, and twenty such
    /// addresses are needed to take every place.
    pub clients_per_address_max: usize,
    /// Whether that is kept by addresses of our own network, too: loopback, private and link-local ones. Default
    /// false: such an address may be that of a proxy, and then it is everybody's.
    pub counts_own_network: bool,
    /// Connections in one name, that is of one token or of all that name the same subject. Default 1,000.
    pub clients_per_subject_max: usize,
    /// Streams in memory; past it, what concerns another one is refused until one of them leaves. Default 65,536: more
    /// than the connections, and as many as one who publishes each time to another stream, a thousand a second, keeps
    /// for [`idle_after`](Self::idle_after). An empty one takes some 3 KiB; the bound on what they hold is that of
    /// [`history_bytes`](Self::history_bytes) and of the text under way, for each.
    pub streams_max: usize,
    /// Deliveries that wait for one client before it falls behind. Default 64.
    ///
    /// What waits is shared between the clients of a stream: a delivery costs each some 100 bytes. See
    /// [`backlog_bytes_max`](Self::backlog_bytes_max) for the bytes.
    pub mailbox_capacity: usize,
    /// Events that an active stream keeps in memory. Default 256.
    pub history_events: usize,
    /// Bytes that an active stream keeps in memory, as they go over the wire. Default 256 KiB.
    pub history_bytes: usize,
    /// The longest payload, in bytes of JSON. Default 64 KiB.
    pub event_bytes_max: usize,
    /// Publishes that may wait for one stream's commit; further ones are refused. Default 1,024.
    pub pending_publishes_max: usize,
    /// Bytes that may wait for one stream's commit; further publishes are refused. Default 16 MiB.
    ///
    /// A publish takes up to four times its data, what is known of its events counted: with less than that for the
    /// longest, some are never taken. See [`with_room_for_each_publish`](Self::with_room_for_each_publish).
    pub pending_bytes_max: usize,
    /// The same for all streams together. Default 128 MiB.
    pub pending_bytes_total_max: usize,
    /// Bytes that wait for one client before it falls behind, whatever their number. Default 1 MiB.
    ///
    /// They are shared between the clients of a stream that are equally far behind.
    pub backlog_bytes_max: usize,
    /// How long a stream that nobody follows or publishes to stays in memory. Default 60 s.
    pub idle_after: Duration,
}

impl HubConfig {
    /// The longest publish: bytes of data of all its events, 1 MiB or one event if that may be longer.
    pub(crate) const fn publish_bytes_max(&self) -> usize {
        const MIB: usize = 1024 * 1024;
        if self.event_bytes_max > MIB { self.event_bytes_max } else { MIB }
    }

    /// The same settings, with room for the longest publish where nothing else waits: for whoever has raised
    /// [`event_bytes_max`](Self::event_bytes_max).
    #[must_use]
    pub fn with_room_for_each_publish(mut self) -> Self {
        let longest = self.publish_bytes_max().saturating_mul(PUBLISH_TIMES_DATA);
        self.pending_bytes_max = self.pending_bytes_max.max(longest);
        self.pending_bytes_total_max = self.pending_bytes_total_max.max(longest);
        self
    }

    /// The retry time for one connection: half to one and a half of [`retry`](Self::retry), so that
    /// clients that were cut off together do not come back together.
    pub(crate) fn jittered_retry(&self) -> Duration {
        self.retry.mul_f64(0.5 + fastrand::f64())
    }

    /// The age limit for one connection: 90 to 110 % of it.
    pub(crate) fn jittered_connection_age(&self) -> Duration {
        self.connection_age_max.mul_f64(0.9 + 0.2 * fastrand::f64())
    }
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_secs(15),
            retry: Duration::from_secs(2),
            connection_age_max: Duration::from_secs(60 * 60),
            clients_max: 20_000,
            clients_per_stream_max: 20_000,
            clients_per_address_max: 1_000,
            counts_own_network: false,
            clients_per_subject_max: 1_000,
            streams_max: 65_536,
            mailbox_capacity: 64,
            history_events: 256,
            history_bytes: 256 * 1024,
            event_bytes_max: 64 * 1024,
            pending_publishes_max: 1024,
            pending_bytes_max: 16 * 1024 * 1024,
            pending_bytes_total_max: 128 * 1024 * 1024,
            backlog_bytes_max: 1024 * 1024,
            idle_after: Duration::from_secs(60),
        }
    }
}
