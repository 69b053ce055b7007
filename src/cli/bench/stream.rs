//! The streams of a run as they were published: what every client must receive.

use std::{cell::RefCell, rc::Rc, time::Instant};

use tokio::sync::Notify;

use crate::{
    event::Epoch,
    stream_key::{InvalidStreamKey, StreamKey, StreamKind},
};

/// The type of the events: one that no vocabulary knows, so that it means nothing to anyone.
pub(super) const EVENT_NAME: &str = "bench";

/// The shortest data that has room for any mark.
pub(super) const SIZE_MIN: u32 = 64;

/// Which event of its stream it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    /// Publishes on a lane wait for one another: events of a lane must arrive in order. Those of different
    /// lanes may come in any.
    pub(super) lane: usize,
    pub(super) number: usize,
}

/// A stream that the run has made up.
#[derive(Debug)]
pub(super) struct BenchStream {
    pub(super) key: StreamKey,
    /// How many follow it.
    clients: usize,
    lanes: RefCell<Vec<Lane>>,
    /// Lanes on which nothing is being published.
    free: RefCell<Vec<usize>>,
}

#[derive(Debug, Default)]
struct Lane {
    sent: Vec<Sent>,
    /// How many clients have yet to receive the last event.
    awaited: usize,
    all_have_it: Rc<Notify>,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    at: Instant,
    is_acknowledged: bool,
}

impl BenchStream {
    /// A stream under a name that nobody else has.
    pub(super) fn new(clients: usize) -> Result<Self, InvalidStreamKey> {
        let id = format!("bench-{}-{}", Epoch::random(), Epoch::random()).parse()?;
        Ok(Self {
            key: StreamKey::new(StreamKind::Debate, id),
            clients,
            lanes: RefCell::default(),
            free: RefCell::default(),
        })
    }

    /// The next event to publish, on a lane that is free.
    pub(super) fn begin(&self, at: Instant) -> Mark {
        let mut lanes = self.lanes.borrow_mut();
        let lane = self.free.borrow_mut().pop().unwrap_or(lanes.len());
        if lane == lanes.len() {
            lanes.push(Lane::default());
        }
        let number = lanes.get_mut(lane).map_or(0, |lane| {
            lane.sent.push(Sent { at, is_acknowledged: false });
            lane.awaited = self.clients;
            lane.sent.len() - 1
        });
        Mark { lane, number }
    }

    /// The server has answered that it is published.
    pub(super) fn acknowledge(&self, mark: Mark) {
        let mut lanes = self.lanes.borrow_mut();
        if let Some(sent) = lanes.get_mut(mark.lane).and_then(|lane| lane.sent.get_mut(mark.number))
        {
            sent.is_acknowledged = true;
        }
    }

    /// Waits until every client has the last event of this lane.
    pub(super) async fn delivered(&self, lane: usize) {
        let awaited = || {
            let lanes = self.lanes.borrow();
            let lane = lanes.get(lane).filter(|lane| lane.awaited > 0)?;
            Some(Rc::clone(&lane.all_have_it))
        };
        // An earlier event's notice may still be there: nobody need have waited for it.
        while let Some(all_have_it) = awaited() {
            all_have_it.notified().await;
        }
    }

    /// The next event may be published on this lane.
    pub(super) fn release(&self, lane: usize) {
        self.free.borrow_mut().push(lane);
    }

    /// A client has received this for the first time.
    pub(super) fn receive(&self, mark: Mark) {
        let mut lanes = self.lanes.borrow_mut();
        let lane = lanes.get_mut(mark.lane).filter(|lane| mark.number + 1 == lane.sent.len());
        if let Some(lane) = lane {
            lane.awaited = lane.awaited.saturating_sub(1);
            if lane.awaited == 0 {
                lane.all_have_it.notify_one();
            }
        }
    }

    /// How many events were published on each lane, acknowledged or not.
    pub(super) fn lane_lengths(&self) -> Vec<usize> {
        self.lanes.borrow().iter().map(|lane| lane.sent.len()).collect()
    }

