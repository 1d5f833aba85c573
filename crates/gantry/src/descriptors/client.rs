//! The children's side of the store, and how they learn that the supervisor is gone.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use thiserror::Error;

use super::channel::Channel;
use super::message::{Reply, Request};
use super::{DESCRIPTORS_MESSAGE_MAX, NAMES_MAX, NAMES_PAGE_MAX};

/// The supervisor answers at once or never.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, Error)]
pub enum StoreError {
    #[error("the supervisor is gone")]
    Gone,
    #[error("the supervisor refused to keep '{name}': {why}")]
    Refused { name: String, why: String },
    #[error("asking the supervisor: {0}")]
    Io(#[from] io::Error),
    #[error("the supervisor gave an answer to another question")]
    Unexpected,
}

/// Keeps descriptors with the supervisor. Also holds a duplicate of each here: when the supervisor dies, a load balancer offers
/// them to the next one.
#[derive(Debug)]
pub struct Client {
    channel: Channel,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// After an exchange that failed half way, a reply could belong to another request.
    broken: bool,
    held: BTreeMap<String, Vec<OwnedFd>>,
}

impl Client {
    pub fn new(channel: Channel) -> Self {
        Self { channel, state: Mutex::default() }
    }

    /// Keeps these descriptors under this name, instead of those that it had. The caller keeps its own.
    pub fn put(&self, name: &str, descriptors: &[BorrowedFd<'_>]) -> Result<(), StoreError> {
        let held = descriptors.iter().map(BorrowedFd::try_clone_to_owned).collect::<io::Result<Vec<_>>>()?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = match self.ask(&mut state, &Request::Put { name: name.to_owned() }, descriptors) {
            Ok((Reply::Done, _)) => Ok(()),
            Ok((Reply::Refused { why }, _)) => {
                return Err(StoreError::Refused { name: name.to_owned(), why });
            }
            Ok(_) => return Err(StoreError::Unexpected),
            Err(error) => Err(error),
        };
        // Also when the supervisor is gone: what was made meanwhile is offered to the next one.
        state.held.insert(name.to_owned(), held);
        outcome
    }

    /// Duplicates of the descriptors that were put under this name, also by an earlier process of the same role. When the
    /// supervisor is gone: of those that this process put or got.
    pub fn get(&self, name: &str) -> Result<Option<Vec<OwnedFd>>, StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match self.ask(&mut state, &Request::Get { name: name.to_owned() }, &[]) {
            Err(StoreError::Gone) => {
                let held = state.held.get(name).map(|set| set.iter().map(OwnedFd::try_clone).collect());
                Ok(held.transpose()?)
            }
            Err(error) => Err(error),
            Ok((Reply::NotFound, _)) => Ok(None),
            Ok((Reply::Found, descriptors)) if !descriptors.is_empty() => {
                let held = descriptors.iter().map(OwnedFd::try_clone).collect::<io::Result<Vec<_>>>()?;
                state.held.insert(name.to_owned(), held);
                Ok(Some(descriptors))
            }
            Ok(_) => Err(StoreError::Unexpected),
        }
    }

    /// Every name, in order. When the supervisor is gone: those of this process.
    pub fn list(&self) -> Result<Vec<String>, StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<String> = Vec::new();
        for _ in 0..=NAMES_MAX / NAMES_PAGE_MAX {
            match self.ask(&mut state, &Request::List { after: all.last().cloned() }, &[]) {
                Err(StoreError::Gone) => return Ok(state.held.keys().cloned().collect()),
                Err(error) => return Err(error),
                Ok((Reply::Names { names, more }, _)) => {
                    all.extend(names);
                    if !more {
                        return Ok(all);
                    }
                }
                Ok(_) => return Err(StoreError::Unexpected),
            }
        }
        Err(StoreError::Unexpected)
    }

