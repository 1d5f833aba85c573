//! What every handler works with.

use std::sync::Mutex;

use gantry_api::{ApiError, CallContext};
use gantry_domain::network::Cidr;
use gantry_domain::{Change, View};
use gantry_store::{CommitError, Database};
use gantry_types::Ids;

use crate::ec2;

/// How often a handler decides again because somebody else changed what it read.
const ATTEMPTS_MAX: u32 = 16;

/// A handler's output with the changes that make it true.
pub type Decision<T> = Result<(T, Vec<Change>), ApiError>;

/// What an installation is set to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The suffix of load balancers' names: `localhost` unless the operator has one.
    pub dns_suffix: String,
    /// Internet-facing load balancers get an address of their own from here.
    pub load_balancer_range: Cidr,
}

/// The store, the source of ids and the settings.
pub struct Context {
    database: Database,
    ids: Mutex<Ids>,
    settings: Settings,
}

impl Context {
    pub fn new(database: Database, ids: Ids, settings: Settings) -> Self {
        Self { database, ids: Mutex::new(ids), settings }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Reads at one revision.
    pub fn read<T>(&self, read: impl FnOnce(&View) -> T) -> T {
        read(&self.database.view())
    }

    /// Makes what a region begins with, at the first call that is signed for it.
    pub(crate) async fn prepare_region(&self, call: &CallContext) -> Result<(), ApiError> {
        if self.read(|view| ec2::region::is_ready(view, &call.region)) {
            return Ok(());
        }
        self.attempt(|view, ids| Ok(((), ec2::region::defaults(view, &call.region, call.now, ids)?))).await
    }

    /// Decides and commits; decides again if a record that the decision rests on has changed meanwhile.
    pub async fn attempt<T>(&self, decide: impl Fn(&View, &mut Ids) -> Decision<T>) -> Result<T, ApiError> {
        for _ in 0..ATTEMPTS_MAX {
            let (output, changes) = {
                let view = self.database.view();
                let mut ids = self.ids.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                decide(&view, &mut ids)?
            };
            if changes.is_empty() {
                return Ok(output);
            }
            match self.database.commit(changes).await {
                Ok(_) => return Ok(output),
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(unavailable(&error)),
            }
        }
        Err(ApiError::receiver(
            "ServiceUnavailable",
            "The resource is being changed by too many requests at once. Try again.",
        )
        .with_status(503))
    }
}

/// The store could not keep the change; nothing of it was made.
fn unavailable(error: &CommitError) -> ApiError {
    ApiError::receiver("ServiceUnavailable", format!("The request could not be kept: {error}"))
        .with_status(503)
}
