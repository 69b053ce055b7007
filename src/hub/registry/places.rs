//! How many clients there are: in all, from each address, and in each name.

use std::{
    collections::{HashMap, hash_map},
    hash::Hash,
    net::IpAddr,
    sync::Arc,
};

use crate::hub::{config::HubConfig, messages::Peer};

#[derive(Default)]
pub(super) struct Places {
    taken: usize,
    addresses: HashMap<IpAddr, usize>,
    subjects: HashMap<Arc<str>, usize>,
}

impl Places {
    /// What of this is counted: an address of our own network may be a proxy, and everybody's.
    pub(super) fn counted(peer: &Peer, config: &HubConfig) -> Peer {
        let is_counted =
            |address: &IpAddr| config.counts_own_network || !is_of_own_network(*address);
        Peer { address: peer.address.filter(is_counted), subject: peer.subject.clone() }
    }

    /// Whether nobody is there.
    pub(super) const fn are_free(&self) -> bool {
        self.taken == 0
    }

    /// Whether there is a place for one more who is counted by this.
    pub(super) fn are_left_for(&self, counted: &Peer, config: &HubConfig) -> bool {
        let Peer { address, subject } = counted;
        let from_there = address.as_ref().and_then(|address| self.addresses.get(address));
        let in_that_name = subject.as_ref().and_then(|subject| self.subjects.get(subject));
        self.taken < config.clients_max
            && from_there.is_none_or(|clients| *clients < config.clients_per_address_max)
            && in_that_name.is_none_or(|clients| *clients < config.clients_per_subject_max)
    }

    pub(super) fn take(&mut self, counted: &Peer) {
        self.taken += 1;
        if let Some(address) = counted.address {
            *self.addresses.entry(address).or_default() += 1;
        }
        if let Some(subject) = &counted.subject {
            *self.subjects.entry(Arc::clone(subject)).or_default() += 1;
        }
    }

    pub(super) fn give_back(&mut self, counted: Peer) {
        self.taken -= 1;
        if let Some(address) = counted.address {
            forget_one(&mut self.addresses, address);
        }
        if let Some(subject) = counted.subject {
            forget_one(&mut self.subjects, subject);
        }
    }
}

fn forget_one<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: K) {
    if let hash_map::Entry::Occupied(mut clients) = counts.entry(key) {
        *clients.get_mut() -= 1;
        if *clients.get() == 0 {
            clients.remove();
        }
    }
}

/// Whether an address is this machine's or of a network that is not the open one.
pub(crate) fn is_of_own_network(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}
