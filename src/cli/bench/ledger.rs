//! What one client has received, against what was published: each event once, and in order.

use std::collections::BTreeSet;

use super::stream::{BenchStream, Mark};

/// What one client has received.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// The number that each lane goes on with.
    next: Vec<usize>,
    /// What others have overtaken.
    skipped: BTreeSet<Mark>,
    pub(super) doubled: u64,
    pub(super) out_of_order: u64,
}

impl Ledger {
    /// Notes an event that was published. False: the client had it already.
    pub(super) fn receive(&mut self, mark: Mark) -> bool {
        if self.next.len() <= mark.lane {
            self.next.resize(mark.lane + 1, 0);
        }
        let Some(next) = self.next.get_mut(mark.lane) else { return false };
        if mark.number >= *next {
            let overtaken = *next..mark.number;
            self.skipped.extend(overtaken.map(|number| Mark { number, ..mark }));
            *next = mark.number + 1;
            return true;
        }
        let is_late = self.skipped.remove(&mark);
        self.out_of_order += u64::from(is_late);
        self.doubled += u64::from(!is_late);
        is_late
    }

    /// How many events were acknowledged and never received. Of those that were not acknowledged nobody
    /// knows whether they were published.
    pub(super) fn missing(&self, stream: &BenchStream) -> u64 {
        let after_the_last =
            stream.lane_lengths().into_iter().enumerate().flat_map(|(lane, sent)| {
                let next = self.next.get(lane).copied().unwrap_or(0);
                (next..sent).map(move |number| Mark { lane, number })
            });
        let not_received = self.skipped.iter().copied().chain(after_the_last);
        not_received.filter(|mark| stream.is_acknowledged(*mark)).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// Missing, doubled, out of order: after two lanes of four events each, of which the last is not
    /// acknowledged on the second.
    fn check(received: &[(usize, usize)]) -> (u64, u64, u64) {
        let stream = BenchStream::new(1).unwrap();
        for number in 0..4 {
            for lane in [0, 1] {
                let mark = stream.begin(Instant::now());
                assert_eq!(mark, Mark { lane, number });
                if mark != (Mark { lane: 1, number: 3 }) {
                    stream.acknowledge(mark);
                }
            }
            // The lane that is given back last is taken first.
            stream.release(1);
            stream.release(0);
        }
        let mut ledger = Ledger::default();
        let mut once = BTreeSet::new();
        for &(lane, number) in received {
            let mark = Mark { lane, number };
            assert_eq!(ledger.receive(mark), once.insert(mark), "{mark:?}");
        }
        (ledger.missing(&stream), ledger.doubled, ledger.out_of_order)
    }

    #[test]
    fn whatever_is_not_once_and_in_order_is_counted() {
        let all = [(0, 0), (1, 0), (1, 1), (0, 1), (0, 2), (0, 3), (1, 2)];
        let with = |extra: &[(usize, usize)]| [&all[..], extra].concat();
        let without = |left_out: (usize, usize)| {
            all.into_iter().filter(|mark| *mark != left_out).collect::<Vec<_>>()
        };
        for (received, expected) in [
            (all.to_vec(), (0, 0, 0)),
            (with(&[(1, 3)]), (0, 0, 0)),
            (with(&[(1, 2)]), (0, 1, 0)),
            (with(&[(0, 0), (0, 0)]), (0, 2, 0)),
            (without((0, 0)), (1, 0, 0)),
            (without((0, 2)), (1, 0, 0)),
            (without((0, 3)), (1, 0, 0)),
            (vec![(0, 1), (0, 0)], (5, 0, 1)),
            (vec![(0, 2), (0, 0), (0, 1), (0, 1)], (4, 1, 2)),
            (vec![], (7, 0, 0)),
        ] {
            assert_eq!(check(&received), expected, "{received:?}");
        }
    }
}
