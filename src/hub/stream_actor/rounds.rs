//! Rounds: what comes due on connections by itself, heartbeats and ends.
//!
//! One timer serves all connections of a stream. One for each would be looked at with every delivery.

use std::{sync::Arc, time::Duration};

use actix::{AsyncContext, Context};
use tokio::time::Instant;

use super::StreamActor;
use crate::hub::{messages::Deliver, subscriber::SubscriberHandle};

/// How many rounds go by between two heartbeats of a connection, at least. A heartbeat that comes due before the next
/// round comes with this one: a little early, and of thousands of connections those together that came together.
const ROUNDS_PER_HEARTBEAT: u32 = 16;

/// The longest time between two rounds.
const ROUND_MAX: Duration = Duration::from_secs(1);

impl StreamActor {
    /// Sees to it that the subscribers are looked after at this time, or earlier.
    pub(super) fn look_after_them_at(&mut self, due_at: Instant, ctx: &mut Context<Self>) {
        if let Some((planned, timer)) = self.next_round {
            if planned <= due_at {
                return;
            }
            ctx.cancel_future(timer);
        }
        let delay = due_at.saturating_duration_since(Instant::now());
        let timer = ctx.run_later(delay, |actor, ctx| {
            actor.next_round = None;
            actor.look_after_them(ctx);
        });
        self.next_round = Some((due_at, timer));
    }

    fn look_after_them(&mut self, ctx: &mut Context<Self>) {
        let interval = self.config.heartbeat_interval;
        let now = Instant::now();
        let next_round = now + (interval / ROUNDS_PER_HEARTBEAT).min(ROUND_MAX);
        let heartbeat = Deliver(Arc::new(self.state.heartbeat(self.clock.now_ms())));
        let attend = |handle: &mut SubscriberHandle| {
            handle.attend(now, next_round, &heartbeat, interval);
            handle.due_at()
        };
        if let Some(due_at) = self.state.handles_mut().map(attend).min() {
            self.look_after_them_at(due_at.max(next_round), ctx);
        }
    }
}
