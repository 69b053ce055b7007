//! A body without an end, written to its connection.

use std::{
    cell::Cell,
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::body::{BoxBody, MessageBody};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much is gathered for one write. What the kernel does not take of it is kept, for each connection.
const GATHERED_BYTES_MAX: usize = 8 * 1024;

/// How much a client may say that it was not asked for.
const UNASKED_BYTES_MAX: usize = 16 * 1024;

thread_local! {
    /// Where the next write is put together: one place for all connections of a worker, so that it stays in the
    /// processor's cache and a connection that waits holds no memory for it.
    static GATHERED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Sends a body in chunks (HTTP/1.1) until it ends or its client is gone.
pub(super) struct StreamWriter<T> {
    io: T,
    body: BoxBody,
    /// What the kernel would not take yet.
    unsent: Vec<u8>,
    unasked_bytes: usize,
    is_over: bool,
}

impl<T: AsyncRead + AsyncWrite + Unpin> StreamWriter<T> {
    pub(super) const fn new(io: T, body: BoxBody) -> Self {
        Self { io, body, unsent: Vec::new(), unasked_bytes: 0, is_over: false }
    }

    /// Done when the client has closed the connection, or says more than it should.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [MaybeUninit::uninit(); 512];
        loop {
            let mut unasked = ReadBuf::uninit(&mut bytes);
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut unasked)) {
                Ok(()) if !unasked.filled().is_empty() => {
                    self.unasked_bytes += unasked.filled().len();
                    if self.unasked_bytes > UNASKED_BYTES_MAX {
                        return Poll::Ready(());
                    }
                }
                _ => return Poll::Ready(()),
            }
        }
    }

    /// Writes what has been kept, and lets go of the memory.
    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut io = Pin::new(&mut self.io);
        while !self.unsent.is_empty() {
            match ready!(io.as_mut().poll_write(cx, &self.unsent))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => drop(self.unsent.drain(..sent)),
            }
        }
        self.unsent = Vec::new();
        // TLS keeps records of its own.
        io.poll_flush(cx)
    }

    /// Writes what the body has to say for the moment; whether that was all.
    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut gathered = GATHERED.take();
        gathered.clear();
        let was_all = self.gather(&mut gathered, cx)?;
        if !gathered.is_empty() {
            let sent = match Pin::new(&mut self.io).poll_write(cx, &gathered) {
                Poll::Ready(sent) => sent?,
                Poll::Pending => 0,
            };
            self.unsent.extend_from_slice(gathered.get(sent..).unwrap_or_default());
        }
        GATHERED.set(gathered);
        Ok(was_all)
    }

    fn gather(&mut self, out: &mut Vec<u8>, cx: &mut Context<'_>) -> io::Result<bool> {
        while out.len() < GATHERED_BYTES_MAX {
            match Pin::new(&mut self.body).poll_next(cx) {
                // As a chunk it would be the last.
                Poll::Ready(Some(Ok(bytes))) if bytes.is_empty() => {}
                Poll::Ready(Some(Ok(bytes))) => {
                    push_hex(out, bytes.len());
                    out.extend_from_slice(b"\r\n");
                    out.extend_from_slice(&bytes);
                    out.extend_from_slice(b"\r\n");
                }
                Poll::Ready(None) => {
                    out.extend_from_slice(b"0\r\n\r\n");
                    self.is_over = true;
                    return Ok(true);
                }
                // Without a last chunk: the client is to see that something is missing.
                Poll::Ready(Some(Err(error))) => return Err(io::Error::other(error.to_string())),
                Poll::Pending => return Ok(true),
            }
        }
        Ok(false)
    }
}

/// The formatting machinery would take as long as the copying.
fn push_hex(out: &mut Vec<u8>, number: usize) {
    let digits = (usize::BITS - number.leading_zeros()).div_ceil(4).max(1);
    let digit = |place: u32| char::from_digit((number >> (4 * place)) as u32 % 16, 16);
    out.extend((0..digits).rev().filter_map(digit).map(|digit| digit as u8));
}

impl<T: AsyncRead + AsyncWrite + Unpin> Future for StreamWriter<T> {
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.poll_gone(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut was_all = false;
        loop {
            ready!(this.poll_unsent(cx))?;
            if this.is_over {
                return Pin::new(&mut this.io).poll_shutdown(cx);
            }
            if was_all {
                return Poll::Pending;
            }
            was_all = this.write(cx)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, rc::Rc};

    use actix_web::body::BodySize;
    use bytes::Bytes;
    use futures_util::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    /// What is left of it says how often it was asked.
    type Asked = Rc<Cell<usize>>;

    struct Script {
        pieces: VecDeque<Poll<Option<io::Result<Bytes>>>>,
        asked: Asked,
    }

    impl MessageBody for Script {
        type Error = io::Error;

        fn size(&self) -> BodySize {
            BodySize::Stream
        }

        fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
            self.asked.update(|asked| asked + 1);
            self.get_mut().pieces.pop_front().unwrap_or(Poll::Pending)
        }
    }

