//! The process around the core: threads, sockets, probes, the link, the disk.

use std::sync::Arc;
use std::time::Duration;

use gantry_link::{FromLb, Hello, PROTOCOL, Role, ToLb};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::control_link::{LinkEvent, keep_linked};
use crate::core::{Effect, Event, State, step, wanted_sockets};
use crate::limits::{EVENTS_MAX, REGULAR_INTERVAL, SAVE_INTERVAL};
use crate::listening::Listening;
use crate::persist;
use crate::prober::probe;
use crate::registry::Registry;
use crate::run::{Command, Commands, Config, RunError};
use crate::shard::{Order, Shared};
use crate::store::SocketStore;
use crate::table::Table;

pub(crate) struct Shell<'a> {
    config: &'a Config,
    shared: Arc<Shared>,
    state: State,
    registry: Registry,
    listening: Listening,
    orders: Vec<mpsc::Sender<Order>>,
    events: mpsc::Sender<Event>,
    received: mpsc::Receiver<Event>,
    /// Where reports go while the link is up.
    reports: Option<mpsc::Sender<FromLb>>,
    /// The state has changed since it was written.
    unsaved: bool,
    saving: Option<tokio::task::JoinHandle<()>>,
    save_after: Instant,
    /// Everything is known, from disk or from `control`: before that, clients wait in the backlog.
    ready: bool,
    /// `control` has said what there is, and the store has not been cleaned since.
    synced: bool,
}

impl<'a> Shell<'a> {
    pub(crate) fn new(
        config: &'a Config,
        store: Box<dyn SocketStore>,
        shared: Arc<Shared>,
        orders: Vec<mpsc::Sender<Order>>,
    ) -> Self {
        let (events, received) = mpsc::channel(EVENTS_MAX);
        Self {
            config,
            shared,
            state: State::default(),
            registry: Registry::new(orders.len(), events.clone()),
            listening: Listening::new(store, orders.clone()),
            orders,
            events,
            received,
            reports: None,
            unsaved: false,
            saving: None,
            save_after: Instant::now(),
            ready: false,
            synced: false,
        }
    }

