//! Followers that cost little: they look at each line and keep nothing, so that a thousand fit beside a server.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpSocket, TcpStream},
};

use crate::support::within;

/// Asks for a stream. As HTTP/1.0: without chunks the lines are those of the events.
pub(crate) async fn connect(
    address: SocketAddr,
    path: &str,
    receive_buffer: Option<u32>,
) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    if let Some(bytes) = receive_buffer {
        socket.set_recv_buffer_size(bytes).unwrap();
    }
    let mut tcp = within("a connection", socket.connect(address)).await.unwrap();
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    tcp.write_all(request.as_bytes()).await.unwrap();
    tcp
}

/// Reads until the response ends. Lines keep their ends.
pub(crate) async fn read_lines(tcp: TcpStream, mut on_line: impl FnMut(&[u8])) -> io::Result<()> {
    let mut lines = BufReader::with_capacity(16 * 1024, tcp);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).await? > 0 {
        on_line(&line);
        line.clear();
    }
    Ok(())
}