    fn piece(bytes: impl Into<Bytes>) -> Poll<Option<io::Result<Bytes>>> {
        Poll::Ready(Some(Ok(bytes.into())))
    }

    fn writer(
        line_bytes: usize,
        pieces: impl IntoIterator<Item = Poll<Option<io::Result<Bytes>>>>,
    ) -> (StreamWriter<DuplexStream>, DuplexStream, Asked) {
        let (server, client) = duplex(line_bytes);
        let asked = Asked::default();
        let script = Script { pieces: pieces.into_iter().collect(), asked: Rc::clone(&asked) };
        (StreamWriter::new(server, BoxBody::new(script)), client, asked)
    }

    const END: Poll<Option<io::Result<Bytes>>> = Poll::Ready(None);

    #[tokio::test]
    async fn a_body_goes_out_in_chunks_up_to_the_last_and_the_connection_is_closed() {
        let long = "x".repeat(3 * GATHERED_BYTES_MAX);
        let (mut writer, mut client, _) = writer(
            64 * 1024,
            [piece("data: 1\n\n"), Poll::Pending, piece(""), piece(long.clone()), piece("y"), END],
        );
        assert!((&mut writer).now_or_never().is_none(), "it waits where the body does");
        writer.await.unwrap();
        let mut received = String::new();
        client.read_to_string(&mut received).await.unwrap();
        let expected =
            format!("9\r\ndata: 1\n\n\r\n{:x}\r\n{long}\r\n1\r\ny\r\n0\r\n\r\n", long.len());
        assert_eq!(received, expected);
    }

    #[test]
    fn lengths_are_hexadecimal() {
        for number in [0, 1, 9, 10, 15, 16, 255, 256, 4095, 4096, 65_536, usize::MAX] {
            let mut out = Vec::new();
            push_hex(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{number:x}"));
        }
    }

    #[tokio::test]
    async fn a_body_that_fails_has_no_last_chunk() {
        let failed = Poll::Ready(Some(Err(io::Error::other("failed"))));
        let (writer, mut client, _) = writer(1024, [piece("data: 1\n\n"), failed]);
        writer.await.unwrap_err();
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.unwrap();
        assert!(!received.ends_with(b"0\r\n\r\n"));
    }

    #[tokio::test]
    async fn while_the_client_takes_nothing_the_body_is_left_alone_and_nothing_is_lost() {
        let pieces = (0..100).map(|n| piece(vec![n; 1000]));
        let (mut writer, mut client, asked) = writer(512, pieces.chain([END]));
        assert!((&mut writer).now_or_never().is_none());
        let asked_at_first = asked.get();
        assert!(asked_at_first <= GATHERED_BYTES_MAX / 1000 + 1);
        assert!(writer.unsent.len() < GATHERED_BYTES_MAX + 1100);
        assert!((&mut writer).now_or_never().is_none());
        assert_eq!(asked.get(), asked_at_first);

        let mut received = Vec::new();
        let (written, read) = tokio::join!(&mut writer, client.read_to_end(&mut received));
        written.unwrap();
        read.unwrap();
        let expected = (0..100).flat_map(|n| [&b"3e8\r\n"[..], &[n; 1000], b"\r\n"].concat());
        assert_eq!(received, expected.chain(*b"0\r\n\r\n").collect::<Vec<_>>());
        assert_eq!(writer.unsent.capacity(), 0, "what was kept is let go");
    }

    #[tokio::test]
    async fn a_client_that_closes_ends_it() {
        let (mut writer, client, _) = writer(1024, [piece("data: 1\n\n")]);
        assert!((&mut writer).now_or_never().is_none());
        drop(client);
        assert!(matches!(writer.now_or_never(), Some(Ok(()))));
    }

    #[tokio::test]
    async fn a_client_may_say_a_little_and_not_much() {
        let (mut writer, mut client, _) = writer(2 * UNASKED_BYTES_MAX, []);
        client.write_all(&[b'x'; UNASKED_BYTES_MAX]).await.unwrap();
        assert!((&mut writer).now_or_never().is_none());
        client.write_all(b"x").await.unwrap();
        assert!(writer.now_or_never().is_some());
    }
}
