//! A body without an end, written to its connection.

use std::{
    cell::Cell,
    io::{self, Write},
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
                    write!(out, "{:X}\r\n", bytes.len())?;
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
