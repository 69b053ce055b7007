//! Plain requests, by hand: what goes out and what comes back is exactly what the tests say and see.

use std::{io, net::SocketAddr};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::within;

#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) version: String,
    pub(crate) status: u16,
    /// Names in lower case, sorted.
    pub(crate) headers: Vec<(String, String)>,
}

impl Head {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.status
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }

    /// The code in an error's body.
    #[track_caller]
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"]
            .as_str()
            .unwrap_or_else(|| panic!("no code in {}", self.text()))
            .to_owned()
    }

    /// The message in an error's body.
    #[track_caller]
    pub(crate) fn message(&self) -> String {
        self.json()["error"]["message"]
            .as_str()
            .unwrap_or_else(|| panic!("no message in {}", self.text()))
            .to_owned()
    }

    /// The ids that a publish was answered with.
    #[track_caller]
    pub(crate) fn ids(&self) -> Vec<Option<String>> {
        let json = self.json();
        let ids = json["ids"].as_array().unwrap_or_else(|| panic!("no ids in {}", self.text()));
        ids.iter().map(|id| id.as_str().map(str::to_owned)).collect()
    }
}

pub(super) async fn read_head(tcp: &mut TcpStream) -> io::Result<(Head, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if tcp.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let rest = bytes.split_off(end + 4);
    let text = std::str::from_utf8(&bytes).map_err(io::Error::other)?;
    let mut lines = text.trim_end().split("\r\n");
    let (version, status) = lines
        .next()
        .and_then(|line| line.split_once(' '))
        .ok_or_else(|| io::Error::other("no status line"))?;
    let status = status[..3].parse().map_err(io::Error::other)?;
    let mut headers: Vec<_> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    headers.sort();
    let head = Head { version: version.to_owned(), status, headers };
    Ok((head, rest))
}

/// Sends these bytes and reads one answer, up to its end.
pub(crate) async fn exchange(address: SocketAddr, request: &[u8]) -> io::Result<Answer> {
    let mut tcp = TcpStream::connect(address).await?;
    // A server that refuses early may close before it has read everything.
    let (mut reader, mut writer) = tcp.split();
    let is_head = request.starts_with(b"HEAD ");
    let write = async {
        let _ = writer.write_all(request).await;
        std::future::pending::<()>().await;
    };
    let read = async {
        let mut bytes = Vec::new();
        loop {
            if let Some(answer) = parse(&bytes, false, is_head)? {
                return Ok(answer);
            }
            match reader.read_buf(&mut bytes).await {
                Ok(0) => {
                    return parse(&bytes, true, is_head)?
                        .ok_or_else(|| io::ErrorKind::UnexpectedEof.into());
                }
                Ok(_) => {}
                Err(error) => {
                    return parse(&bytes, true, is_head)?.ok_or(error);
                }
            }
        }
    };
    tokio::select! {
        () = write => unreachable!("it never ends"),
        answer = read => answer,
    }
}

/// An answer, if it is whole.
fn parse(bytes: &[u8], is_end: bool, is_head: bool) -> io::Result<Option<Answer>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&bytes[..end]).map_err(io::Error::other)?;
    let mut lines = text.split("\r\n");
    let (version, status) = lines
        .next()
        .and_then(|line| line.split_once(' '))
        .ok_or_else(|| io::Error::other("no status line"))?;
    let mut headers: Vec<_> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    headers.sort();
    let head = Head {
        version: version.to_owned(),
        status: status[..3].parse().map_err(io::Error::other)?,
        headers,
    };
    let body = &bytes[end + 4..];
    let has_body = !is_head && head.status != 204 && head.status != 304;
    let length = head.header("content-length").and_then(|length| length.parse().ok());
    let length = if has_body { length } else { Some(0) };
    let is_whole = length.map_or(is_end, |length: usize| body.len() >= length);
    Ok(is_whole.then(|| Answer { head, body: body.to_vec() }))
}

/// Any request, its head as it is written here.
pub(crate) async fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || method == "POST" {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    request.push_str("Connection: close\r\n\r\n");
    let request = [request.as_bytes(), body].concat();
    let what = format!("{method} {path}");
    within(&what, exchange(address, &request))
        .await
        .unwrap_or_else(|error| panic!("{what}: {error}"))
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    request(address, "GET", path, &[], b"").await
}

pub(crate) async fn post(address: SocketAddr, path: &str, body: &[u8]) -> Answer {
    let json = [("Content-Type", "application/json")];
    request(address, "POST", path, &json, body).await
}

/// Posts JSON; fails if the answer does not come.
pub(crate) async fn exchange_json(
    address: SocketAddr,
    path: &str,
    body: &Value,
) -> io::Result<Answer> {
    let body = body.to_string();
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    exchange(address, request.as_bytes()).await
}