    /// Forgets the name; the sockets close when the caller's own are closed too.
    pub fn remove(&self, name: &str) -> Result<(), StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.held.remove(name);
        match self.ask(&mut state, &Request::Remove { name: name.to_owned() }, &[])? {
            (Reply::Done | Reply::NotFound, _) => Ok(()),
            _ => Err(StoreError::Unexpected),
        }
    }

    /// Tells the supervisor that this child serves.
    pub fn ready(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.ask(&mut state, &Request::Ready, &[]).map(|_| ())
    }

    /// Returns when the supervisor has died.
    pub fn wait_for_end(&self) {
        self.channel.wait_for_end();
    }

    /// Duplicates of all that this process keeps with the supervisor, for the next one.
    pub fn held(&self) -> io::Result<Vec<(String, Vec<OwnedFd>)>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let copy = |(name, set): (&String, &Vec<OwnedFd>)| {
            Ok((name.clone(), set.iter().map(OwnedFd::try_clone).collect::<io::Result<Vec<_>>>()?))
        };
        state.held.iter().map(copy).collect()
    }

    /// Closes the duplicates that are held for a next supervisor: with the process's own sockets, they are then really closed.
    pub fn let_go(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).held.clear();
    }

    fn ask(
        &self,
        state: &mut State,
        request: &Request,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(Reply, Vec<OwnedFd>), StoreError> {
        if state.broken {
            return Err(StoreError::Gone);
        }
        if descriptors.len() > DESCRIPTORS_MESSAGE_MAX {
            let why = super::Refusal::Descriptors.to_string();
            return Ok((Reply::Refused { why }, Vec::new()));
        }
        state.broken = true;
        match self.channel.send(request, descriptors) {
            Err(error) if is_end(&error) => return Err(StoreError::Gone),
            other => other?,
        }
        let Some(packet) = self.channel.receive_within(ANSWER_WAIT_MAX)? else {
            return Err(StoreError::Gone);
        };
        state.broken = false;
        Ok((packet.message, packet.descriptors))
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected
    )
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::descriptors::Table;

    /// A supervisor that answers until its child has gone.
    fn serve(channel: Channel) -> std::thread::JoinHandle<Table> {
        std::thread::spawn(move || {
            let mut table = Table::default();
            while let Some(packet) = channel.receive_within(Duration::from_secs(10)).expect("a packet comes")
            {
                let (reply, beside) = table.answer("lb", packet.message, packet.descriptors);
                channel.send(&reply, &beside).expect("the child reads");
            }
            table
        })
    }

    #[test]
    fn a_listening_socket_outlives_the_process_that_made_it() {
        let (near, far) = Channel::pair().unwrap();
        let supervisor = serve(far);
        let client = Client::new(near);
        assert!(client.get("a").unwrap().is_none());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        client.put("a", &[listener.as_fd()]).unwrap();
        drop(listener);
        client.let_go();
        // Nobody accepts, yet the connection waits in the backlog.
        let mut early = TcpStream::connect(address).expect("the supervisor keeps the socket open");
        let mut taken = client.get("a").unwrap().expect("it was put there");
        assert_eq!(taken.len(), 1);
        let listener = TcpListener::from(taken.remove(0));
        listener.accept().unwrap().0.write_all(b"hello").unwrap();
        let mut text = String::new();
        early.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");

        client.remove("a").unwrap();
        assert!(client.get("a").unwrap().is_none());
        drop((listener, client));
        assert!(supervisor.join().unwrap().is_empty());
        assert!(TcpStream::connect(address).is_err(), "removed, and closed everywhere");
    }

    #[test]
    fn many_names_and_the_largest_message() {
        let (near, far) = Channel::pair().unwrap();
        let supervisor = serve(far);
        let client = Client::new(near);
        let file = std::fs::File::open("/dev/null").unwrap();
        let names: Vec<String> = (0..300).map(|index| format!("listener/{index:03}")).collect();
        for name in &names {
            client.put(name, &[file.as_fd()]).unwrap();
        }
        assert_eq!(client.list().unwrap(), names);
        client.put("most", &[file.as_fd(); DESCRIPTORS_MESSAGE_MAX]).unwrap();
        assert_eq!(client.get("most").unwrap().map(|set| set.len()), Some(DESCRIPTORS_MESSAGE_MAX));
        let error = client.put("more", &[file.as_fd(); DESCRIPTORS_MESSAGE_MAX + 1]).unwrap_err();
        assert!(matches!(error, StoreError::Refused { .. }), "{error}");
        let error = client.put("no\nname", &[file.as_fd()]).unwrap_err();
        assert!(matches!(error, StoreError::Refused { .. }), "{error}");
        client.ready().unwrap();
        drop(client);
        assert_eq!(supervisor.join().unwrap().len(), 300 + DESCRIPTORS_MESSAGE_MAX);
    }

    #[test]
    fn a_child_that_outlives_its_supervisor_knows_and_goes_on_collecting() {
        let (near, far) = Channel::pair().unwrap();
        let client = Client::new(near);
        drop(far);
        client.wait_for_end();
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(matches!(client.put("a", &[file.as_fd()]), Err(StoreError::Gone)));
        assert!(matches!(client.remove("b"), Err(StoreError::Gone)));
        assert_eq!(client.list().unwrap(), ["a"]);
        assert_eq!(client.get("a").unwrap().map(|set| set.len()), Some(1));
        assert!(client.get("b").unwrap().is_none());
        let held = client.held().unwrap();
        assert_eq!(held.iter().map(|(name, set)| (name.as_str(), set.len())).collect::<Vec<_>>(), [("a", 1)]);
    }
}
