//! TLS and HTTP/2: many streams over one connection.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use h2::{RecvStream, client::SendRequest};
use rcgen::CertifiedKey;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Guarded, file};
use crate::helpers::{Process, clearside, eventually, exchange, note, run, within};

pub(super) const FOLLOW: &str = "/api/debates/d1/stream";

/// A server with a certificate of its own.
pub(super) struct Secure {
    pub(super) server: Process,
    pub(super) folder: TempDir,
}

pub(super) fn certificate() -> CertifiedKey<rcgen::KeyPair> {
    certificate_for(&["localhost", "127.0.0.1"])
}

pub(super) fn certificate_for(names: &[&str]) -> CertifiedKey<rcgen::KeyPair> {
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    rcgen::generate_simple_self_signed(names).unwrap()
}

impl Secure {
    pub(super) async fn start(certificate: &CertifiedKey<rcgen::KeyPair>, args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cert = file(&folder, "cert.pem", &certificate.cert.pem());
        let key = file(&folder, "key.pem", &certificate.signing_key.serialize_pem());
        let tls = ["--tls-cert", cert.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
        let server = Process::serve(folder.path(), 0, &[&tls[..], args].concat()).await;
        Self { server, folder }
    }

    pub(super) async fn connect(
        &self,
        trusted: &CertificateDer<'static>,
        protocol: &[u8],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        self.connect_by(self.server.address, trusted, protocol).await
    }

    /// Connects by way of another address.
    pub(super) async fn connect_by(
        &self,
        address: SocketAddr,
        trusted: &CertificateDer<'static>,
        protocol: &[u8],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let tcp = TcpStream::connect(address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await
    }
}

/// Speaks HTTP/2 over this connection, which goes on until all that use it are dropped.
pub(super) async fn http2(io: impl AsyncRead + AsyncWrite + Unpin + 'static) -> SendRequest<Bytes> {
    let (sender, connection) = within("HTTP/2", h2::client::handshake(io)).await.unwrap();
    actix_web::rt::spawn(async move {
        let _ = connection.await;
    });
    sender
}

pub(super) async fn ask(
    sender: &SendRequest<Bytes>,
    address: SocketAddr,
    method: &str,
    path: &str,
    body: Option<String>,
) -> (u16, RecvStream) {
    let mut sender = within("room for a stream", sender.clone().ready()).await.unwrap();
    let request = new_request(method, &format!("https://localhost:{}{path}", address.port()));
    let (answer, mut stream) = sender.send_request(request, body.is_none()).unwrap();
    if let Some(body) = body {
        stream.send_data(body.into(), true).unwrap();
    }
    let answer = within(path, answer).await.unwrap();
    (answer.status().as_u16(), answer.into_body())
}

pub(super) async fn head_of(sender: &SendRequest<Bytes>, path: &str) -> http::Response<()> {
    let mut sender = within("room for a stream", sender.clone().ready()).await.unwrap();
    let request = new_request("GET", &format!("https://localhost{path}"));
    let (answer, _) = sender.send_request(request, true).unwrap();
    within(path, answer).await.unwrap().map(|_| ())
}

pub(super) fn new_request(method: &str, uri: &str) -> http::Request<()> {
    let request = http::Request::builder().version(http::Version::HTTP_2);
    request.method(method).uri(uri).header("content-type", "application/json").body(()).unwrap()
}

/// Reads until this has come.
pub(super) async fn until(stream: &mut RecvStream, text: &str) {
    let mut read = String::new();
    within(text, async {
        while !read.contains(text) {
            let bytes = stream.data().await.expect("it goes on").unwrap();
            let _ = stream.flow_control().release_capacity(bytes.len());
            read.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    })
    .await;
}

pub(super) async fn clients(sender: &SendRequest<Bytes>, address: SocketAddr) -> u64 {
    let (status, mut body) = ask(sender, address, "GET", "/api/stats", None).await;
    assert_eq!(status, 200);
    let body = within("stats", body.data()).await.unwrap().unwrap();
    let stats: serde_json::Value = serde_json::from_slice(&body).unwrap();
    stats["debates"]["clients"].as_u64().unwrap()
}

async fn follow_many_and_leave(
    sender: SendRequest<Bytes>,
    other: SendRequest<Bytes>,
    address: SocketAddr,
) {
    let mut streams = Vec::new();
    for _ in 0..20 {
        let (status, mut stream) = ask(&sender, address, "GET", FOLLOW, None).await;
        assert_eq!(status, 200);
        until(&mut stream, "event: snapshot").await;
        streams.push(stream);
    }
    let published =
        ask(&other, address, "POST", "/api/debates/d1/events", Some(note(1).to_string())).await;
    assert_eq!(published.0, 201);
    for stream in &mut streams {
        until(stream, "event: note").await;
    }
    // One stream is closed (RST_STREAM), as by `EventSource.close()`; then all of them are gone.
    drop(streams.pop());
    eventually("the heartbeat that finds it closed", async || clients(&other, address).await == 19)
        .await;
    drop((streams, sender));
    eventually("the heartbeat that finds them gone", async || clients(&other, address).await == 0)
        .await;
}

#[actix_web::test]
async fn one_connection_carries_more_streams_than_a_browser_has_connections() {
    let certificate = certificate();
    let secure = Secure::start(&certificate, &["--heartbeat", "1s"]).await;
    let trusted = certificate.cert.der();
    let [sender, other] = [
        secure.connect(trusted, b"h2").await.unwrap(),
        secure.connect(trusted, b"h2").await.unwrap(),
    ];
    assert_eq!(sender.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    follow_many_and_leave(http2(sender).await, http2(other).await, secure.server.address).await;
}

#[actix_web::test]
async fn without_tls_http2_is_spoken_only_if_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &["--h2c", "--heartbeat", "1s"]).await;
    let connect = async || http2(TcpStream::connect(server.address).await.unwrap()).await;
    follow_many_and_leave(connect().await, connect().await, server.address).await;
    let http1 = crate::helpers::get(server.address, "/api/stats").await;
    assert_eq!((http1.status(), http1.head.version.as_str()), (200, "HTTP/1.1"));

    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &[]).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    assert_ne!(
        exchange(server.address, preface).await.map(|answer| answer.status()).ok(),
        Some(200)
    );
}

/// Of a path over 64 KiB, which h2 takes, actix-router would take another part for what is left of it, and panic.
#[actix_web::test]
async fn a_path_that_is_too_long_is_refused_before_it_is_looked_at_and_harms_no_neighbour() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &["--h2c"]).await;
    let address = server.address;
    let sender = http2(TcpStream::connect(address).await.unwrap()).await;
    let (_, mut stream) = ask(&sender, address, "GET", FOLLOW, None).await;
    until(&mut stream, "event: snapshot").await;
    for (path, expected) in [
        (format!("/api/debates/{}", "%c3%a9".repeat(10_000)), 414),
        (format!("/{}", "x".repeat(8 * 1024)), 414),
        (format!("/{}", "x".repeat(8 * 1024 - 1)), 404),
        (format!("{FOLLOW}?lastEventId={}", "x".repeat(20_000)), 200),
    ] {
        let (status, _) = ask(&sender, address, "GET", &path, None).await;
        assert_eq!(status, expected, "{} bytes", path.len());
    }
    let event = json!({ "type": "note", "data": "still here" }).to_string();
    let (status, _) = ask(&sender, address, "POST", "/api/debates/d1/events", Some(event)).await;
    assert_eq!(status, 201);
    until(&mut stream, "still here").await;
}

