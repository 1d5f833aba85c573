//! Pulling images from registries, by the OCI distribution protocol.
//!
//! Flow: name -> places that may have it (mirrors, then the registry) -> from one of them the manifest, for an index that
//! of this machine's platform -> configuration -> the layers that are not here, several at a time, each into the store and
//! unpacked as soon as it is whole -> the image gets its name.
//!
//! ```text
//! Puller ── Flight (one per image, a thread) ── Fetch (one per place asked) ── Repository ── Session ── connections
//!              whoever wants the image waits         layers, in parallel      tokens       redirects, time-outs
//! ```
//!
//! Invariants:
//! - Nothing that a registry sends is believed: every document and blob has the digest and the size by which it was asked
//!   for, nothing is larger than its limit, no wait is longer than its own.
//! - Two who want the same image cause one pull; two images that share a layer cause one download of it. A pull that nobody
//!   waits for any more is stopped, with its connections.
//! - Credentials go to the registry that they are for and to the token service that it names over HTTPS, and to nobody that a
//!   redirect leads to.
//! - Names of this machine's own registry never go over the network.

mod cancellation;
mod challenge;
mod endpoint;
mod error;
mod flight;
mod image;
mod limits;
mod origin;
mod progress;
mod proxy;
mod registries;
mod repository;
mod retry;
mod session;
mod tokens;
mod turns;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use crate::digest::Digest;
use crate::progress::{OnProgress, Progress};
use crate::reference::Reference;
use crate::store::Store;
pub use error::{PullError, Unreachable};
pub use flight::PullOutcome;
pub use limits::PullLimits;
pub use origin::Origin;
pub use progress::{LayerProgress, LayerState};
pub use registries::{Registries, RegistriesError};

use flight::Flight;
use image::Fetch;
use repository::Repository;
use session::Session;
use tokens::Tokens;
use turns::Turns;

/// What is known of registries, and limits.
#[derive(Clone, Debug, Default)]
pub struct PullSettings {
    /// Read anew by each pull, so that a change needs no restart; `None`, or one that does not exist: nothing special.
    pub registries_file: Option<PathBuf>,
    pub limits: PullLimits,
}

/// An image that was pulled and has its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// What the name leads to.
    pub digest: Digest,
    /// Bytes of layers that were downloaded; 0 if everything was here.
    pub bytes: u64,
}

/// Pulls images into one store. Cheap to clone; all clones share downloads and tokens.
#[derive(Clone)]
pub struct Puller(Arc<Inner>);

struct Inner {
    store: Store,
    registries_file: Option<PathBuf>,
    limits: Arc<PullLimits>,
    /// By the complete name.
    flights: Mutex<BTreeMap<String, Arc<Flight>>>,
    images: Turns<String>,
    blobs: Turns<Digest>,
    tokens: Tokens,
}

/// A place among those who wait for a pull; given up when dropped.
#[must_use = "a pull that nobody waits for is stopped"]
pub struct Ticket {
    flight: Arc<Flight>,
    seat: u64,
}

impl Ticket {
    /// The layers, once they are known.
    pub fn progress(&self) -> Vec<LayerProgress> {
        self.flight.tracker.layers()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.flight.leave(self.seat);
    }
}

impl std::fmt::Debug for Puller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Puller").field("store", &self.0.store).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ticket").field("seat", &self.seat).finish_non_exhaustive()
    }
}

impl Puller {
    pub fn new(store: Store, settings: PullSettings) -> Self {
        let limits = Arc::new(settings.limits);
        Self(Arc::new(Inner {
            store,
            registries_file: settings.registries_file,
            flights: Mutex::default(),
            images: Turns::new(limits.images_at_once),
            blobs: Turns::new(usize::MAX),
            tokens: Tokens::default(),
            limits,
        }))
    }

    /// Whether a registry elsewhere may have an image of this name.
    pub fn is_elsewhere(&self, reference: &Reference) -> Result<bool, PullError> {
        Ok(self.0.store.own_registry()?.region_of(reference.domain()).is_none())
    }

    /// Begins to pull, or joins a pull of the same image that is under way. `done` is called once, from another thread,
    /// unless the ticket is dropped before.
    pub fn begin(
        &self,
        reference: &Reference,
        done: impl FnOnce(PullOutcome) + Send + 'static,
    ) -> Result<Ticket, PullError> {
        if !self.is_elsewhere(reference)? {
            return Err(PullError::OwnRegistry(reference.to_string()));
        }
        let name = reference.to_string();
        let mut waiter: Box<dyn FnOnce(PullOutcome) + Send> = Box::new(done);
        let mut flights = self.0.lock();
        if let Some(flight) = flights.get(&name) {
            match flight.join(waiter) {
                Ok(seat) => return Ok(Ticket { flight: flight.clone(), seat }),
                // It has just landed.
                Err(late) => waiter = late,
            }
        }
        if flights.len() >= self.0.limits.images_max {
            return Err(PullError::TooMany(self.0.limits.images_max));
        }
        let flight = Arc::new(Flight::new());
        let Ok(seat) = flight.join(waiter) else { unreachable!("a flight that did not begin is not over") };
        let (inner, own, reference) = (self.0.clone(), flight.clone(), reference.clone());
        std::thread::Builder::new()
            .name("pull".to_owned())
            .spawn(move || inner.fly(&own, &reference))
            .map_err(PullError::Thread)?;
        flights.insert(name, flight.clone());
        Ok(Ticket { flight, seat })
    }