    /// Until it is told to stop, and what is in flight has ended.
    pub(crate) async fn run(mut self, commands: Commands) -> Result<(), RunError> {
        let Commands(mut commands) = commands;
        self.wait_for_predecessor();
        self.take_up_kept().await;
        let (link_sender, mut link) = mpsc::channel(1024);
        let hello = Hello {
            protocol: PROTOCOL,
            version: self.config.version.clone(),
            role: Role::LoadBalancer { id: self.config.id.clone() },
        };
        let linking = tokio::spawn(keep_linked(self.config.control_socket.clone(), hello, link_sender));
        let mut regular = tokio::time::interval(REGULAR_INTERVAL);
        regular.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let wake_at = self.wake_at();
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(Command::Snapshot(reply)) => drop(reply.send(self.registry.snapshot())),
                    Some(Command::Stop) | None => break,
                },
                Some(event) = self.received.recv() => self.take(vec![event]).await,
                Some(event) = link.recv() => self.on_link(event).await,
                () = tokio::time::sleep_until(wake_at) => self.take(vec![Event::Tick]).await,
                _ = regular.tick() => {
                    if self.orders.iter().any(mpsc::Sender::is_closed) {
                        return Err(RunError::ShardEnded);
                    }
                    self.look_regularly().await;
                }
            }
        }
        linking.abort();
        self.reports = None;
        self.stop().await;
        Ok(())
    }

    fn wake_at(&self) -> Instant {
        let far = Instant::now() + Duration::from_secs(3600);
        let core = self.state.wake_at().map_or(far, |at| self.shared.clock.instant(at));
        if self.unsaved { core.min(self.save_after) } else { core }
    }

    /// A process before this one may still have requests in flight; its lock says so, and falls with it.
    fn wait_for_predecessor(&self) {
        let events = self.events.clone();
        let Some(directory) = self.config.state_directory.clone() else {
            let _ = events.try_send(Event::PredecessorGone);
            return;
        };
        let wait = move || {
            let path = directory.join("serving");
            let lock = || -> std::io::Result<std::fs::File> {
                std::fs::create_dir_all(&directory)?;
                let file = std::fs::File::options().create(true).truncate(false).write(true).open(&path)?;
                file.lock()?;
                Ok(file)
            };
            match lock() {
                // Held until the process ends.
                Ok(file) => std::mem::forget(file),
                Err(error) => tracing::warn!(%error, path = %path.display(), "the lock cannot be taken"),
            }
            let _ = events.blocking_send(Event::PredecessorGone);
        };
        if let Err(error) = std::thread::Builder::new().name("lb-predecessor".to_owned()).spawn(wait) {
            tracing::error!(%error, "a thread that waits for the process before this one cannot be started");
        }
    }

    async fn take_up_kept(&mut self) {
        let Some(directory) = &self.config.state_directory else { return };
        let kept = persist::load(directory);
        self.ready = !kept.is_empty();
        self.take(kept.into_iter().map(|message| Event::Kept(Box::new(message))).collect()).await;
    }

    async fn on_link(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Up(reports) => {
                self.reports = Some(reports);
                self.take(vec![Event::LinkUp]).await;
            }
            LinkEvent::Down => {
                self.reports = None;
                self.take(vec![Event::LinkDown]).await;
            }
            LinkEvent::Message(message) => {
                self.synced |= matches!(*message, ToLb::Synced { .. });
                self.ready |= self.synced;
                self.take(vec![Event::Control(message)]).await;
            }
        }
    }

    /// Feeds the core, and does what it says. All events that wait are taken together, so that the table is built once. What the
    /// sockets say of a new table is fed as well: whatever the core asks for then is done like everything else.
    async fn take(&mut self, mut events: Vec<Event>) {
        while let Ok(event) = self.received.try_recv() {
            events.push(event);
        }
        loop {
            let mut effects = Vec::new();
            for event in events {
                effects.extend(step(&mut self.state, event, self.shared.clock.now()));
            }
            // The new table first: a request that meets a closed target finds there what is to be done instead.
            let published = effects.contains(&Effect::Publish);
            events = if published { self.publish().await } else { Vec::new() };
            for effect in effects {
                self.act(effect).await;
            }
            if published {
                // Last, so that what is gone was closed: should its name come back, it is something new.
                self.registry.retain(&self.state);
            }
            if events.is_empty() {
                break;
            }
        }
        self.save_if_due();
    }

    async fn act(&mut self, effect: Effect) {
        match effect {
            Effect::Publish => {}
            Effect::Report(report) => {
                if let Some(reports) = &self.reports
                    && reports.try_send(report).is_err()
                {
                    // The link does not keep up. A new one begins with everything.
                    self.reports = None;
                }
            }
            Effect::Probe(order) => {
                let (shared, events) = (Arc::clone(&self.shared), self.events.clone());
                tokio::spawn(async move {
                    let result = probe(&shared.sockets, &order).await;
                    tracing::debug!(target_address = %order.address, ?result, "probed");
                    let _ = events.send(Event::Probed { target: order.target, result }).await;
                });
            }
            Effect::Drain(key) => {
                // A target that no table has had has no requests either.
                let empty = self.registry.known_target(&key).is_none_or(|target| target.close());
                if empty {
                    let _ = self.events.try_send(Event::Emptied {
                        target_group: key.target_group,
                        registration: key.registration,
                    });
                }
            }
            Effect::Readmit(key) => {
                if let Some(target) = self.registry.known_target(&key) {
                    target.accept_again();
                    if let Some(group) = self.shared.table.load().group_by_arn(&key.target_group) {
                        group.runtime.changed.notify_waiters();
                    }
                }
            }
            Effect::Cut(key) => {
                if let Some(target) = self.registry.known_target(&key) {
                    target.cut();
                }
                for orders in &self.orders {
                    let _ = orders.send(Order::WakeAll).await;
                }
            }
            Effect::Save => self.unsaved = true,
        }
    }

    /// Gives the shards a new table, opens and closes sockets, and wakes the requests that wait. Gives the listeners' status.
    async fn publish(&mut self) -> Vec<Event> {
        let table = Table::build(&self.state, &mut self.registry, self.config.shared_address);
        self.shared.table.store(Arc::new(table));
        for group in self.shared.table.load().groups() {
            group.runtime.changed.notify_waiters();
        }
        self.follow_sockets().await
    }

    async fn follow_sockets(&mut self) -> Vec<Event> {
        if !self.ready {
            return Vec::new();
        }
        let wanted = wanted_sockets(&self.state, self.config.shared_address);
        let status =
            self.listening.follow(&wanted, &self.shared.sockets, &mut self.registry, &self.state).await;
        if self.synced {
            self.synced = false;
            self.listening.clean_store(&wanted);
        }
        status
    }

    /// What shards could not tell, and what failed before.
    async fn look_regularly(&mut self) {
        let mut events = Vec::new();
        for key in self.state.awaiting_empty() {
            if self.registry.known_target(&key).is_none_or(|target| target.outstanding() == 0) {
                let (target_group, registration) = (key.target_group, key.registration);
                events.push(Event::Emptied { target_group, registration });
            }
        }
        for (key, target) in self.registry.targets() {
            if target.is_refused() && !self.state.is_refused(key) {
                target.tell_refused();
            }
        }
        let state = &self.state;
        let gone = self
            .shared
            .sockets
            .let_go(|vpc| state.load_balancers().any(|config| config.load_balancer.vpc == *vpc));
        self.listening.close_vpcs(&gone).await;
        if !gone.is_empty() || self.listening.has_failed() {
            events.extend(self.follow_sockets().await);
        }
        self.take(events).await;
    }

    /// Writes the state, unless it was written a moment ago or is being written.
    fn save_if_due(&mut self) {
        let Some(directory) = self.config.state_directory.clone() else {
            self.unsaved = false;
            return;
        };
        let busy = self.saving.as_ref().is_some_and(|saving| !saving.is_finished());
        if !self.unsaved || Instant::now() < self.save_after {
            return;
        }
        self.save_after = Instant::now() + SAVE_INTERVAL;
        if busy {
            return;
        }
        self.unsaved = false;
        let messages = self.state.kept_messages();
        self.saving = Some(tokio::task::spawn_blocking(move || {
            if let Err(error) = persist::save(&directory, &messages) {
                tracing::warn!(%error, "the last known state is not on disk");
            }
        }));
    }

    /// What was put off is written before the process ends.
    async fn save_now(&mut self) {
        if let Some(saving) = self.saving.take() {
            // A write that failed has said so.
            let _ = saving.await;
        }
        self.save_after = Instant::now();
        self.save_if_due();
        if let Some(saving) = self.saving.take() {
            let _ = saving.await;
        }
    }

    /// Accepts no more, and waits for what is in flight.
    async fn stop(mut self) {
        self.shared.stop.begin();
        self.listening.let_go().await;
        self.save_now().await;
        let limits = &self.shared.limits;
        let start = Instant::now();
        let (idle, all) = (start + limits.stop_idle_grace, start + limits.stop_grace);
        let mut idle_closed = false;
        while self.shared.connections.open() > 0 && Instant::now() < all {
            if !idle_closed && Instant::now() >= idle {
                idle_closed = true;
                self.shared.stop.close_idle();
                for orders in &self.orders {
                    let _ = orders.send(Order::WakeAll).await;
                }
            }
            let closed = self.shared.connections.closed.notified();
            let until = if idle_closed { all } else { idle };
            if self.shared.connections.open() > 0 {
                let _ = tokio::time::timeout_at(until, closed).await;
            }
        }
    }
}
