//! Bounds what goes on at once, in all and for each client, so that one client cannot take every place.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Places for clients.
#[derive(Debug)]
pub struct Places {
    all_max: usize,
    per_client_max: usize,
    taken: Arc<Taken>,
}

#[derive(Debug, Default)]
struct Taken(Mutex<HashMap<IpAddr, usize>>);

/// A place that is given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    client: IpAddr,
    taken: Arc<Taken>,
}

impl Places {
    pub fn new(all_max: usize, per_client_max: usize) -> Self {
        Self { all_max, per_client_max, taken: Arc::default() }
    }

    /// None when there is no place left.
    pub fn take(&self, client: IpAddr) -> Option<Place> {
        let mut taken = self.taken.lock();
        // A client without a place has no entry, so there are never more entries than places.
        let all: usize = taken.values().sum();
        let own = taken.get(&client).copied().unwrap_or(0);
        if all >= self.all_max || own >= self.per_client_max {
            return None;
        }
        taken.insert(client, own + 1);
        drop(taken);
        Some(Place { client, taken: self.taken.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        if let Some(own) = taken.get_mut(&self.client) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.client);
            }
        }
    }
}

impl Taken {
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_cannot_take_every_place() {
        let places = Places::new(3, 2);
        let [a, b]: [IpAddr; 2] = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
        let held = (places.take(a).unwrap(), places.take(a).unwrap());
        assert!(places.take(a).is_none(), "two for each");
        let other = places.take(b).unwrap();
        assert!(places.take(b).is_none(), "three in all");
        drop(held);
        assert!(places.take(b).is_some(), "given back");
        drop(other);
        assert!(places.taken.lock().is_empty(), "nothing is remembered of clients that are gone");
    }
}