/// actix-http leaves the body of a 304 out over HTTP/1.1 only, and clients end a stream that has one.
#[actix_web::test]
async fn a_file_that_is_known_already_is_not_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &["--h2c"]).await;
    let sender = http2(TcpStream::connect(server.address).await.unwrap()).await;
    for encoding in ["gzip", "identity"] {
        let mut known = None;
        for expected in [200, 304] {
            let mut request = new_request("GET", "https://localhost/assets/viewer.js");
            request.headers_mut().insert("accept-encoding", encoding.parse().unwrap());
            if let Some(tag) = known.take() {
                request.headers_mut().insert("if-none-match", tag);
            }
            let mut ready = sender.clone().ready().await.unwrap();
            let (answer, _) = ready.send_request(request, true).unwrap();
            let answer = within("the answer", answer).await.unwrap();
            assert_eq!(answer.status().as_u16(), expected);
            known = Some(answer.headers()["etag"].clone());
            let is_sent = !answer.body().is_end_stream();
            assert_eq!(is_sent, expected == 200, "{encoding} {expected}: {:?}", answer.headers());
            assert_eq!(answer.headers().contains_key("content-length"), is_sent);
        }
    }
}

/// A browser keeps its connection for as long as a page is open.
#[actix_web::test]
async fn a_connection_that_is_merely_open_does_not_hold_up_a_stop_and_what_is_asked_is_answered() {
    let certificate = certificate();
    let secure = Secure::start(&certificate, &["--drain", "1h"]).await;
    let trusted = certificate.cert.der();
    let idle = http2(secure.connect(trusted, b"h2").await.unwrap()).await;
    let publisher = http2(secure.connect(trusted, b"h2").await.unwrap()).await;
    stop_meanwhile(secure.server, idle, publisher).await;

    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &["--drain", "1h", "--h2c"]).await;
    let idle = http2(TcpStream::connect(server.address).await.unwrap()).await;
    let publisher = http2(TcpStream::connect(server.address).await.unwrap()).await;
    stop_meanwhile(server, idle, publisher).await;
}

