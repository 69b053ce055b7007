//! The newest events of an active stream, as they go over the wire: what most reconnects need.

use std::collections::VecDeque;

use bytes::Bytes;

/// One durable event, encoded.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) seq: u64,
    pub(crate) bytes: Bytes,
}

/// A ring of consecutive events, bounded by their number and their bytes.
#[derive(Debug)]
pub(crate) struct History {
    frames: VecDeque<Frame>,
    bytes: usize,
    events_max: usize,
    bytes_max: usize,
}

impl History {
    pub(crate) fn new(events_max: usize, bytes_max: usize) -> Self {
        Self { frames: VecDeque::new(), bytes: 0, events_max, bytes_max }
    }

    /// Adds the event that follows the newest one; the oldest go as the bounds demand.
    pub(crate) fn push(&mut self, frame: Frame) {
        debug_assert!(self.frames.back().is_none_or(|newest| newest.seq + 1 == frame.seq));
        self.bytes += frame.bytes.len();
        self.frames.push_back(frame);
        while self.frames.len() > self.events_max || self.bytes > self.bytes_max {
            let Some(oldest) = self.frames.pop_front() else {
                break;
            };
            self.bytes -= oldest.bytes.len();
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.frames.clear();
        self.bytes = 0;
    }

    /// The events after `seq`, if the ring reaches back that far and has any.
    pub(crate) fn after(&self, seq: u64) -> Option<impl Iterator<Item = &Frame>> {
        let oldest = self.frames.front()?.seq;
        let skipped = usize::try_from((seq + 1).checked_sub(oldest)?).ok()?;
        (skipped < self.frames.len()).then(|| self.frames.range(skipped..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(events_max: usize, bytes_max: usize, sizes: &[usize]) -> History {
        let mut history = History::new(events_max, bytes_max);
        for (seq, size) in (1..).zip(sizes) {
            history.push(Frame { seq, bytes: vec![b'x'; *size].into() });
        }
        history
    }

    fn seqs_after(history: &History, seq: u64) -> Option<Vec<u64>> {
        history.after(seq).map(|frames| frames.map(|frame| frame.seq).collect())
    }

    #[test]
    fn the_ring_answers_only_what_it_holds_whole() {
        let ring = history(3, 1000, &[1, 1, 1, 1, 1]);
        for (after, expected) in [
            (0, None),
            (1, None),
            (2, Some(vec![3, 4, 5])),
            (4, Some(vec![5])),
            (5, None),
            (6, None),
            (u64::MAX - 1, None),
        ] {
            assert_eq!(seqs_after(&ring, after), expected, "after {after}");
        }
        assert_eq!(seqs_after(&History::new(3, 1000), 0), None);
    }

    #[test]
    fn the_ring_is_bounded_by_bytes_too() {
        let ring = history(100, 100, &[60, 60, 30]);
        assert_eq!(seqs_after(&ring, 1), Some(vec![2, 3]));
        assert_eq!(seqs_after(&ring, 0), None);
        let too_large = history(100, 100, &[10, 101]);
        assert_eq!(seqs_after(&too_large, 1), None, "the store has it");
    }
}
