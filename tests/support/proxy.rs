//! A proxy that lies about one durable event in so many, on its way to a follower. Whatever else is asked
//! goes through as it is.

use std::{cell::Cell, io, net::SocketAddr, rc::Rc};

use actix_web::rt::spawn;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use super::Wire;

/// What happens to one durable event in so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    None,
    Drop,
    Double,
    Swap,
    /// One character of the data is another one.
    Alter,
}

/// How many durable events there are to each that it lies about.
const ONE_IN: usize = 50;

pub(crate) struct LyingProxy {
    server: SocketAddr,
    lie: Lie,
    events: Cell<usize>,
    lies: Cell<usize>,
}

impl LyingProxy {
    pub(crate) async fn start(server: SocketAddr, lie: Lie) -> (SocketAddr, Rc<Self>) {
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

    /// Durable events that have come by.
    pub(crate) fn events(&self) -> usize {
        self.events.get()
    }

    /// How many of them it has lied about.
    pub(crate) fn lies(&self) -> usize {
        self.lies.get()
    }

    async fn pass_on(&self, mut client: TcpStream) -> io::Result<()> {
        let mut request = Vec::new();
        // A body may have come with its head.
        while !request.windows(4).any(|four| four == b"\r\n\r\n") {
            if client.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        }
        let request = String::from_utf8(request).map_err(io::Error::other)?;
        if !request.contains("/stream HTTP/") && !request.contains("/stream?") {
            let mut server = TcpStream::connect(self.server).await?;
            server.write_all(request.as_bytes()).await?;
            return copy_bidirectional(&mut client, &mut server).await.map(drop);
        }
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