    /// When an event was sent; none if it was not.
    pub(super) fn sent_at(&self, mark: Mark) -> Option<Instant> {
        Some(self.lanes.borrow().get(mark.lane)?.sent.get(mark.number)?.at)
    }

    pub(super) fn is_acknowledged(&self, mark: Mark) -> bool {
        let lanes = self.lanes.borrow();
        let sent = lanes.get(mark.lane).and_then(|lane| lane.sent.get(mark.number));
        sent.is_some_and(|sent| sent.is_acknowledged)
    }

    /// How many events were sent.
    pub(super) fn sent(&self) -> u64 {
        self.lane_lengths().into_iter().sum::<usize>() as u64
    }

    /// How many events were acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        let lanes = self.lanes.borrow();
        let sent = lanes.iter().flat_map(|lane| &lane.sent);
        sent.filter(|sent| sent.is_acknowledged).count() as u64
    }

    /// How many deliveries there must be.
    pub(super) fn expected(&self) -> u64 {
        self.acknowledged() * self.clients as u64
    }
}

/// How an event's mark is written into its data, which has one length whatever the mark.
#[derive(Debug)]
pub(super) struct Payload {
    size: usize,
    filler: String,
}

impl Payload {
    pub(super) fn new(size: u32) -> Self {
        let size = size.max(SIZE_MIN) as usize;
        Self { size, filler: "x".repeat(size) }
    }

    /// The data of this event, as JSON.
    pub(super) fn write(&self, Mark { lane, number }: Mark) -> String {
        let mut data = format!(r#"{{"lane":{lane},"n":{number},"text":""#);
        let left = self.size.saturating_sub(data.len() + 2);
        data.push_str(self.filler.get(..left).unwrap_or_default());
        data.push_str("\"}");
        data
    }

    /// The mark in this data; none if the data is not, to the byte, what was published.
    pub(super) fn read(&self, data: &[u8]) -> Option<Mark> {
        let (lane, rest) = number(data.strip_prefix(br#"{"lane":"#)?)?;
        let (number, rest) = number(rest.strip_prefix(br#","n":"#)?)?;
        let filler = rest.strip_prefix(br#","text":""#)?.strip_suffix(br#""}"#)?;
        let is_whole = data.len() == self.size && self.filler.as_bytes().starts_with(filler);
        is_whole.then_some(Mark { lane, number })
    }
}

/// The number at the beginning, and what follows it.
fn number(text: &[u8]) -> Option<(usize, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit())?;
    let (digits, rest) = text.split_at_checked(end)?;
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_has_its_size_and_gives_its_mark_back() {
        for size in [64, 200, 8192] {
            let payload = Payload::new(size);
            for (lane, number) in [(0, 0), (7, 12), (99, 4_000_000_000)] {
                let mark = Mark { lane, number };
                let data = payload.write(mark);
                assert_eq!(data.len(), size as usize);
                assert!(serde_json::from_str::<serde_json::Value>(&data).is_ok());
                assert_eq!(payload.read(data.as_bytes()), Some(mark));
            }
        }
    }

    #[test]
    fn a_payload_that_was_touched_is_not_read() {
        let payload = Payload::new(64);
        let data = payload.write(Mark { lane: 1, number: 2 });
        for touched in [
            data.replacen('x', "y", 1),
            data.replacen('x', "", 1),
            data.replacen('x', "xx", 1),
            data.replacen('2', "2.0", 1),
            data.replacen("lane", "Lane", 1),
            String::new(),
        ] {
            assert_eq!(payload.read(touched.as_bytes()), None, "{touched}");
        }
    }

    #[test]
    fn a_lane_has_one_event_at_a_time() {
        let (stream, now) = (BenchStream::new(3).unwrap(), Instant::now());
        let marks = [stream.begin(now), stream.begin(now)];
        assert_eq!(marks, [Mark { lane: 0, number: 0 }, Mark { lane: 1, number: 0 }]);
        stream.release(1);
        assert_eq!(stream.begin(now), Mark { lane: 1, number: 1 });
        assert_eq!(stream.lane_lengths(), [1, 2]);
        stream.acknowledge(marks[1]);
        assert_eq!((stream.sent(), stream.acknowledged(), stream.expected()), (3, 1, 3));
    }
}
