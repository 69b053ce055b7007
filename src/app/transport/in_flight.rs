//! What has been asked over HTTP/2, and is not answered yet.
//!
//! When the server stops, actix-http ends each HTTP/1.1 connection once it has nothing left to answer. HTTP/2
//! connections it leaves to their peers, and a browser keeps one for as long as a page is open: each stop would take
//! all the time that it may.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use actix_http::Request;
use actix_service::apply_fn_factory;
use actix_web::{
    body::{BodySize, BoxBody, MessageBody},
    dev::{Response, Service},
};
use bytes::Bytes;
use tokio::{sync::watch, time::timeout};

use super::Application;

/// Counts the requests of one connection.
#[derive(Clone, Default)]
pub(super) struct InFlight(Rc<watch::Sender<usize>>);

/// One request, until its answer is with the connection.
struct Asked(InFlight);

impl InFlight {
    fn begin(&self) -> Asked {
        self.0.send_modify(|asked| *asked += 1);
        Asked(self.clone())
    }

    /// Done when all is answered, and nothing has been asked for so long.
    pub(super) async fn settled(&self, quiet: Duration) {
        let mut asked = self.0.subscribe();
        loop {
            let _ = asked.wait_for(|asked| *asked == 0).await;
            if timeout(quiet, asked.changed()).await.is_err() {
                return;
            }
        }
    }
}

/// An application that counts requests where their connection's data say so.
pub(super) fn counted<A, B>(app: A) -> impl Application<Answer> + use<A, B>
where
    A: Application<B>,
    B: MessageBody + 'static,
{
    apply_fn_factory(app, |request: Request, app: &A::Service| {
        let asked = request.conn_data().map(InFlight::begin);
        let answer = app.call(request);
        async move {
            let answer: Response<B> = answer.await?.into();
            Ok(answer.map_body(|_, body| Answer { body: body.boxed(), _asked: asked }))
        }
    })
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.0.send_modify(|asked| *asked -= 1);
    }
}

/// The body of an answer.
pub(super) struct Answer {
    body: BoxBody,
    _asked: Option<Asked>,
}

impl MessageBody for Answer {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::time::advance;

    use super::*;

    const QUIET: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn what_is_asked_is_waited_for_however_long_it_takes() {
        let in_flight = InFlight::default();
        let (one, other) = (in_flight.begin(), in_flight.begin());
        let mut settled = in_flight.settled(QUIET).boxed_local();
        for asked in [one, other] {
            assert!((&mut settled).now_or_never().is_none());
            advance(10 * QUIET).await;
            assert!((&mut settled).now_or_never().is_none());
            drop(asked);
        }
        assert!((&mut settled).now_or_never().is_none(), "the last words have to be sent, too");
        advance(QUIET).await;
        assert!((&mut settled).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_at_the_last_moment_is_answered_too() {
        let in_flight = InFlight::default();
        let mut settled = in_flight.settled(QUIET).boxed_local();
        assert!((&mut settled).now_or_never().is_none());
        advance(QUIET / 2).await;
        let late = in_flight.begin();
        assert!((&mut settled).now_or_never().is_none());
        advance(QUIET).await;
        assert!((&mut settled).now_or_never().is_none());
        drop(late);
        assert!((&mut settled).now_or_never().is_none());
        advance(QUIET).await;
        assert!((&mut settled).now_or_never().is_some());
    }
}
