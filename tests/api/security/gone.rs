//! HTTP/2 followers that are gone, with a word or without one.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use h2::{RecvStream, client::SendRequest};
use serde_json::json;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
};

use super::http2::{FOLLOW, Secure, ask, certificate, clients, http2, until};
use crate::helpers::{Process, eventually, within};

/// What a cable does once it is cut. It never says a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// Takes nothing any more, and soon the buffers of the kernels are full.
    Holds,
    /// Takes all that comes, as if it arrived.
    Swallows,
}

/// A cable to this server, whole until it is told to be cut.
async fn cable(server: SocketAddr, kind: Cut) -> (SocketAddr, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (cut, mut is_cut) = watch::channel(false);
    actix_web::rt::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut far = socket.connect(server).await.unwrap();
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
            _ = is_cut.wait_for(|cut| *cut) => {}
        }
        if kind == Cut::Swallows {
            let _ = tokio::io::copy(&mut far, &mut tokio::io::sink()).await;
        }
        std::future::pending::<()>().await;
        drop((near, far));
    });
    (address, cut)
}

/// Two connections to a server: one through a cable, and one that stays whole.
struct Line {
    cabled: SendRequest<Bytes>,
    whole: SendRequest<Bytes>,
    server: SocketAddr,
    cut: watch::Sender<bool>,
}

/// The same over TLS and without it.
async fn over_both(settings: &[&str], kind: Cut, check: impl AsyncFn(Line)) {
    let certificate = certificate();
    let trusted = certificate.cert.der();
    let secure = Secure::start(&certificate, settings).await;
    let server = secure.server.address;
    let (through, cut) = cable(server, kind).await;
    let cabled = http2(secure.connect_by(through, trusted, b"h2").await.unwrap()).await;
    let whole = http2(secure.connect(trusted, b"h2").await.unwrap()).await;
    check(Line { cabled, whole, server, cut }).await;

    let folder = tempfile::tempdir().unwrap();
    let process = Process::serve(folder.path(), 0, &[settings, &["--h2c"]].concat()).await;
    let server = process.address;
    let (through, cut) = cable(server, kind).await;
    let cabled = http2(TcpStream::connect(through).await.unwrap()).await;
    let whole = http2(TcpStream::connect(server).await.unwrap()).await;
    check(Line { cabled, whole, server, cut }).await;
}

impl Line {
    async fn follow(&self, connection: &SendRequest<Bytes>) -> RecvStream {
        let (status, mut stream) = ask(connection, self.server, "GET", FOLLOW, None).await;
        assert_eq!(status, 200);
        until(&mut stream, "event: snapshot").await;
        stream
    }

    async fn clients(&self) -> u64 {
        clients(&self.whole, self.server).await
    }
}

/// Nothing but a ping tells: what is written is taken, and there is nobody who reads it.
#[actix_web::test]
async fn a_follower_that_answers_no_ping_is_dead_and_one_that_does_is_not() {
    over_both(&["--heartbeat", "1s", "--stall", "1h"], Cut::Swallows, async |line| {
        let _dead = line.follow(&line.cabled).await;
        let mut alive = line.follow(&line.whole).await;
        assert_eq!(line.clients().await, 2);
        line.cut.send(true).unwrap();
        eventually("that it is found out", async || line.clients().await == 1).await;
        until(&mut alive, ":heartbeat").await;
    })
    .await;
}

/// Nothing but the kernel tells, for no ping is due before the test is over.
#[actix_web::test]
async fn a_follower_that_takes_nothing_any_more_is_found_out() {
    over_both(&["--heartbeat", "1h", "--stall", "2s"], Cut::Holds, async |line| {
        let _dead = line.follow(&line.cabled).await;
        assert_eq!(line.clients().await, 1);
        line.cut.send(true).unwrap();
        // What is written fills the buffers of the two kernels, and then nothing is taken any more.
        eventually("that it is found out", async || {
            let large = json!({ "type": "note", "data": "x".repeat(60_000) }).to_string();
            let events = "/api/debates/d1/events";
            let _ = ask(&line.whole, line.server, "POST", events, Some(large)).await;
            line.clients().await == 0
        })
        .await;
    })
    .await;
}

/// Before there is anything to write on its streams.
#[actix_web::test]
async fn a_connection_that_is_closed_takes_its_quiet_streams_with_it_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &["--h2c", "--heartbeat", "1h"]).await;
    let whole = http2(TcpStream::connect(server.address).await.unwrap()).await;
    for is_reset in [false, true] {
        let tcp = TcpStream::connect(server.address).await.unwrap();
        if is_reset {
            tcp.set_zero_linger().unwrap();
        }
        let (cabled, connection) = h2::client::handshake(tcp).await.unwrap();
        let connection = actix_web::rt::spawn(connection);
        let mut streams = Vec::new();
        for _ in 0..3 {
            let (_, mut stream) = ask(&cabled, server.address, "GET", FOLLOW, None).await;
            until(&mut stream, "event: snapshot").await;
            streams.push(stream);
        }
        assert_eq!(clients(&whole, server.address).await, 3);
        // No frame says goodbye: the socket is dropped as it is.
        connection.abort();
        eventually("that all are gone", async || clients(&whole, server.address).await == 0).await;
    }
}

#[actix_web::test]
async fn a_stream_that_is_reset_is_gone_at_the_next_heartbeat_and_its_neighbour_stays() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &["--h2c", "--heartbeat", "1s"]).await;
    let connection = http2(TcpStream::connect(server.address).await.unwrap()).await;
    let mut streams = Vec::new();
    for _ in 0..2 {
        let (_, mut stream) = ask(&connection, server.address, "GET", FOLLOW, None).await;
        until(&mut stream, "event: snapshot").await;
        streams.push(stream);
    }
    assert_eq!(clients(&connection, server.address).await, 2);
    // RST_STREAM, as from `EventSource.close()`.
    drop(streams.pop());
    eventually("the heartbeat that finds it", async || {
        clients(&connection, server.address).await == 1
    })
    .await;
    until(&mut streams[0], ":heartbeat").await;
}

#[actix_web::test]
async fn a_connection_that_does_not_say_what_it_speaks_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &["--h2c"]).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut read = Vec::new();
    let _ = within("its end", silent.read_to_end(&mut read)).await;
    assert!(read.is_empty(), "{read:?}");
}

#[actix_web::test]
async fn who_says_nothing_does_not_hold_up_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    // They would have five seconds. A busy machine may need more than one look.
    eventually("a stop that waits for none of them", async || {
        let mut server = Process::serve(folder.path(), 0, &["--h2c", "--drain", "1h"]).await;
        let begun = Instant::now();
        let mut silent = Vec::new();
        for _ in 0..8 {
            silent.push(TcpStream::connect(server.address).await.unwrap());
        }
        // This one is taken in after them, and so they have been as well.
        let connection = http2(TcpStream::connect(server.address).await.unwrap()).await;
        clients(&connection, server.address).await;
        drop(connection);
        server.signal("TERM");
        let status = server.exit().await;
        assert_eq!(status.code(), Some(0), "{}", server.stderr());
        begun.elapsed() < Duration::from_secs(4)
    })
    .await;
}
