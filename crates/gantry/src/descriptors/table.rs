//! The supervisor's side: names and descriptors, in memory alone.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use thiserror::Error;

use super::message::{Reply, Request};
use super::{DESCRIPTORS_MAX, DESCRIPTORS_MESSAGE_MAX, NAME_BYTES_MAX, NAMES_MAX, NAMES_PAGE_MAX};

#[derive(Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    #[error("a name has 1 to {NAME_BYTES_MAX} printable ASCII characters")]
    Name,
    #[error("a put has 1 to {DESCRIPTORS_MESSAGE_MAX} descriptors")]
    Descriptors,
    #[error("the store holds {NAMES_MAX} names, which is its limit")]
    TooManyNames,
    #[error("the store would hold more than {DESCRIPTORS_MAX} descriptors, which is its limit")]
    TooManyDescriptors,
}

/// All that is kept, by role and name.
#[derive(Debug, Default)]
pub struct Table {
    sets: BTreeMap<(String, String), Vec<OwnedFd>>,
    descriptors: usize,
}

impl Table {
    /// Answers a request of a child; what is beside the reply goes with it.
    pub fn answer(
        &mut self,
        role: &str,
        request: Request,
        descriptors: Vec<OwnedFd>,
    ) -> (Reply, Vec<BorrowedFd<'_>>) {
        match request {
            Request::Put { name } => match self.put(role, name, descriptors) {
                Ok(()) => (Reply::Done, Vec::new()),
                Err(refusal) => (Reply::Refused { why: refusal.to_string() }, Vec::new()),
            },
            Request::Get { name } => match self.get(role, &name) {
                Some(set) => (Reply::Found, set.iter().map(|descriptor| descriptor.as_fd()).collect()),
                None => (Reply::NotFound, Vec::new()),
            },
            Request::List { after } => {
                let (names, more) = self.list(role, after);
                (Reply::Names { names, more }, Vec::new())
            }
            Request::Remove { name } => match self.remove(role, &name) {
                true => (Reply::Done, Vec::new()),
                false => (Reply::NotFound, Vec::new()),
            },
            Request::Ready => (Reply::Done, Vec::new()),
        }
    }

    pub fn put(&mut self, role: &str, name: String, descriptors: Vec<OwnedFd>) -> Result<(), Refusal> {
        if name.is_empty()
            || name.len() > NAME_BYTES_MAX
            || !name.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
        {
            return Err(Refusal::Name);
        }
        if descriptors.is_empty() || descriptors.len() > DESCRIPTORS_MESSAGE_MAX {
            return Err(Refusal::Descriptors);
        }
        let key = (role.to_owned(), name);
        let replaced = self.sets.get(&key).map_or(0, Vec::len);
        if replaced == 0 && self.sets.len() >= NAMES_MAX {
            return Err(Refusal::TooManyNames);
        }
        let total = self.descriptors - replaced + descriptors.len();
        if total > DESCRIPTORS_MAX {
            return Err(Refusal::TooManyDescriptors);
        }
        self.descriptors = total;
        self.sets.insert(key, descriptors);
        Ok(())
    }

    pub fn get(&self, role: &str, name: &str) -> Option<&[OwnedFd]> {
        self.sets.get(&(role.to_owned(), name.to_owned())).map(Vec::as_slice)
    }

    /// False when there was none.
    pub fn remove(&mut self, role: &str, name: &str) -> bool {
        match self.sets.remove(&(role.to_owned(), name.to_owned())) {
            Some(set) => {
                self.descriptors -= set.len();
                true
            }
            None => false,
        }
    }

    /// A page of names, and whether there are more behind it.
    fn list(&self, role: &str, after: Option<String>) -> (Vec<String>, bool) {
        let first = match after {
            Some(name) => Bound::Excluded((role.to_owned(), name)),
            None => Bound::Included((role.to_owned(), String::new())),
        };
        let mut names: Vec<String> = self
            .sets
            .range((first, Bound::Unbounded))
            .take_while(|((owner, _), _)| owner == role)
            .take(NAMES_PAGE_MAX + 1)
            .map(|((_, name), _)| name.clone())
            .collect();
        let more = names.len() > NAMES_PAGE_MAX;
        names.truncate(NAMES_PAGE_MAX);
        (names, more)
    }

    /// How many descriptors are kept.
    pub fn len(&self) -> usize {
        self.descriptors
    }
    pub fn is_empty(&self) -> bool {
        self.descriptors == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptors(count: usize) -> Vec<OwnedFd> {
        (0..count).map(|_| std::fs::File::open("/dev/null").unwrap().into()).collect()
    }

    #[test]
    fn a_name_is_kept_replaced_and_removed() {
        let mut table = Table::default();
        assert_eq!(table.put("lb", "a".to_owned(), descriptors(2)), Ok(()));
        assert_eq!(table.put("lb", "a".to_owned(), descriptors(3)), Ok(()));
        assert_eq!(table.len(), 3, "what was replaced is closed");
        assert_eq!(table.get("lb", "a").map(<[_]>::len), Some(3));
        assert!(table.get("node", "a").is_none(), "a role sees its own names only");
        assert!(!table.remove("node", "a"));
        assert!(table.remove("lb", "a"));
        assert!(table.is_empty());
    }

    #[test]
    fn names_come_in_pages_and_by_role() {
        let mut table = Table::default();
        let all: Vec<String> = (0..NAMES_PAGE_MAX + 7).map(|index| format!("listener {index:05}")).collect();
        for name in &all {
            table.put("lb", name.clone(), descriptors(1)).unwrap();
        }
        table.put("node", "dns".to_owned(), descriptors(1)).unwrap();
        table.put("control", "api".to_owned(), descriptors(1)).unwrap();
        let (first, more) = table.list("lb", None);
        assert!(more);
        let (second, more) = table.list("lb", first.last().cloned());
        assert!(!more);
        assert_eq!([first, second].concat(), all);
        assert_eq!(table.list("node", None), (vec!["dns".to_owned()], false));
    }

    #[test]
    fn limits_hold_and_nothing_is_lost_at_them() {
        let mut table = Table::default();
        assert_eq!(table.put("lb", String::new(), descriptors(1)), Err(Refusal::Name));
        assert_eq!(table.put("lb", "a\n".to_owned(), descriptors(1)), Err(Refusal::Name));
        assert_eq!(table.put("lb", "a".repeat(NAME_BYTES_MAX + 1), descriptors(1)), Err(Refusal::Name));
        assert_eq!(table.put("lb", "a".to_owned(), Vec::new()), Err(Refusal::Descriptors));
        let too_many = descriptors(DESCRIPTORS_MESSAGE_MAX + 1);
        assert_eq!(table.put("lb", "a".to_owned(), too_many), Err(Refusal::Descriptors));
        table.put("lb", "kept".to_owned(), descriptors(1)).unwrap();
        table.descriptors = DESCRIPTORS_MAX;
        assert_eq!(table.put("lb", "b".to_owned(), descriptors(1)), Err(Refusal::TooManyDescriptors));
        assert_eq!(table.put("lb", "kept".to_owned(), descriptors(1)), Ok(()), "replacing needs no room");
        assert_eq!(table.put("lb", "kept".to_owned(), descriptors(2)), Err(Refusal::TooManyDescriptors));
        assert_eq!(table.get("lb", "kept").map(<[_]>::len), Some(1), "a refused put changes nothing");
    }
}
