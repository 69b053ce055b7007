//! A follower that sees every byte: HTTP/1.1 by hand over a TCP stream.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use super::{
    Parsers, SseEvent,
    http::{Head, read_head},
    within,
};

/// How much is read at a time.
const READ_BYTES: usize = 64 * 1024;

pub(crate) struct Wire {
    tcp: TcpStream,
    pub(crate) head: Head,
    chunked: Option<Chunks>,
    /// Read, and not yet decoded.
    encoded: Vec<u8>,
    /// Everything that the body has held so far.
    pub(crate) body: Vec<u8>,
    parsers: Parsers,
    events: std::collections::VecDeque<SseEvent>,
    pub(crate) end: Option<End>,
}

/// How a response has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With the last chunk, or the end of a body without chunks.
    Clean,
    /// In the middle.
    Cut,
}

#[derive(Default)]
struct Chunks {
    /// What is left of the current chunk, its line end counted.
    left: usize,
}

impl Wire {
    /// Follows a stream; fails if the server cannot be reached.
    pub(crate) async fn try_follow(
        address: SocketAddr,
        path: &str,
        headers: &[(&str, &str)],
    ) -> io::Result<Self> {
        Self::on(TcpStream::connect(address).await?, path, headers).await
    }

    /// Follows with as little as possible in the kernel's hands: what is not read is soon not taken.
    pub(crate) async fn follow_with_small_buffer(address: SocketAddr, path: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let tcp = within("a connection", socket.connect(address)).await.unwrap();
        within(path, Self::on(tcp, path, &[])).await.unwrap()
    }

    /// Follows from this address of the machine.
    pub(crate) async fn follow_from(from: IpAddr, address: SocketAddr, path: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(from, 0)).unwrap();
        let tcp = within("a connection", socket.connect(address)).await.unwrap();
        within(path, Self::on(tcp, path, &[])).await.unwrap()
    }

    async fn on(mut tcp: TcpStream, path: &str, headers: &[(&str, &str)]) -> io::Result<Self> {
        let address = tcp.peer_addr()?;
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        tcp.write_all(request.as_bytes()).await?;
        let (head, rest) = read_head(&mut tcp).await?;
        let cursor = headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("last-event-id"))
            .map_or("", |(_, value)| value);
        let mut wire = Self {
            tcp,
            chunked: (head.header("transfer-encoding") == Some("chunked")).then(Chunks::default),
            end: (head.status == 204 || head.header("content-length") == Some("0"))
                .then_some(End::Clean),
            head,
            encoded: Vec::new(),
            body: Vec::new(),
            parsers: Parsers::new(cursor),
            events: std::collections::VecDeque::new(),
        };
        wire.decode(&rest);
        Ok(wire)
    }

    pub(crate) async fn follow(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Self {
        within(path, Self::try_follow(address, path, headers))
            .await
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(crate) fn retry(&self) -> Option<u64> {
        self.parsers.retry()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8 on the wire")
    }

    /// Reads once. False: the response has ended.
    pub(crate) async fn fill(&mut self) -> bool {
        if self.end.is_some() {
            return false;
        }
        let mut buffer = vec![0; READ_BYTES];
        match self.tcp.read(&mut buffer).await {
            Ok(0) | Err(_) => {
                let is_whole = self.chunked.is_none();
                self.end = Some(if is_whole { End::Clean } else { End::Cut });
                false
            }
            Ok(read) => {
                self.decode(&buffer[..read]);
                true
            }
        }
    }

    /// Says that nothing more will be sent, and goes on reading.
    pub(crate) async fn half_close(&mut self) {
        self.tcp.shutdown().await.unwrap();
    }

    /// What has been read and not been looked at.
    pub(crate) fn take_events(&mut self) -> Vec<SseEvent> {
        self.events.drain(..).collect()
    }

    /// The next event; there must be one.
    pub(crate) async fn next(&mut self) -> SseEvent {
        within("an event", async {
            loop {
                if let Some(event) = self.events.pop_front() {
                    return event;
                }
                if !self.fill().await {
                    panic!("the stream ended ({:?}) after\n{}", self.end, self.tail());
                }
            }
        })
        .await
    }

    /// All events up to the next one of this name, which must come.
    pub(crate) async fn until(&mut self, name: &str) -> Vec<SseEvent> {
        let mut events = Vec::new();
        loop {
            events.push(self.next().await);
            if events.last().is_some_and(|event| event.name == name) {
                return events;
            }
        }
    }

    /// All events up to the one with this sequence number, which must come.
    pub(crate) async fn until_seq(&mut self, seq: u64) -> Vec<SseEvent> {
        let mut events = Vec::new();
        loop {
            events.push(self.next().await);
            if events.last().is_some_and(|event| event.is_durable() && event.seq() == Some(seq)) {
                return events;
            }
        }
    }

    /// Reads on until the body has this text in it.
    pub(crate) async fn until_text(&mut self, text: &str) {
        within(text, async {
            while !self.text().contains(text) {
                if !self.fill().await {
                    panic!("the stream ended ({:?}) after\n{}", self.end, self.tail());
                }
            }
        })
        .await;
    }

    /// All that is left; the response must end, and end well.
    pub(crate) async fn until_end(&mut self) -> Vec<SseEvent> {
        within("the end", async { while self.fill().await {} }).await;
        assert_eq!(self.end, Some(End::Clean), "after\n{}", self.tail());
        self.take_events()
    }

    fn tail(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let start = text.len().saturating_sub(2000);
        text.get(start..).unwrap_or(&text).to_owned()
    }

    fn decode(&mut self, bytes: &[u8]) {
        self.encoded.extend_from_slice(bytes);
        let body = match &mut self.chunked {
            None => std::mem::take(&mut self.encoded),
            Some(chunks) => {
                let (body, is_last) = chunks.decode(&mut self.encoded);
                if is_last {
                    self.end = Some(End::Clean);
                }
                body
            }
        };
        self.events.extend(self.parsers.push(&body));
        self.body.extend_from_slice(&body);
    }
}

impl Chunks {
    /// Takes as much as is there; true once the last chunk has been seen.
    fn decode(&mut self, encoded: &mut Vec<u8>) -> (Vec<u8>, bool) {
        let mut body = Vec::new();
        let mut at = 0;
        let is_last = loop {
            if self.left > 0 {
                let taken = self.left.min(encoded.len() - at);
                // The last two bytes of a chunk are its line end.
                let of_data = taken.min(self.left.saturating_sub(2));
                body.extend_from_slice(&encoded[at..at + of_data]);
                at += taken;
                self.left -= taken;
                if self.left > 0 {
                    break false;
                }
            }
            let Some(end) = encoded[at..].windows(2).position(|pair| pair == b"\r\n") else {
                break false;
            };
            let size = std::str::from_utf8(&encoded[at..at + end]).expect("a chunk's size");
            let size = usize::from_str_radix(size, 16).expect("a chunk's size");
            if size == 0 {
                if encoded.len() < at + end + 4 {
                    break false;
                }
                assert_eq!(&encoded[at + end + 2..], b"\r\n", "nothing follows the end");
                at = encoded.len();
                break true;
            }
            at += end + 2;
            self.left = size + 2;
        };
        encoded.drain(..at);
        (body, is_last)
    }
}
