//! Event ids: `<epoch>-<seq>`.
//!
//! The epoch is made when a stream is first stored, so that a stream that was created anew cannot be
//! mistaken for the one before it; `seq` counts 1, 2, 3 … within it, without holes.

use std::{fmt, str::FromStr};

/// The length of an epoch, in characters.
const EPOCH_LEN: usize = 8;

/// Tells one life of a stream from another: 8 characters of `[a-z0-9]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch([u8; EPOCH_LEN]);

impl Epoch {
    /// A new epoch, different from all others but by a chance of 1 in 36⁸.
    #[must_use]
    pub fn random() -> Self {
        Self([(); EPOCH_LEN].map(|()| {
            let character =
                if fastrand::u8(..36) < 10 { fastrand::digit(10) } else { fastrand::lowercase() };
            character as u8
        }))
    }

    /// The epoch as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII gets in, so that the fallback is never taken.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Epoch({self})")
    }
}

impl FromStr for Epoch {
    type Err = InvalidEventId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes: [u8; EPOCH_LEN] = text.as_bytes().try_into().map_err(|_| InvalidEventId)?;
        if bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
            Ok(Self(bytes))
        } else {
            Err(InvalidEventId)
        }
    }
}

/// The id of a durable event, and so a place in a stream's history.
///
/// ```
/// use clearside_sse::EventId;
///
/// let id: EventId = "k3v9x2a7-42".parse()?;
/// assert_eq!((id.epoch.as_str(), id.seq), ("k3v9x2a7", 42));
/// # Ok::<_, clearside_sse::InvalidEventId>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventId {
    /// The life of the stream that the event belongs to.
    pub epoch: Epoch,
    /// The event's place in it, from 1. As a cursor, 0 is the place before the first event.
    pub seq: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.seq)
    }
}

impl FromStr for EventId {
    type Err = InvalidEventId;

    /// Reads what [`Display`](fmt::Display) writes and nothing else: no sign, no leading zero, no space.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (epoch, seq) = text.split_once('-').ok_or(InvalidEventId)?;
        let is_canonical = seq == "0" || !seq.starts_with(['0', '+', '-']);
        if !is_canonical {
            return Err(InvalidEventId);
        }
        let seq = seq.parse().map_err(|_| InvalidEventId)?;
        Ok(Self { epoch: epoch.parse()?, seq })
    }
}

impl serde::Serialize for EventId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The text is no event id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event id is 8 characters of a-z 0-9, a hyphen and a number")]
pub struct InvalidEventId;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written_and_in_no_other_way() {
        for text in ["k3v9x2a7-0", "k3v9x2a7-1", "00000000-18446744073709551615"] {
            assert_eq!(text.parse::<EventId>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "-",
            "k3v9x2a7",
            "k3v9x2a7-",
            "k3v9x2a7-01",
            "k3v9x2a7-00",
            "k3v9x2a7-+5",
            "k3v9x2a7--1",
            "k3v9x2a7-1e3",
            "k3v9x2a7-1 ",
            " k3v9x2a7-1",
            "K3v9x2a7-1",
            "k3v9x2a-1",
            "k3v9x2a77-1",
            "k3v9x2a7-18446744073709551616",
            "k3v9x2é-1",
            "42",
        ] {
            assert_eq!(text.parse::<EventId>(), Err(InvalidEventId), "{text:?}");
        }
    }

    #[test]
    fn random_epochs_are_valid_and_differ() {
        let epochs: std::collections::HashSet<_> = (0..1000).map(|_| Epoch::random()).collect();
        assert_eq!(epochs.len(), 1000);
        for epoch in epochs {
            assert_eq!(epoch.as_str().parse(), Ok(epoch));
        }
    }
}
