//! The `control` child: the APIs, the loop and what they stand on.

mod api;
#[cfg(test)]
mod api_tests;
mod control_loop;
mod health;
mod link_server;
mod log_keeper;
mod names;
mod outgoing;
mod registry;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use gantry_control::Limits;
use gantry_domain::network::Cidr;
use gantry_domain::task_session::InstallationKey;
use gantry_images::OwnRegistry;
use gantry_images::registry::Registry;
use gantry_services::ecr::RegistryHost;
use gantry_services::{Context, RootKey, Settings};
use gantry_store::{Database, FileDisk, Options};
use gantry_telemetry::logs::LogStore;
use gantry_types::{Ids, Timestamp};
use gantry_wire::AuthMode;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;

use crate::credentials::Credentials;
use crate::hosts::Block;
use crate::roles::{Child, Stop, stopped};
use crate::supervisor::API_LISTENER;

/// The name of the links' listening socket in the descriptor store.
const LINK_LISTENER: &str = "link";
/// Batches of log lines that wait for the log store.
const LOG_DELIVERIES_MAX: usize = 64;
/// An upload that was given up and an image that has expired wait for so long at most.
const REGISTRY_SWEPT_EVERY: Duration = Duration::from_secs(600);
/// The suffix of load balancers' names.
const DNS_SUFFIX: &str = "localhost";

/// Runs until the supervisor ends it or is gone.
pub(crate) fn run(child: &Child) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("starting the runtime: {error}"))?;
    runtime.block_on(serve(child))
}

async fn serve(child: &Child) -> Result<(), String> {
    let mut stop = child.stop_signal().map_err(|error| format!("listening to signals: {error}"))?;
    let database = Database::open(FileDisk::new(child.layout.store()), Options::default())
        .map_err(|error| format!("opening {}: {}", child.layout.store().display(), with_causes(&error)))?;
    let log_store = LogStore::open(&child.layout.logs(), gantry_telemetry::logs::Limits::default())
        .map_err(|error| with_causes(&error))?;

    let (events, events_waiting) = mpsc::channel(control_loop::EVENTS_MAX);
    let (logs, logs_waiting) = mpsc::channel(LOG_DELIVERIES_MAX);
    let links = link_server::Links::default();
    let block = Block::new(crate::hosts::SYSTEM_FILE, &child.config.instance);
    let (root, account_created_at) = account(child)?;
    let sessions = InstallationKey::derive(&root.secret_access_key);
    let looping = control_loop::run(
        database.clone(),
        links.clone(),
        events_waiting,
        ids()?,
        sessions,
        Limits::default(),
    );
    let linking = link_server::serve(link_listener(child)?, links.clone(), events, logs);
    let listener = api_listener(child)?;
    let address = listener.local_addr().map_err(|error| format!("the API's listening socket: {error}"))?;
    let naming = names::keep(database.clone(), block.clone(), registry_names(child, address));

    let context = Arc::new(Context::new(
        database,
        log_store.clone(),
        ids()?,
        root,
        settings(child, account_created_at),
    ));
    context.set_registry(registry_host(child, address)?);
    let mode = if child.config.accept_any_credentials { AuthMode::AcceptAny } else { AuthMode::Verify };
    let keeping =
        log_keeper::keep(context.clone(), logs_waiting, log_keeper::GROUP_WAIT_MAX, move |link, message| {
            links.send_to_node(link, message);
        });
    let tidying = log_keeper::tidy(context.clone());
    let stacking = gantry_services::cloudformation::run(Arc::clone(&context));
    let sweeping = sweep(context.clone());
    let api = Arc::new(api::Api::new(context, mode, ids()?, api::Limits::default()));
    let serving = api::serve(listener, api, stop.clone());

    child.descriptors.ready().map_err(|error| error.to_string())?;
    let background = async {
        tokio::select! {
            () = looping => Err("the loop has ended".to_owned()),
            () = linking => Err("the link server has ended".to_owned()),
            () = naming => Err("the store has closed".to_owned()),
            () = keeping => Err("the log keeper has ended".to_owned()),
            () = tidying => Err("nobody clears up logs".to_owned()),
            () = stacking => Err("nobody makes stacks".to_owned()),
            () = sweeping => Err("nobody clears up the registry".to_owned()),
        }
    };
    tokio::select! {
        outcome = Box::pin(background) => return outcome,
        () = Box::pin(serving) => {}
    }
    // The next start has no write-ahead log of lines to read.
    log_store.seal();
    // Of an orphan the names stay: its load balancer serves on.
    if stopped(&mut stop).await == Stop::Ordered {
        names::remove(block).await;
    }
    Ok(())
}

