//! A load balancer's state: provisioning until some process has all of it.

use gantry_domain::View;
use gantry_domain::elb::{LoadBalancer, LoadBalancerState};
use gantry_types::Arn;

use crate::balancers::Listening;
use crate::core::{Core, Decided};

pub(super) fn decide(core: &Core, view: &View, arn: &Arn) -> Decided {
    let mut decided = Decided::default();
    let Some(balancer) = view.load_balancer(arn) else { return decided };
    let (state, state_reason) = match core.balancers.listening(view, arn) {
        // While a process comes back, what was known of the last one stands.
        Listening::NotYet => return decided,
        Listening::Ready => (LoadBalancerState::Active, None),
        Listening::Impaired(reason) => (LoadBalancerState::Active, Some(reason)),
    };
    let next = LoadBalancer { state, state_reason, ..balancer.cloned() };
    if next != *balancer {
        decided.batch.put(view, next);
    }
    decided
}
