//! What every handler works with.

use std::fmt;
use std::sync::{Arc, Mutex};

use gantry_api::{ApiError, CallContext, IntoValue};
use gantry_domain::network::Cidr;
use gantry_domain::{Action, Batch, Change, View};
use gantry_store::{CommitError, Database};
use gantry_telemetry::logs::LogStore;
use gantry_types::{ACCOUNT, Ids, Timestamp, Value};
use gantry_wire::{Credential, Principal};

use crate::logs::Logs;
use crate::{ec2, ecr, iam, sts};

/// How often a handler decides again because somebody else changed what it read.
const ATTEMPTS_MAX: u32 = 64;
/// After so many conflicts a handler waits for its turn, so that calls in a crowd do not meet each other again and again.
const ATTEMPTS_AT_ONCE: u32 = 2;
/// Commits of one call whose changes do not fit into one.
const STEPS_MAX: u32 = 32;

/// A handler's output with the changes that make it true.
pub type Decision<T> = Result<(T, Vec<Change>), ApiError>;

/// What an installation is set to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The suffix of load balancers' names: `localhost` unless the operator has one.
    pub dns_suffix: String,
    /// Internet-facing load balancers get an address of their own from here.
    pub load_balancer_range: Cidr,
    /// When the installation was made.
    pub account_created_at: Timestamp,
}

/// The access key that the installation was made with: the account itself calls with it.
#[derive(Clone)]
pub struct RootKey {
    pub access_key_id: String,
    pub secret_access_key: String,
}

/// The secret never reaches a log by accident.
impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootKey").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// What a caller inside adds to the commit of a call, so that both are made together or not at all: given the records, the
/// handler's output and whether the handler changes anything, more changes. It may be asked several times.
pub(crate) type Companion =
    Arc<dyn Fn(&View, &mut Ids, &Value, bool) -> Result<Vec<Change>, ApiError> + Send + Sync>;

/// The stores, the source of ids, the account's own key and the settings.
pub struct Context {
    shared: Arc<Shared>,
    companion: Option<Companion>,
}

struct Shared {
    database: Database,
    logs: Logs,
    ids: Mutex<Ids>,
    root: RootKey,
    settings: Settings,
    /// Set once, by a server that has one.
    registry: std::sync::OnceLock<ecr::RegistryHost>,
    /// Held by the one call whose turn it is after conflicts.
    turn: tokio::sync::Mutex<()>,
}

impl Context {
    pub fn new(database: Database, log_store: LogStore, ids: Ids, root: RootKey, settings: Settings) -> Self {
        let logs = Logs::new(log_store);
        let turn = tokio::sync::Mutex::new(());
        let shared = Shared {
            database,
            logs,
            ids: Mutex::new(ids),
            root,
            settings,
            registry: Default::default(),
            turn,
        };
        Self { shared: Arc::new(shared), companion: None }
    }

    /// The same for one call whose commit has a companion. It accompanies handlers that write in one commit.
    pub(crate) fn accompanied(&self, companion: Companion) -> Self {
        Self { shared: Arc::clone(&self.shared), companion: Some(companion) }
    }

    /// Gives the installation its registry of images. The first one stays.
    pub fn set_registry(&self, host: ecr::RegistryHost) {
        let _ = self.shared.registry.set(host);
    }

    pub fn registry_host(&self) -> Option<&ecr::RegistryHost> {
        self.shared.registry.get()
    }

    pub(crate) fn root_secret(&self) -> &str {
        &self.shared.root.secret_access_key
    }

    pub(crate) fn logs(&self) -> &Logs {
        &self.shared.logs
    }

    /// What verifies a request that is signed with this access key: the account's own, a user's, or a session's, which may be
    /// proved by the token that the request presents.
    pub fn credential(&self, access_key: &str, token: Option<&str>) -> Option<Credential> {
        if access_key == self.shared.root.access_key_id {
            return Some(Credential {
                secret_key: self.shared.root.secret_access_key.clone(),
                session_token: None,
                expires: None,
                principal: Principal::root(),
            });
        }
        let secret = &self.shared.root.secret_access_key;
        self.read(|view| {
            token
                .and_then(|token| sts::find_task_session(view, secret, access_key, token))
                .or_else(|| sts::find_session(view, access_key))
                .or_else(|| user_credential(view, access_key))
        })
    }

    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    pub fn database(&self) -> &Database {
        &self.shared.database
    }

