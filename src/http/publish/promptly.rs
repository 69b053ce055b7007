//! Waiting for what publishers are answered: beside a worker's other tasks, and for all of them at once.

use std::{cell::RefCell, panic::AssertUnwindSafe};

use futures_util::{
    future::{BoxFuture, FutureExt},
    stream::{self, StreamExt},
};
use tokio::sync::{mpsc, oneshot};

/// A publish that waits for its answer.
type Waiting = BoxFuture<'static, ()>;

thread_local! {
    /// The way to the task that waits for all publishes of this worker. What these may be is bounded where they wait, on
    /// their streams.
    static WAITER: RefCell<Option<mpsc::UnboundedSender<Waiting>>> = const { RefCell::new(None) };
}

/// Waits on the worker's runtime instead of among its local tasks: each subscriber that a delivery has woken
/// is one of these, and an answer would wait until thousands of them had their turn. What the publisher has
/// next then comes in time to go out with what is still waiting.
///
/// None: the runtime is shutting down, or the answer has panicked.
pub(super) async fn promptly<T: Send + 'static>(
    answer: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let (tell, told) = oneshot::channel();
    // Whoever has published may have gone; it is published all the same. A panic is no other publish's.
    let waiting = AssertUnwindSafe(answer).catch_unwind();
    wait_for(waiting.map(|answer| drop(answer.map(|answer| tell.send(answer)))).boxed());
    told.await.ok()
}

fn wait_for(waiting: Waiting) {
    WAITER.with_borrow_mut(|waiter| {
        let rest = match waiter {
            Some(waiter) => waiter.send(waiting).map_err(|unsent| unsent.0).err(),
            None => Some(waiting),
        };
        // The first, or the first on a new runtime: the waiter has gone with the last one.
        if let Some(waiting) = rest {
            let (way, arriving) = mpsc::unbounded_channel();
            let _ = way.send(waiting);
            *waiter = Some(way);
            tokio::spawn(all(arriving));
        }
    });
}

/// Many are answered at once, from the hub's thread, and a wake of a runtime from there is a system call.
/// This task is woken by the first answer, and no more until it has looked at all of them; a task for each
/// would be woken each time.
fn all(mut arriving: mpsc::UnboundedReceiver<Waiting>) -> impl Future<Output = ()> + Send {
    stream::poll_fn(move |context| arriving.poll_recv(context))
        .for_each_concurrent(None, |waiting| waiting)
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::{Context, Wake, Waker},
    };

    use tokio::{
        runtime,
        task::{self, LocalSet},
    };

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn answers_that_come_together_wake_once_and_are_all_seen() {
        let wakes = Arc::<Wakes>::default();
        let waker = Waker::from(Arc::clone(&wakes));
        let mut context = Context::from_waker(&waker);
        let (way, arriving) = mpsc::unbounded_channel();
        let (answers, outcomes): (Vec<_>, Vec<_>) = (0..10)
            .map(|_| {
                let (answer, answered) = oneshot::channel::<()>();
                let (tell, told) = oneshot::channel();
                way.send(answered.map(|answer| tell.send(answer).unwrap()).boxed()).unwrap();
                (answer, told)
            })
            .unzip();
        let mut all = pin!(all(arriving));
        assert!(all.as_mut().poll(&mut context).is_pending());
        wakes.0.store(0, Ordering::Relaxed);
        for answer in answers {
            answer.send(()).unwrap();
        }
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        assert!(all.as_mut().poll(&mut context).is_pending());
        for mut outcome in outcomes {
            outcome.try_recv().unwrap().unwrap();
        }
        drop(way);
        assert!(all.as_mut().poll(&mut context).is_ready(), "nothing is left to wait for");
    }

    #[test]
    fn a_panic_is_nobody_else_s() {
        let runtime = runtime::Builder::new_current_thread().build().unwrap();
        let panics = promptly::<()>(async {
            tokio::task::yield_now().await;
            panic!("on purpose")
        });
        let answers = promptly(async {
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
        });
        let both = async { tokio::join!(panics, answers) };
        assert_eq!(runtime.block_on(both), (None, Some(())));
    }

    #[test]
    fn each_runtime_of_a_thread_has_its_answers() {
        for number in 0..2 {
            let runtime = runtime::Builder::new_current_thread().build().unwrap();
            assert_eq!(runtime.block_on(promptly(async move { number })), Some(number));
        }
    }

    #[test]
    fn a_publish_does_not_wait_for_the_local_tasks_that_are_ready() {
        const TASKS: usize = 1000;
        let runtime = runtime::Builder::new_current_thread().build().unwrap();
        let before = LocalSet::new().block_on(&runtime, async {
            let polled = Arc::new(AtomicUsize::new(0));
            for _ in 0..TASKS {
                let polled = Arc::clone(&polled);
                task::spawn_local(async move { polled.fetch_add(1, Ordering::Relaxed) });
            }
            let seen = Arc::clone(&polled);
            promptly(async move { seen.load(Ordering::Relaxed) }).await.unwrap()
        });
        assert!(before < TASKS, "{before} local tasks came first");
    }
}
