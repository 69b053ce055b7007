//! Followers that cost little: they look at each line and keep nothing, so that a thousand fit beside a server.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpSocket, TcpStream},
};

use crate::support::within;

/// Asks for a stream.
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
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    tcp.write_all(request.as_bytes()).await.unwrap();
    tcp
}

/// Reads until the response ends, or the connection does. Lines keep their ends; those of the head come first.
pub(crate) async fn read_lines(tcp: TcpStream, mut on_line: impl FnMut(&[u8])) -> io::Result<()> {
    let mut response = BufReader::with_capacity(16 * 1024, tcp);
    let mut line = Vec::new();
    while line != b"\r\n" {
        line.clear();
        response.read_until(b'\n', &mut line).await?;
        on_line(&line);
    }
    line.clear();
    loop {
        let mut size = String::new();
        response.read_line(&mut size).await?;
        let Ok(size @ 1..) = u64::from_str_radix(size.trim_end(), 16) else { return Ok(()) };
        let mut chunk = (&mut response).take(size);
        while chunk.read_until(b'\n', &mut line).await? > 0 {
            if line.ends_with(b"\n") {
                on_line(&line);
                line.clear();
            }
        }
        response.read_line(&mut String::new()).await?;
    }
}
