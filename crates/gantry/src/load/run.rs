//! Drives a plan.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::connection::{Connection, exchange, grace};
use super::pace::Schedule;
use super::plan::{Pace, Plan};
use super::progress::Progress;
use super::stats::{Sample, Stats};

/// What every request shares; one thread runs them all.
struct Shared {
    plan: Plan,
    started: Instant,
    stats: RefCell<Stats>,
    started_requests: Cell<u64>,
    /// True once nothing new shall begin.
    stop: watch::Sender<bool>,
}

/// Runs the plan to its end, or until `interrupted` is ready, and returns the numbers.
pub async fn run(plan: Plan, interrupted: impl Future<Output = ()>, mut progress: Progress) -> Stats {
    let started = Instant::now();
    let shared = Rc::new(Shared {
        plan,
        started,
        stats: RefCell::default(),
        started_requests: Cell::new(0),
        stop: watch::Sender::new(false),
    });
    let tasks = LocalSet::new();
    let finished = tasks.run_until(async {
        let work = async {
            match shared.plan.pace {
                Pace::Users { count, sleep } => users(&shared, count, sleep).await,
                Pace::Rate { per_second, in_flight_max } => rate(&shared, per_second, in_flight_max).await,
            }
        };
        let end = started + shared.plan.duration;
        let watch = async {
            tokio::pin!(interrupted);
            loop {
                tokio::select! {
                    () = &mut interrupted => break,
                    () = sleep_until(end) => break,
                    () = progress.tick() => progress.show(&shared.plan, started.elapsed(), &shared.stats.borrow()),
                }
            }
            shared.stop.send_replace(true);
            // What is in flight may end.
            tokio::time::sleep(grace(&shared.plan)).await;
        };
        tokio::select! {
            () = work => {}
            () = watch => {}
        }
        started.elapsed()
    });
    let elapsed = finished.await;
    progress.finish();
    // Tasks that were still in flight end here; what they hold of `shared` goes with them.
    drop(tasks);
    let mut stats = shared.stats.take();
    stats.elapsed = elapsed;
    stats.interrupted = shared.started_requests.get() - stats.requests;
    stats
}

impl Shared {
    fn is_stopped(&self) -> bool {
        *self.stop.borrow() || self.started.elapsed() >= self.plan.duration
    }

    async fn stopped(&self) {
        let mut stop = self.stop.subscribe();
        // The sender lives as long as this.
        let _ = stop.wait_for(|stop| *stop).await;
    }

    /// One request that was due at `due`.
    async fn request(&self, due: Instant, connection: &mut Option<Connection>) {
        let began = Instant::now();
        self.started_requests.set(self.started_requests.get() + 1);
        let exchange = exchange(&self.plan, connection).await;
        let ended = Instant::now();
        self.stats.borrow_mut().record(Sample {
            duration: ended - due,
            service: ended - began,
            outcome: exchange.outcome,
            ended: ended - self.started,
            sent_bytes: exchange.sent_bytes,
            received_bytes: exchange.received_bytes,
            retried: exchange.retried,
        });
    }
}

/// Closed model: each user has a connection of its own.
async fn users(shared: &Rc<Shared>, count: usize, sleep: Duration) {
    let tasks: Vec<_> = (0..count)
        .map(|_| {
            let shared = shared.clone();
            tokio::task::spawn_local(async move {
                let mut connection = None;
                while !shared.is_stopped() {
                    shared.request(Instant::now(), &mut connection).await;
                    if !sleep.is_zero() {
                        let _ = tokio::time::timeout(sleep, shared.stopped()).await;
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        // A task that panicked has said so; the others' numbers stand.
        let _ = task.await;
    }
}

/// Open model: a request starts when it is due, on the connection that was used last.
async fn rate(shared: &Rc<Shared>, per_second: f64, in_flight_max: usize) {
    let schedule = Schedule::new(per_second, shared.plan.duration);
    let places = Arc::new(Semaphore::new(in_flight_max));
    let idle: Rc<RefCell<Vec<Connection>>> = Rc::default();
    let give_up = shared.started + shared.plan.duration + grace(&shared.plan);
    let mut index = 0;
    while index < schedule.count() {
        let due = shared.started + schedule.due(index);
        let is_stopped = timeout_at(due, shared.stopped()).await.is_ok();
        if is_stopped && shared.started.elapsed() < shared.plan.duration {
            // Interrupted. At the end of the time, though, what was due still starts, late.
            break;
        }
        // Too many in flight: the next one starts late, and its latency counts from when it was due.
        let Ok(Ok(place)) = timeout_at(give_up, places.clone().acquire_owned()).await else { break };
        let (shared, idle) = (shared.clone(), idle.clone());
        tokio::task::spawn_local(async move {
            let mut connection = idle.borrow_mut().pop();
            shared.request(due, &mut connection).await;
            if let Some(connection) = connection.filter(Connection::is_usable) {
                idle.borrow_mut().push(connection);
            }
            drop(place);
        });
        index += 1;
    }
    let due_by_now = (index..schedule.count())
        .take_while(|index| shared.started + schedule.due(*index) <= Instant::now())
        .count();
    shared.stats.borrow_mut().dropped = due_by_now as u64;
    // Every place back: nothing is in flight.
    let all = u32::try_from(in_flight_max).unwrap_or(u32::MAX);
    let _ = places.acquire_many(all).await;
}