/// Where load balancers connect. The socket is kept by the supervisor, so that connections wait for the next `control`.
fn link_listener(child: &Child) -> Result<UnixListener, String> {
    let path = child.layout.control_socket();
    let failed = |error: &dyn std::fmt::Display| format!("listening at {}: {error}", path.display());
    let listener = match child.descriptors.get(LINK_LISTENER).map_err(|error| failed(&error))? {
        Some(mut kept) => std::os::unix::net::UnixListener::from(kept.remove(0)),
        None => {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(&error)),
                _ => {}
            }
            let listener = std::os::unix::net::UnixListener::bind(&path).map_err(|error| failed(&error))?;
            child.descriptors.put(LINK_LISTENER, &[listener.as_fd()]).map_err(|error| failed(&error))?;
            listener
        }
    };
    listener.set_nonblocking(true).map_err(|error| failed(&error))?;
    UnixListener::from_std(listener).map_err(|error| failed(&error))
}

/// Ids that nobody else has: seeded by the kernel.
fn ids() -> Result<Ids, String> {
    let seed = getrandom::u64().map_err(|error| format!("asking the kernel for randomness: {error}"))?;
    Ok(Ids::from_seed(seed))
}

/// The account's own key, which was made when the account was.
fn account(child: &Child) -> Result<(RootKey, Timestamp), String> {
    let path = child.layout.credentials();
    let credentials = Credentials::load(&path).map_err(|error| error.to_string())?;
    let made = std::fs::metadata(&path).and_then(|file| file.modified());
    let made = made.map_err(|error| format!("reading {}: {error}", path.display()))?;
    let since_epoch = made.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let root = RootKey {
        access_key_id: credentials.access_key_id,
        secret_access_key: credentials.secret_access_key,
    };
    Ok((root, Timestamp::EPOCH + since_epoch))
}

fn settings(child: &Child, account_created_at: Timestamp) -> Settings {
    let range = child.config.lb_range;
    Settings {
        dns_suffix: DNS_SUFFIX.to_owned(),
        load_balancer_range: Cidr::new(range.first, range.prefix)
            .expect("the configuration's prefix is below 32"),
        account_created_at,
    }
}

/// The registry on the store of images, which tasks, builds and `gantry image` share. From here on all of them know which
/// names are its own.
fn registry_host(child: &Child, address: SocketAddr) -> Result<RegistryHost, String> {
    let path = child.layout.images();
    let failed =
        |error: &dyn std::error::Error| format!("opening {}: {}", path.display(), with_causes(error));
    let store = gantry_images::Store::open(&path).map_err(|error| failed(&error))?;
    let port = address.port();
    let mut hosts: Vec<String> =
        ["localhost", "127.0.0.1", "[::1]"].iter().map(|host| format!("{host}:{port}")).collect();
    if !address.ip().is_unspecified() && !hosts.contains(&address.to_string()) {
        hosts.push(address.to_string());
    }
    let region = child.config.region.clone();
    store.set_own_registry(&OwnRegistry { region: region.clone(), hosts }).map_err(|error| failed(&error))?;
    let registry = Registry::open(store).map_err(|error| failed(&error))?;
    Ok(RegistryHost { registry, port, region })
}

fn registry_names(child: &Child, address: SocketAddr) -> names::RegistryNames {
    let address = match address.ip() {
        // A server that listens on every address is reached from here by the loopback one.
        ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    names::RegistryNames { address, region: child.config.region.clone() }
}

/// Clears up what pushes left behind, and what lifecycle policies let expire.
async fn sweep(context: Arc<Context>) {
    loop {
        tokio::time::sleep(REGISTRY_SWEPT_EVERY).await;
        if let Err(error) = gantry_services::ecr::sweep(&context, Timestamp::now()).await {
            tracing::warn!("clearing up the registry: {}", error.message);
        }
    }
}

/// The supervisor made it before the first `control` was started, and keeps it for the next one.
fn api_listener(child: &Child) -> Result<TcpListener, String> {
    let failed = |error: &dyn std::fmt::Display| format!("taking the API's listening socket: {error}");
    let mut kept = child
        .descriptors
        .get(API_LISTENER)
        .map_err(|error| failed(&error))?
        .ok_or_else(|| failed(&"the supervisor does not have it"))?;
    let listener = std::net::TcpListener::from(kept.remove(0));
    listener.set_nonblocking(true).map_err(|error| failed(&error))?;
    TcpListener::from_std(listener).map_err(|error| failed(&error))
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