    /// A new random id, for a call from inside.
    pub(crate) fn uuid(&self) -> String {
        self.shared.ids.lock().unwrap_or_else(std::sync::PoisonError::into_inner).uuid()
    }

    /// Reads at one revision.
    pub fn read<T>(&self, read: impl FnOnce(&View) -> T) -> T {
        read(&self.shared.database.view())
    }

    /// Makes what a region begins with, at the first call that is signed for it.
    pub(crate) async fn prepare_region(&self, call: &CallContext) -> Result<(), ApiError> {
        if self.read(|view| ec2::region::is_ready(view, &call.region)) {
            return Ok(());
        }
        self.attempt(|view, ids| Ok(((), ec2::region::defaults(view, &call.region, call.now, ids)?))).await
    }

    /// Decides and commits a call's handler with the companion, if there is one.
    pub(crate) async fn answer<T: IntoValue + Clone>(
        &self,
        decide: impl Fn(&View, &mut Ids) -> Decision<T>,
    ) -> Result<T, ApiError> {
        let Some(companion) = &self.companion else { return self.attempt(decide).await };
        self.attempt(|view, ids| {
            let (output, changes) = decide(view, ids)?;
            let changes_something = changes.iter().any(|change| change.action != Action::Check);
            let more = companion(view, ids, &output.clone().into_value(), changes_something)?;
            let mut batch = Batch::default();
            batch.extend(changes);
            batch.extend(more);
            Ok((output, batch.into_changes()))
        })
        .await
    }

    /// Decides and commits; decides again if a record that the decision rests on has changed meanwhile.
    pub async fn attempt<T>(&self, decide: impl Fn(&View, &mut Ids) -> Decision<T>) -> Result<T, ApiError> {
        let mut turn = None;
        for attempt in 0..ATTEMPTS_MAX {
            if attempt >= ATTEMPTS_AT_ONCE && turn.is_none() {
                turn = Some(self.shared.turn.lock().await);
            }
            let (output, changes) = {
                let view = self.shared.database.view();
                let mut ids = self.shared.ids.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                decide(&view, &mut ids)?
            };
            if changes.is_empty() {
                return Ok(output);
            }
            match self.shared.database.commit(changes).await {
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

    /// Commits one decision after the other until nothing is left to change: for calls that may change more records than fit
    /// into one commit. Each step leaves what can stay as it is, and the call can be repeated after a failure.
    pub async fn steps<T>(&self, decide: impl Fn(&View, &mut Ids) -> Decision<T>) -> Result<T, ApiError> {
        let step = |view: &View, ids: &mut Ids| {
            let (output, changes) = decide(view, ids)?;
            let is_last = changes.is_empty();
            Ok(((output, is_last), changes))
        };
        for _ in 0..STEPS_MAX {
            if let (output, true) = self.attempt(step).await? {
                return Ok(output);
            }
        }
        Err(ApiError::receiver(
            "ServiceUnavailable",
            "The request changes too much at once. Repeat it to go on.",
        )
        .with_status(503))
    }
}

/// A caller that asked for a dry run learns here that all checks were passed; nothing is committed.
pub(crate) fn unless_dry_run<T>(call: &CallContext, outcome: T) -> Result<T, ApiError> {
    match call.input.get("DryRun") {
        Some(Value::Bool(true)) => {
            let message = "Request would have succeeded, but DryRun flag is set.";
            Err(ApiError::sender("DryRunOperation", message).with_status(412))
        }
        _ => Ok(outcome),
    }
}

/// A user's key, unless it is switched off.
fn user_credential(view: &View, access_key: &str) -> Option<Credential> {
    let key = iam::find_key(view, access_key).ok()??.document;
    let user = iam::find_user(view, &key.user_name).ok()??.document.shown;
    (key.status == "Active").then(|| Credential {
        secret_key: key.secret_access_key,
        session_token: None,
        expires: None,
        principal: Principal { arn: user.arn, user_id: user.user_id, account: ACCOUNT.to_owned() },
    })
}

/// The store could not keep the change; nothing of it was made.
fn unavailable(error: &CommitError) -> ApiError {
    ApiError::receiver("ServiceUnavailable", format!("The request could not be kept: {error}"))
        .with_status(503)
}