async fn stop_meanwhile(
    mut server: Process,
    idle: SendRequest<Bytes>,
    publisher: SendRequest<Bytes>,
) {
    let address = server.address;
    let events = format!("https://localhost:{}/api/debates/d1/events", address.port());
    let body = note(1).to_string();
    let (first_half, second_half) = body.split_at(body.len() / 2);
    let mut ready = within("room for a stream", publisher.clone().ready()).await.unwrap();
    let (answer, mut stream) = ready.send_request(new_request("POST", &events), false).unwrap();
    stream.send_data(first_half.to_owned().into(), false).unwrap();
    // Asked after the publish, on the same connection: so that has come, too.
    for connection in [&publisher, &idle] {
        assert_eq!(ask(connection, address, "GET", "/health/live", None).await.0, 200);
    }
    server.signal("TERM");
    eventually("the stop", async || server.stderr().contains("shutting down")).await;
    stream.send_data(second_half.to_owned().into(), true).unwrap();
    assert_eq!(within("the publisher's answer", answer).await.unwrap().status().as_u16(), 201);
    let status = server.exit().await;
    assert_eq!(status.code(), Some(0), "{}", server.stderr());
    drop((idle, publisher));
}

#[actix_web::test]
async fn http1_works_over_tls_and_the_limits_hold_there_too() {
    let certificate = certificate();
    let secure = Secure::start(&certificate, &[]).await;
    let mut tls = secure.connect(certificate.cert.der(), b"http/1.1").await.unwrap();
    let long = "x".repeat(9_000);
    let request = format!(
        "GET /api/stats HTTP/1.1\r\nHost: localhost\r\nCookie: {long}\r\nConnection: close\r\n\r\n"
    );
    tls.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = within("the answer", tls.read_to_end(&mut answer)).await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 431 ") && answer.contains("headers_too_large"),
        "{answer}"
    );

    // Over HTTP/2 as well; and a name that is not this machine's own is refused there, too.
    let sender = http2(secure.connect(certificate.cert.der(), b"h2").await.unwrap()).await;
    let mut ready = sender.clone().ready().await.unwrap();
    let mut request = new_request("GET", "https://localhost/api/stats");
    request.headers_mut().insert("cookie", long.parse().unwrap());
    let (answer, _) = ready.send_request(request, true).unwrap();
    assert_eq!(within("the answer", answer).await.unwrap().status().as_u16(), 431);
    let mut ready = sender.clone().ready().await.unwrap();
    let (answer, _) =
        ready.send_request(new_request("GET", "https://evil.example/api/stats"), true).unwrap();
    assert_eq!(within("the answer", answer).await.unwrap().status().as_u16(), 403);
}

