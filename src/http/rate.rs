//! How often somebody may publish and connect: by name where there is a token, and by address.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock, Reference},
    state::keyed::HashMapStateStore,
};

use crate::{auth::Access, hub::is_of_own_network};

/// For how many seconds' worth somebody may come at once who has been away for as long.
const BURST_SECS: u32 = 10;

/// After how many checks those are forgotten who have not come for a while.
const CHECKS_PER_SWEEP: u32 = 4096;

/// How often somebody may do something.
#[derive(Debug, Clone, Copy)]
pub struct RateLimit {
    /// How often in a second, in the long run; ten seconds' worth of it may come at once.
    pub per_second: NonZeroU32,
    /// Whether it is kept by addresses of our own network, too, as in
    /// [`HubConfig::counts_own_network`](crate::HubConfig::counts_own_network): one of them may be a proxy's, and
    /// then it is everybody's.
    pub counts_own_network: bool,
}

/// How often one token, and one address, may publish and connect.
#[derive(Debug, Clone, Copy)]
pub struct RateLimits {
    /// Publishes, controls included.
    pub publishes: RateLimit,
    /// Connections to streams; and, from one address, requests that are refused.
    pub connects: RateLimit,
}

pub(super) struct Rates {
    pub(super) publishes: Rate,
    pub(super) connects: Rate,
    /// Requests with a token that is bad, or does not grant what they ask for.
    pub(super) refusals: Rate,
}

impl From<RateLimits> for Rates {
    fn from(limits: RateLimits) -> Self {
        let RateLimits { publishes, connects } = limits;
        Self { publishes: publishes.into(), connects: connects.into(), refusals: connects.into() }
    }
}

impl fmt::Debug for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rates").finish_non_exhaustive()
    }
}

/// What somebody does too often, and how soon they may do it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooOften {
    pub(super) wait: Duration,
}

pub(super) struct Rate {
    subjects: Keyed<Arc<str>>,
    addresses: Keyed<IpAddr>,
    counts_own_network: bool,
}

impl From<RateLimit> for Rate {
    fn from(limit: RateLimit) -> Self {
        let burst = limit.per_second.saturating_mul(NonZeroU32::MIN.saturating_add(BURST_SECS - 1));
        let quota = Quota::per_second(limit.per_second).allow_burst(burst);
        Self {
            subjects: Keyed::new(quota),
            addresses: Keyed::new(quota),
            counts_own_network: limit.counts_own_network,
        }
    }
}

impl Rate {
    /// Counts one more.
    pub(super) fn count(&self, access: &Access, address: Option<IpAddr>) -> Result<(), TooOften> {
        self.count_address(address)?;
        access.counted_by().map_or(Ok(()), |subject| self.subjects.count(subject))
    }

    /// Counts one more of somebody who is not known.
    pub(super) fn count_address(&self, address: Option<IpAddr>) -> Result<(), TooOften> {
        self.counted(address).map_or(Ok(()), |address| self.addresses.count(&address))
    }

    /// Counts nothing, and says whether this address has come too often and has not waited since.
    pub(super) fn check_address(&self, address: Option<IpAddr>) -> Result<(), TooOften> {
        self.counted(address).map_or(Ok(()), |address| self.addresses.check(&address))
    }

    fn counted(&self, address: Option<IpAddr>) -> Option<IpAddr> {
        address.filter(|address| self.counts_own_network || !is_of_own_network(*address))
    }
}

struct Keyed<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, HashMapStateStore<K>, DefaultClock>,
    checks: AtomicU32,
    /// Those who have come too often, and until when they have to wait.
    waiting: RwLock<HashMap<K, Moment>>,
}

type Moment = <DefaultClock as Clock>::Instant;

impl<K: Hash + Eq + Clone> Keyed<K> {
    fn new(quota: Quota) -> Self {
        Self {
            limiter: RateLimiter::hashmap(quota),
            checks: AtomicU32::new(0),
            waiting: RwLock::default(),
        }
    }

    fn count(&self, key: &K) -> Result<(), TooOften> {
        // What is forgotten is as good as new: nobody gains by it.
        if self.checks.fetch_add(1, Ordering::Relaxed) % CHECKS_PER_SWEEP == CHECKS_PER_SWEEP - 1 {
            self.limiter.retain_recent();
            let now = self.limiter.clock().now();
            self.waiting
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .retain(|_, until| *until > now);
        }
        self.limiter.check_key(key).map_err(|until| {
            self.waiting
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(key.clone(), until.earliest_possible());
            TooOften { wait: until.wait_time_from(self.limiter.clock().now()) }
        })
    }

    fn check(&self, key: &K) -> Result<(), TooOften> {
        let waiting = self.waiting.read().unwrap_or_else(PoisonError::into_inner);
        let Some(until) = waiting.get(key) else { return Ok(()) };
        let wait = Duration::from(until.duration_since(self.limiter.clock().now()));
        if wait.is_zero() { Ok(()) } else { Err(TooOften { wait }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_second: u32, counts_own_network: bool) -> Rate {
        RateLimit { per_second: per_second.try_into().unwrap(), counts_own_network }.into()
    }

    #[test]
    fn each_name_and_each_address_has_its_own_share() {
        let rate = rate(1, false);
        let [one, other]: [IpAddr; 2] =
            ["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()];
        let nobody = Access::everything();
        for _ in 0..10 {
            assert_eq!(rate.count(&nobody, Some(one)), Ok(()));
        }
        let TooOften { wait } = rate.count(&nobody, Some(one)).unwrap_err();
        assert!(wait <= Duration::from_secs(1), "{wait:?}");
        assert_eq!(rate.count(&nobody, Some(other)), Ok(()));
        // Whoever comes from many addresses is one subject all the same.
        let somebody = Access::everything().of("somebody");
        for last in 10..20 {
            assert_eq!(rate.count(&somebody, Some([192, 0, 2, last].into())), Ok(()));
        }
        assert!(rate.count(&somebody, Some([192, 0, 2, 20].into())).is_err());
        assert_eq!(rate.count(&Access::everything().of("another"), Some(other)), Ok(()));
    }

    #[test]
    fn our_own_network_is_counted_only_if_it_is_asked_for() {
        let (spared, counted) = (rate(1, false), rate(1, true));
        let nobody = Access::everything();
        for (address, is_own) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("10.0.0.5", true),
            ("172.17.0.1", true),
            ("192.168.1.9", true),
            ("fd00::", true),
            ("198.51.100.1", false),
            ("2001:db8::", false),
        ] {
            let address = Some(address.parse().unwrap());
            let refused =
                |rate: &Rate| (0..20).filter(|_| rate.count(&nobody, address).is_err()).count();
            assert_eq!(refused(&spared) == 0, is_own, "{address:?}");
            assert!(refused(&counted) >= 9, "{address:?}");
            assert_eq!(spared.check_address(address).is_ok(), is_own, "{address:?}");
            assert!(counted.check_address(address).is_err(), "{address:?}");
        }
    }

    #[test]
    fn those_who_stay_away_are_forgotten() {
        let rate = rate(1_000_000, false);
        for number in 0..10 * CHECKS_PER_SWEEP {
            let _ = rate.count(
                &Access::everything(),
                Some(std::net::Ipv4Addr::from_bits(number + (1 << 30)).into()),
            );
        }
        assert!(rate.addresses.limiter.len() < 9 * CHECKS_PER_SWEEP as usize);
    }
}
