//! Interfaces of tasks that are gone, taken away when nobody waits for the kernel.
//!
//! To delete a link takes the kernel some 30 ms, however many are deleted at once, and nobody makes one meanwhile. So the links of
//! tasks that have ended wait until no task is being started, and then go together. Their addresses are free before that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gantry_domain::assignment::{InterfaceSpec, TaskSpec};
use gantry_network::{NetworkError, Vpcs};
use gantry_types::{NetworkInterfaceId, VpcId};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::blocking;
use super::limits::{REMOVAL_BATCH_MAX, REMOVAL_QUIET, REMOVAL_WAIT_MAX, REMOVALS_WAITING_MAX};
use super::modes;

/// Asks for removals, and knows how many starts they have to wait for.
#[derive(Clone)]
pub(super) struct Removals {
    vpcs: Arc<Vpcs>,
    starts: Arc<watch::Sender<usize>>,
    requests: mpsc::Sender<Request>,
}

/// A start that is under way, until it is dropped.
pub(super) struct Starting(Arc<watch::Sender<usize>>);

struct Request {
    vpc: VpcId,
    interface: NetworkInterfaceId,
    done: oneshot::Sender<Result<(), String>>,
}

impl Removals {
    pub(super) fn new(vpcs: Arc<Vpcs>) -> Self {
        let (starts, starts_seen) = watch::channel(0);
        let (requests, waiting) = mpsc::channel(REMOVALS_WAITING_MAX);
        tokio::spawn(run(vpcs.clone(), waiting, starts_seen));
        Self { vpcs, starts: Arc::new(starts), requests }
    }

    /// Removals wait until this is dropped, and a moment longer.
    pub(super) fn starting(&self) -> Starting {
        self.starts.send_modify(|starts| *starts += 1);
        Starting(self.starts.clone())
    }

    /// Closes the ports that lead to a task's containers at once, and returns when their namespaces are gone, where they had their
    /// own. The error is a sentence.
    pub(super) async fn disconnect(&self, spec: &Arc<TaskSpec>) -> Result<(), String> {
        let outcome = |result| match result {
            // What has no valid id was never made.
            Ok(()) | Err(NetworkError::Name(_)) => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        if !modes::has_own_namespaces(spec) {
            return Ok(());
        }
        let (vpcs, task) = (self.vpcs.clone(), spec.clone());
        outcome(blocking(move || modes::close_ports(&vpcs, &task)).await)?;
        let _ = timeout_at(Instant::now() + REMOVAL_WAIT_MAX, quiet(&mut self.starts.subscribe())).await;
        let (vpcs, task) = (self.vpcs.clone(), spec.clone());
        outcome(blocking(move || modes::disconnect(&vpcs, &task)).await)
    }

    /// Makes the address free at once, and returns when the interface is gone. The error is a sentence.
    pub(super) async fn remove(&self, interface: &InterfaceSpec) -> Result<(), String> {
        let (vpcs, spec) = (self.vpcs.clone(), interface.clone());
        let disconnect = move || vpcs.disconnect_interface(&spec.vpc, &spec.interface, spec.address);
        match blocking(disconnect).await {
            Ok(()) => {}
            // What has no valid id was never made.
            Err(NetworkError::Name(_)) => return Ok(()),
            Err(error) => return Err(error.to_string()),
        }
        let (done, outcome) = oneshot::channel();
        let (vpc, interface) = (interface.vpc.clone(), interface.interface.clone());
        let ended = || "the node ends".to_owned();
        self.requests.send(Request { vpc, interface, done }).await.map_err(|_| ended())?;
        outcome.await.unwrap_or_else(|_| Err(ended()))
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.0.send_modify(|starts| *starts -= 1);
    }
}

async fn run(vpcs: Arc<Vpcs>, mut requests: mpsc::Receiver<Request>, mut starts: watch::Receiver<usize>) {
    let mut batch = Vec::new();
    while requests.recv_many(&mut batch, REMOVAL_BATCH_MAX).await > 0 {
        let _ = timeout_at(Instant::now() + REMOVAL_WAIT_MAX, quiet(&mut starts)).await;
        while batch.len() < REMOVAL_BATCH_MAX
            && let Ok(request) = requests.try_recv()
        {
            batch.push(request);
        }
        let mut by_vpc: BTreeMap<VpcId, Vec<Request>> = BTreeMap::new();
        for request in batch.drain(..) {
            by_vpc.entry(request.vpc.clone()).or_default().push(request);
        }
        for (vpc, requests) in by_vpc {
            let vpcs = vpcs.clone();
            let interfaces: BTreeSet<_> = requests.iter().map(|request| request.interface.clone()).collect();
            let outcome = blocking(move || vpcs.remove_interfaces(&vpc, &interfaces)).await;
            let outcome = outcome.map_err(|error| error.to_string());
            for request in requests {
                // Whoever does not wait any more asks again at the next start.
                let _ = request.done.send(outcome.clone());
            }
        }
    }
}

/// Returns when no start was under way for a moment.
async fn quiet(starts: &mut watch::Receiver<usize>) {
    loop {
        if starts.wait_for(|starts| *starts == 0).await.is_err() {
            return;
        }
        tokio::select! {
            () = sleep(REMOVAL_QUIET) => return,
            changed = starts.changed() => if changed.is_err() { return },
        }
    }
}

/// So short that nobody notices that an interface is still there, so long that a task and its successor do not meet.
const _: () = assert!(REMOVAL_QUIET.as_millis() < REMOVAL_WAIT_MAX.as_millis());

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_removal_waits_for_starts_and_a_moment_longer() {
        let (sender, mut receiver) = watch::channel(1);
        let begun = Instant::now();
        let (end, ()) = tokio::join!(
            async {
                quiet(&mut receiver).await;
                begun.elapsed()
            },
            async {
                sleep(Duration::from_millis(300)).await;
                sender.send_replace(0);
                sleep(REMOVAL_QUIET / 2).await;
                sender.send_replace(1);
                sleep(Duration::from_millis(200)).await;
                sender.send_replace(0);
            }
        );
        assert_eq!(end, Duration::from_millis(500) + REMOVAL_QUIET + REMOVAL_QUIET / 2);
    }
}
