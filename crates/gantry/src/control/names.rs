//! Keeps the names of internet-facing load balancers in the hosts file for as long as the server runs.

use std::net::IpAddr;

use gantry_domain::View;
use gantry_domain::elb::LoadBalancer;
use gantry_store::{Database, SubscriptionError};

use crate::hosts::Block;

/// Writes the block at the start and whenever it would change. Ends when the store is closed.
pub(super) async fn keep(database: Database, block: Block) {
    let mut subscription = database.subscribe();
    let mut written: Option<Vec<(IpAddr, String)>> = None;
    loop {
        let names = names(&database.view());
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

fn names(view: &View) -> Vec<(IpAddr, String)> {
    let mut names: Vec<(IpAddr, String)> = view
        .scan::<LoadBalancer>("")
        .filter_map(|load_balancer| {
            let address = load_balancer.outside_address?;
            Some((IpAddr::V4(address), load_balancer.dns_name.clone()))
        })
        .take(crate::hosts::NAMES_MAX)
        .collect();
    names.sort();
    names
}