#[actix_web::test]
async fn a_certificate_is_renewed_without_a_restart() {
    let (old, new) = (certificate(), certificate());
    let secure = Secure::start(&old, &[]).await;
    let open = http2(secure.connect(old.cert.der(), b"h2").await.unwrap()).await;
    assert!(secure.connect(new.cert.der(), b"h2").await.is_err(), "not yet");
    // The one without the other does not fit, and changes nothing.
    file(&secure.folder, "cert.pem", &new.cert.pem());
    eventually("that they do not fit", async || {
        secure.server.stderr().contains("--tls-cert: cannot")
    })
    .await;
    assert!(secure.connect(old.cert.der(), b"h2").await.is_ok());
    file(&secure.folder, "key.pem", &new.signing_key.serialize_pem());
    eventually("the new one", async || secure.connect(new.cert.der(), b"h2").await.is_ok()).await;
    let (status, _) = ask(&open, secure.server.address, "GET", "/health/live", None).await;
    assert_eq!(status, 200, "an open connection goes on");
    assert!(!secure.server.stderr().contains("PRIVATE"));
}

#[actix_web::test]
async fn certificates_that_cannot_be_used_keep_the_server_from_starting() {
    let (one, other) = (certificate(), certificate());
    let folder = tempfile::tempdir().unwrap();
    let good = file(&folder, "cert.pem", &one.cert.pem());
    let key = file(&folder, "key.pem", &one.signing_key.serialize_pem());
    let wrong = file(&folder, "other.pem", &other.signing_key.serialize_pem());
    let none = file(&folder, "none.pem", "hello");
    let missing = folder.path().join("missing");
    let database = format!("sqlite://{}", folder.path().join("d.db").display());
    for (cert, key, setting) in [
        (&good, &wrong, "--tls-key"),
        (&none, &key, "--tls-cert"),
        (&good, &none, "--tls-key"),
        (&missing, &key, "--tls-cert"),
    ] {
        let args = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--database",
            &database,
            "--tls-cert",
            cert.to_str().unwrap(),
            "--tls-key",
            key.to_str().unwrap(),
        ];
        let output = run(clearside(&args)).await;
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(setting) && !error.contains("PRIVATE"), "{error}");
    }
}

#[actix_web::test]
async fn tokens_work_over_http2_as_they_do_over_http1() {
    let server = Guarded::start(&["--h2c"]).await;
    let address = server.server.address;
    let sender = http2(TcpStream::connect(address).await.unwrap()).await;
    let (status, _) = ask(&sender, address, "GET", "/api/stats", None).await;
    assert_eq!(status, 401);
    for (header, value, expected) in [
        ("authorization", format!("Bearer {}", server.token(&json!({ "stats": true }))), 200),
        ("cookie", format!("clearside_token={}", server.token(&json!({ "stats": true }))), 200),
        ("authorization", "Bearer x".to_owned(), 401),
    ] {
        let mut ready = sender.clone().ready().await.unwrap();
        let mut request = new_request("GET", "https://localhost/api/stats");
        request.headers_mut().insert(header, value.parse().unwrap());
        let (answer, _) = ready.send_request(request, true).unwrap();
        assert_eq!(within("the answer", answer).await.unwrap().status().as_u16(), expected);
    }
    let token = server.token(&json!({ "subscribe": ["*"] }));
    let ticket = server.ticket("/api/debates/d1", &token).await;
    let (status, mut stream) =
        ask(&sender, address, "GET", &format!("{FOLLOW}?ticket={ticket}"), None).await;
    assert_eq!(status, 200);
    until(&mut stream, "event: snapshot").await;
}
