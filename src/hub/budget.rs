//! Room for what waits, in bytes: a part of it is taken, and given back when what waited is dropped.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Room that many may share; what one of them takes is also taken from the whole that it is a part of.
#[derive(Debug, Clone)]
pub(crate) struct Budget(Arc<Room>);

#[derive(Debug)]
struct Room {
    taken: AtomicUsize,
    max: usize,
    whole: Option<Budget>,
}

/// Room that is taken until this is dropped, however that happens.
#[derive(Debug)]
pub(crate) struct Reserved {
    bytes: usize,
    budget: Budget,
}

impl Budget {
    pub(crate) fn new(max: usize) -> Self {
        Self(Arc::new(Room { taken: AtomicUsize::new(0), max, whole: None }))
    }

    /// A part of this budget, with a bound of its own.
    pub(crate) fn part(&self, max: usize) -> Self {
        let whole = Some(self.clone());
        Self(Arc::new(Room { taken: AtomicUsize::new(0), max, whole }))
    }

    /// Takes so many bytes, or none if there is not room enough.
    pub(crate) fn reserve(&self, bytes: usize) -> Option<Reserved> {
        self.take(bytes).then(|| Reserved { bytes, budget: self.clone() })
    }

    fn take(&self, bytes: usize) -> bool {
        let Room { taken, max, whole } = &*self.0;
        let before = taken.fetch_add(bytes, Ordering::Relaxed);
        let has_room = before.saturating_add(bytes) <= *max
            && whole.as_ref().is_none_or(|whole| whole.take(bytes));
        if !has_room {
            taken.fetch_sub(bytes, Ordering::Relaxed);
        }
        has_room
    }

    fn give_back(&self, bytes: usize) {
        self.0.taken.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(whole) = &self.0.whole {
            whole.give_back(bytes);
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_bounded_each_and_together_and_what_is_dropped_is_free_again() {
        let whole = Budget::new(10);
        let (one, two) = (whole.part(6), whole.part(6));
        let first = one.reserve(6).unwrap();
        assert!(one.reserve(1).is_none(), "the part is full");
        let second = two.reserve(4).unwrap();
        assert!(two.reserve(1).is_none(), "the whole is full");
        drop(first);
        assert!(
            two.reserve(3).is_none(),
            "what was refused counts for nothing, and the part is full"
        );
        let third = two.reserve(2).unwrap();
        assert!(one.reserve(5).is_none());
        drop((second, third));
        assert!(whole.reserve(11).is_none());
        drop(whole.reserve(10).unwrap());
        assert_eq!(whole.0.taken.load(Ordering::Relaxed), 0);
    }
}
