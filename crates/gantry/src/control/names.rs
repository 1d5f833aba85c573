//! Keeps the names of internet-facing load balancers and of the registry in the hosts file for as long as the server runs.

use std::collections::BTreeSet;
use std::net::IpAddr;

use gantry_domain::View;
use gantry_domain::elb::LoadBalancer;
use gantry_domain::object::Object;
use gantry_services::ecr::host_name;
use gantry_store::{Database, SubscriptionError};

use crate::hosts::Block;

/// Where the registry's names lead.
pub(super) struct RegistryNames {
    pub(super) address: IpAddr,
    /// The region that has a registry whether or not it has repositories.
    pub(super) region: String,
}

/// Writes the block at the start and whenever it would change. Ends when the store is closed.
pub(super) async fn keep(database: Database, block: Block, registry: RegistryNames) {
    let mut subscription = database.subscribe();
    let mut written: Option<Vec<(IpAddr, String)>> = None;
    loop {
        let names = names(&database.view(), &registry);
        if written.as_ref() != Some(&names) {
            match write(block.clone(), names.clone()).await {
                Ok(()) => written = Some(names),
                Err(error) => {
                    tracing::warn!(
                        "{error}; programs that do not resolve *.localhost need these names from you"
                    );
                    // The next change of names tries again.
                    written = Some(names);
                }
            }
        }
        match subscription.next().await {
            Ok(_) | Err(SubscriptionError::Lagged { .. }) => {}
            Err(SubscriptionError::Closed) => return,
        }
    }
}

/// Takes the block away.
pub(super) async fn remove(block: Block) {
    if let Err(error) = write(block, Vec::new()).await {
        tracing::warn!("{error}");
    }
}

async fn write(block: Block, names: Vec<(IpAddr, String)>) -> Result<(), String> {
    tokio::task::spawn_blocking(move || block.set(&names).map_err(|error| error.to_string()))
        .await
        .unwrap_or_else(|error| Err(format!("writing the hosts file: {error}")))
}

fn names(view: &View, registry: &RegistryNames) -> Vec<(IpAddr, String)> {
    let mut regions = BTreeSet::from([registry.region.as_str()]);
    let repositories = gantry_services::ecr::REPOSITORIES;
    let objects: Vec<_> = view.scan::<Object>(repositories).collect();
    regions.extend(objects.iter().filter_map(|object| object.class.strip_prefix(repositories)));
    let of_registry = regions.into_iter().map(|region| (registry.address, host_name(region)));
    let of_load_balancers = view.scan::<LoadBalancer>("").filter_map(|load_balancer| {
        let address = load_balancer.outside_address?;
        Some((IpAddr::V4(address), load_balancer.dns_name.clone()))
    });
    let mut names: Vec<(IpAddr, String)> =
        of_registry.chain(of_load_balancers).take(crate::hosts::NAMES_MAX).collect();
    names.sort();
    names
}
