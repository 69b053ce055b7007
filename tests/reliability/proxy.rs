//! A proxy that lies about one event in so many, and the proof that the checker notices.

use std::{cell::Cell, collections::BTreeSet, io, net::SocketAddr, rc::Rc};

use actix_web::rt::spawn;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    checker::{self, Fault},
    load::Load,
    support::{Process, Wire},
};

/// What happens to one durable event in so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    None,
    Drop,
    Double,
    Swap,
    /// One character of the data is another one.
    Alter,
}

const ONE_IN: usize = 50;

struct Proxy {
    server: SocketAddr,
    lie: Lie,
    /// Durable events that have come by.
    events: Cell<usize>,
    lies: Cell<usize>,
}

impl Proxy {
    async fn start(server: SocketAddr, lie: Lie) -> (SocketAddr, Rc<Self>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = Rc::new(Self { server, lie, events: Cell::new(0), lies: Cell::new(0) });
        spawn({
            let proxy = Rc::clone(&proxy);
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let proxy = Rc::clone(&proxy);
                    // Whoever hangs up, the other side hears of it.
                    spawn(async move { drop(proxy.pass_on(client).await) });
                }
            }
        });
        (address, proxy)
    }

    async fn pass_on(&self, mut client: TcpStream) -> io::Result<()> {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            if client.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        }
        let request = String::from_utf8(request).map_err(io::Error::other)?;
        let path = request.split(' ').nth(1).unwrap_or_default();
        let cursor = request.lines().find_map(|line| line.strip_prefix("Last-Event-ID: "));
        let headers: Vec<_> = cursor.map(|cursor| ("Last-Event-ID", cursor)).into_iter().collect();
        let mut wire = Wire::try_follow(self.server, path, &headers).await?;
        if wire.head.status == 204 {
            return client.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        }
        let head =
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
        client.write_all(head.as_bytes()).await?;
        let (mut taken, mut held) = (0, None);
        loop {
            while let Some(end) =
                wire.body[taken..].windows(2).position(|pair| pair == b"\n\n").map(|at| at + 2)
            {
                let frame = &wire.body[taken..taken + end];
                taken += end;
                client.write_all(&self.retell(frame, &mut held)).await?;
            }
            if !wire.fill().await && wire.body[taken..].is_empty() {
                return client.shutdown().await;
            }
            if wire.end.is_some() && !wire.body[taken..].windows(2).any(|pair| pair == b"\n\n") {
                return client.shutdown().await;
            }
        }
    }

    /// What the client is told instead of this frame.
    fn retell(&self, frame: &[u8], held: &mut Option<Vec<u8>>) -> Vec<u8> {
        let text = String::from_utf8_lossy(frame);
        let is_durable = text.contains("\nid: ")
            && !["event: snapshot\n", "event: gap\n"].iter().any(|name| text.starts_with(name));
        if !is_durable {
            return frame.to_vec();
        }
        if let Some(held) = held.take() {
            return [frame, &held].concat();
        }
        self.events.set(self.events.get() + 1);
        if self.lie == Lie::None || !self.events.get().is_multiple_of(ONE_IN) {
            return frame.to_vec();
        }
        self.lies.set(self.lies.get() + 1);
        match self.lie {
            Lie::None => frame.to_vec(),
            Lie::Drop => Vec::new(),
            Lie::Double => [frame, frame].concat(),
            Lie::Swap => {
                *held = Some(frame.to_vec());
                Vec::new()
            }
            Lie::Alter => text.replace("\ndata: {", "\ndata: {\"z\":0,").into_bytes(),
        }
    }
}

/// What the checker finds when followers come through such a proxy, over a sudden death or two.
async fn faults_through(lie: Lie) -> BTreeSet<Fault> {
    let folder = tempfile::tempdir().unwrap();
    let args = ["--retry", "60ms", "--history", "16"];
    let mut server = Process::serve(folder.path(), 0, &args).await;
    let address = server.address;
    let (through, proxy) = Proxy::start(address, lie).await;
    let mut load = Load::start(address, 4, 1);
    load.follow(through, 12);
    for _ in 0..2 {
        load.acknowledged(60).await;
        server.kill();
        server = Process::serve(folder.path(), address.port(), &args).await;
    }
    load.acknowledged(20).await;
    let (run, _, _) = load.end().await;
    let found = checker::faults(&run);
    println!("{lie:?}: {} lies over {} events: {found:?}", proxy.lies.get(), proxy.events.get());
    assert_eq!(proxy.lies.get() > 3, lie != Lie::None, "there is something to find");
    if lie == Lie::None {
        checker::assert_clean(&run);
    }
    found
}

#[actix_web::test]
async fn the_checker_finds_nothing_behind_an_honest_proxy() {
    assert_eq!(faults_through(Lie::None).await, BTreeSet::new());
}

#[actix_web::test]
async fn the_checker_finds_what_a_proxy_drops_doubles_swaps_and_alters() {
    for (lie, expected) in [
        (Lie::Drop, [Fault::Hole].into()),
        (Lie::Double, [Fault::Duplicate].into()),
        (Lie::Swap, BTreeSet::from([Fault::Hole, Fault::Order])),
        (Lie::Alter, [Fault::Altered].into()),
    ] {
        let found = faults_through(lie).await;
        assert!(found.is_superset(&expected), "{lie:?}: {found:?}");
    }
}