    /// Pulls and waits for it.
    pub fn pull(&self, reference: &Reference, on_progress: OnProgress<'_>) -> PullOutcome {
        const LOOK_INTERVAL: Duration = Duration::from_millis(50);
        let (landed, outcome) = mpsc::channel();
        // Who does not wait any more needs no outcome.
        let ticket = self.begin(reference, move |outcome| drop(landed.send(outcome))).map_err(Arc::new)?;
        let mut told = Vec::new();
        loop {
            let outcome = outcome.recv_timeout(LOOK_INTERVAL);
            tell(&ticket.progress(), &mut told, on_progress);
            match outcome {
                Ok(outcome) => return outcome,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err(Arc::new(PullError::Stopped)),
            }
        }
    }
}

/// Tells what is new since the last look.
fn tell(now: &[LayerProgress], told: &mut Vec<LayerProgress>, on_progress: OnProgress<'_>) {
    for progress in now.iter().filter(|progress| !told.contains(progress)) {
        let LayerProgress { layer, size: total, state, downloaded_bytes: bytes } = *progress;
        let layer = &layer;
        let before = told.iter().find(|before| before.layer == *layer);
        // A fast one may go through several states between two looks.
        if bytes > before.map_or(0, |before| before.downloaded_bytes) {
            on_progress(Progress::Downloading { layer, bytes, total });
        }
        let was_settled = before.is_some_and(|before| is_settled(before.state));
        if is_settled(state) && bytes == 0 && !was_settled {
            on_progress(Progress::Here { layer });
        }
        if state == LayerState::Done && bytes > 0 {
            on_progress(Progress::Unpacked { layer });
        }
    }
    told.clear();
    told.extend_from_slice(now);
}

/// Nothing of it needs to be downloaded any more.
fn is_settled(state: LayerState) -> bool {
    matches!(state, LayerState::Here | LayerState::Unpacking | LayerState::Done)
}

impl Inner {
    fn fly(&self, flight: &Arc<Flight>, reference: &Reference) {
        let name = reference.to_string();
        // Whoever waits shall hear of it, also when this thread fails.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.pull(flight, reference)))
            .unwrap_or_else(|_| Err(PullError::Thread(std::io::Error::other("the pull ended unexpectedly"))));
        let mut flights = self.lock();
        if flights.get(&name).is_some_and(|current| Arc::ptr_eq(current, flight)) {
            flights.remove(&name);
        }
        drop(flights);
        flight.land(&outcome.map_err(Arc::new));
    }

    fn pull(&self, flight: &Flight, reference: &Reference) -> Result<Pulled, PullError> {
        let deadline = Instant::now() + self.limits.pull_wait;
        let turn = self.images.take(&reference.to_string(), &flight.cancellation);
        let _turn = turn.ok_or(PullError::Stopped)?;
        let registries = Arc::new(self.registries()?);
        let mut of_mirror: Option<(String, PullError)> = None;
        for endpoint in endpoint::endpoints(reference, &registries) {
            let (registries, limits) = (registries.clone(), self.limits.clone());
            let session = Session::new(registries, limits, flight.cancellation.child(), deadline);
            let fetch = Fetch {
                store: &self.store,
                repository: Repository::new(&session, &self.tokens, &endpoint, reference.path()),
                reference,
                tracker: &flight.tracker,
                blobs: &self.blobs,
            };
            match fetch.run() {
                Ok(pulled) => {
                    origin::remember(&self.store, reference, &pulled.digest)?;
                    return Ok(pulled);
                }
                Err(_) if flight.cancellation.is_cancelled() => return Err(PullError::Stopped),
                Err(error) if error.is_ours() => return Err(error),
                Err(error) if endpoint.is_mirror => {
                    of_mirror.get_or_insert((endpoint.name().to_owned(), error));
                }
                Err(registry) => {
                    return Err(match of_mirror {
                        None => registry,
                        Some((mirror, error)) => {
                            PullError::Mirror { registry: Box::new(registry), mirror, error: Box::new(error) }
                        }
                    });
                }
            }
        }
        unreachable!("the registry itself is always among the places")
    }

    fn registries(&self) -> Result<Registries, PullError> {
        match &self.registries_file {
            Some(path) if path.exists() => Ok(Registries::read(path, self.limits.file_bytes_max)?),
            _ => Ok(Registries::default()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Flight>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
