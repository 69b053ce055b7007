//! Reads a streaming response with next to nothing per connection: what arrives whole is looked at where it
//! was read, and only the beginnings of frames are kept.

use std::mem;

use httparse::Status;

/// How many headers an answer may have.
const HEADERS_MAX: usize = 64;

/// One response, from its head on.
#[derive(Debug, Default)]
pub(super) struct Wire {
    state: State,
    /// Read, and not enough to go on.
    raw: Vec<u8>,
    /// The beginning of a frame.
    partial: Vec<u8>,
}

/// What comes next.
#[derive(Debug, Clone, Copy, Default)]
enum State {
    #[default]
    Head,
    ChunkSize,
    ChunkData {
        left: u64,
    },
    /// The body is not chunked, and ends with the connection.
    Plain,
    End,
}

/// One event as a listener sees it. The server writes its data on one line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) name: &'a [u8],
    pub(super) data: &'a [u8],
}

/// Why a response cannot be followed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum WireError {
    /// The server says no, perhaps with a reason in this body.
    Refused { status: u16, body: Vec<u8> },
    /// This is no HTTP.
    Malformed,
}

/// The next piece of the body, which may be empty, and what follows it.
type Step<'a> = (&'a [u8], &'a [u8]);

impl Wire {
    /// The response has ended, and not only broken off.
    pub(super) const fn has_ended(&self) -> bool {
        matches!(self.state, State::End)
    }

    /// Takes what was read and shows each frame that is whole.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        mut see: impl FnMut(Frame<'_>),
    ) -> Result<(), WireError> {
        let raw = mem::take(&mut self.raw);
        let joined;
        let mut rest = if raw.is_empty() {
            bytes
        } else {
            joined = [&raw, bytes].concat();
            &joined
        };
        while let Some((body, after)) = self.next(rest)? {
            self.text(body, &mut see);
            rest = after;
        }
        self.raw.extend_from_slice(rest);
        Ok(())
    }

    /// None: more is needed.
    fn next<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<Step<'a>>, WireError> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let nothing_and = |used| Ok(bytes.get(used..).map(|after| (&[][..], after)));
        match self.state {
            State::Head => {
                let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
                let mut head = httparse::Response::new(&mut headers);
                let parsed = head.parse(bytes).map_err(|_| WireError::Malformed)?;
                let Status::Complete(length) = parsed else { return Ok(None) };
                let status = head.code.unwrap_or_default();
                if status != 200 {
                    let body = bytes.get(length..).unwrap_or_default().to_vec();
                    return Err(WireError::Refused { status, body });
                }
                let is_chunked = head.headers.iter().any(|header| {
                    header.name.eq_ignore_ascii_case("transfer-encoding")
                        && header.value.eq_ignore_ascii_case(b"chunked")
                });
                self.state = if is_chunked { State::ChunkSize } else { State::Plain };
                nothing_and(length)
            }
            State::ChunkSize => {
                let parsed = httparse::parse_chunk_size(bytes).map_err(|_| WireError::Malformed)?;
                let Status::Complete((length, left)) = parsed else { return Ok(None) };
                self.state = if left == 0 { State::End } else { State::ChunkData { left } };
                nothing_and(length)
            }
            State::ChunkData { left: 0 } if bytes.starts_with(b"\r\n") => {
                self.state = State::ChunkSize;
                nothing_and(2)
            }
            State::ChunkData { left: 0 } if bytes == b"\r" => Ok(None),
            State::ChunkData { left: 0 } => Err(WireError::Malformed),
            State::ChunkData { left } => {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                self.state = State::ChunkData { left: left - taken as u64 };
                Ok(bytes.split_at_checked(taken))
            }
            State::Plain => Ok(Some((bytes, &[]))),
            State::End => Ok(None),
        }
    }

    /// Takes a piece of the event stream.
    fn text(&mut self, piece: &[u8], see: &mut impl FnMut(Frame<'_>)) {
        let partial = mem::take(&mut self.partial);
        let joined;
        let mut rest = if partial.is_empty() {
            piece
        } else {
            joined = [&partial, piece].concat();
            &joined
        };
        while let Some((frame, after)) = split_frame(rest) {
            see(Frame::parse(frame));
            rest = after;
        }
        self.partial.extend_from_slice(rest);
    }
}

/// The first frame, up to its blank line, and what follows it.
fn split_frame(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.windows(2).position(|pair| pair == b"\n\n")?;
    text.split_at_checked(end + 2)
}

impl<'a> Frame<'a> {
    fn parse(text: &'a [u8]) -> Self {
        let mut frame = Self::default();
        for line in text.split(|byte| *byte == b'\n') {
            if let Some(name) = line.strip_prefix(b"event: ") {
                frame.name = name;
            } else if let Some(data) = line.strip_prefix(b"data: ") {
                frame.data = data;
            }
        }
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "HTTP/1.1 200 OK\r\nServer: x\r\nTransfer-Encoding: chunked\r\n\r\n";

    fn seen(wire: &mut Wire, bytes: &[u8]) -> Result<Vec<(String, String)>, WireError> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut seen = Vec::new();
        wire.push(bytes, |frame| seen.push((text(frame.name), text(frame.data))))?;
        Ok(seen)
    }

    fn expected() -> Vec<(String, String)> {
        [("", ""), ("note", "1"), ("", ""), ("bench", "{}")]
            .map(|(name, data)| (name.to_owned(), data.to_owned()))
            .to_vec()
    }

    #[test]
    fn every_frame_is_seen_once_wherever_the_network_splits_it() {
        let chunks = [
            "retry: 5\n\n",
            "event: note\nid: a-1\ndata: 1\n",
            "\n:heartbeat\n",
            "\nevent: bench\ndata: {",
            "}\n\n",
            "",
        ];
        let chunks = chunks.map(|chunk| format!("{:X}\r\n{chunk}\r\n", chunk.len()));
        let whole = [HEAD, &chunks.concat()].concat();
        for first in 0..=whole.len() {
            for second in [first, first.midpoint(whole.len()), whole.len()] {
                let mut wire = Wire::default();
                let mut all = Vec::new();
                for piece in [&whole[..first], &whole[first..second], &whole[second..]] {
                    all.extend(seen(&mut wire, piece.as_bytes()).unwrap());
                }
                assert_eq!(all, expected(), "split at {first} and {second}");
                assert!(wire.has_ended());
            }
        }
    }

    #[test]
    fn a_body_without_chunks_is_read_as_it_is() {
        let mut wire = Wire::default();
        let text = "HTTP/1.1 200 OK\r\n\r\nretry: 5\n\nevent: note\ndata: 1\n\n:x\n\ndata: {}\nevent: bench\n\n";
        assert_eq!(seen(&mut wire, text.as_bytes()).unwrap(), expected());
        assert!(!wire.has_ended());
    }

    #[test]
    fn a_refusal_is_told_with_its_body() {
        let mut wire = Wire::default();
        let refused = seen(&mut wire, b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno");
        assert_eq!(refused, Err(WireError::Refused { status: 404, body: b"no".to_vec() }));
    }

    #[test]
    fn what_is_no_http_is_told() {
        for text in ["SSH-2.0-x\r\n".to_owned(), format!("{HEAD}x\r\n"), format!("{HEAD}1\r\naa")] {
            let mut wire = Wire::default();
            assert_eq!(seen(&mut wire, text.as_bytes()), Err(WireError::Malformed), "{text}");
        }
    }
}
