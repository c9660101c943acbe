//! Places that are few, for those whom nobody vouches for yet: whoever comes takes one from whoever is slow.
//!
//! Keeps true: no more places are held than there are, and nobody waits for one. A stranger who is slow keeps out
//! nobody else: a place is taken from the sender that holds most of them, and of those from the one that has had it
//! longest.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use parking_lot::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

/// Who sends. One sender has as many addresses of IPv6 as it likes, all in one network of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sender(IpAddr);

impl Sender {
    pub fn at(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::from(address) & !u128::from(u64::MAX);
                Self(IpAddr::V6(network.into()))
            }
            address @ IpAddr::V4(_) => Self(address),
        }
    }
}

pub struct Room {
    most: usize,
    held: Mutex<HeldConnections>,
}

#[derive(Default)]
struct HeldConnections {
    next: u64,
    /// By number: that is the order in which they were given.
    places: BTreeMap<u64, (Option<Sender>, CancellationToken)>,
}

/// A place, for as long as this value is there or until somebody else takes it.
pub struct Place {
    room: Arc<Room>,
    number: u64,
    taken: CancellationToken,
}

impl Room {
    pub fn of(most: usize) -> Arc<Self> {
        Arc::new(Self { most, held: Mutex::default() })
    }

    /// A place, which is taken from somebody else where there is none.
    pub fn enter(self: &Arc<Self>, sender: Option<Sender>) -> Place {
        let mut held = self.held();
        while held.places.len() >= self.most {
            let Some(number) = slowest(&held.places) else { break };
            if let Some((_, taken)) = held.places.remove(&number) {
                taken.cancel();
            }
        }
        let (number, taken) = (held.next, CancellationToken::new());
        held.next += 1;
        held.places.insert(number, (sender, taken.clone()));
        Place { room: Arc::clone(self), number, taken }
    }

    fn held(&self) -> MutexGuard<'_, HeldConnections> {
        self.held.lock()
    }
}

/// The oldest place of whoever holds most.
fn slowest(places: &BTreeMap<u64, (Option<Sender>, CancellationToken)>) -> Option<u64> {
    let mut counts: BTreeMap<Option<Sender>, usize> = BTreeMap::new();
    places.values().for_each(|(sender, _)| *counts.entry(*sender).or_default() += 1);
    let most = counts.values().max()?;
    places.iter().find(|(_, (sender, _))| counts.get(sender) == Some(most)).map(|(number, _)| *number)
}

impl Place {
    /// Returns when somebody else has taken it.
    pub async fn is_taken(&self) {
        self.taken.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.held().places.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(address: &str) -> Option<Sender> {
        Some(Sender::at(address.parse().expect("it is an address")))
    }

    fn taken(places: &[Place]) -> Vec<bool> {
        places.iter().map(|place| place.taken.is_cancelled()).collect()
    }

    #[test]
    fn a_place_is_taken_from_whoever_holds_most_and_there_from_the_oldest() {
        let room = Room::of(4);
        let enter = |address: &str| room.enter(sender(address));
        let mut places = vec![enter("192.0.2.1"), enter("192.0.2.9"), enter("192.0.2.9"), enter("192.0.2.9")];
        places.push(enter("192.0.2.9"));
        assert_eq!(taken(&places), [false, true, false, false, false]);
        places.push(enter("192.0.2.2"));
        assert_eq!(taken(&places), [false, true, true, false, false, false]);
        places.remove(0);
        places.push(enter("192.0.2.3"));
        assert_eq!(taken(&places), [true, true, false, false, false, false], "there was room");
    }

    #[test]
    fn a_network_of_ipv6_is_one_sender_and_an_address_of_ipv4_is_one_however_it_is_written() {
        assert_eq!(sender("2001:db8::1"), sender("2001:db8::ffff:1"));
        assert_ne!(sender("2001:db8::1"), sender("2001:db8:0:1::1"));
        assert_eq!(sender("::ffff:192.0.2.1"), sender("192.0.2.1"));
        assert_ne!(sender("192.0.2.2"), sender("192.0.2.1"));
    }
}
