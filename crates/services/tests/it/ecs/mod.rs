//! ECS.

mod account;
mod clusters;
mod definitions;
mod instances;
mod placement;
mod races;
mod service_updates;
mod services;
mod tags;
mod tasks;

use serde_json::{Value as Json, json};

use crate::world::{Answer as _, World};

/// A task definition that Fargate can run, under this family.
pub(crate) fn definition(family: &str) -> Json {
    json!({
        "family": family,
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "containerDefinitions": [
            {"name": "web", "image": "web:1", "portMappings": [{"containerPort": 8000}]},
        ],
    })
}

/// `given` with the members of `more` put over it; null removes one.
pub(crate) fn with(mut given: Json, more: &Json) -> Json {
    let members = given.as_object_mut().expect("an object");
    for (name, value) in more.as_object().expect("an object") {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    given
}

/// A cluster `web`, a task definition `web:1`, and what a service of it needs.
pub(crate) struct Fixture {
    pub(crate) world: World,
    pub(crate) network: Json,
    pub(crate) vpc: String,
    pub(crate) subnets: Vec<String>,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let world = World::new();
        world.ok("ecs CreateCluster", json!({"clusterName": "web"})).await;
        world.ok("ecs RegisterTaskDefinition", definition("web")).await;
        let (vpc, subnets, _) = world.default_network().await;
        let network = json!({"awsvpcConfiguration": {"subnets": [subnets[0], subnets[1]]}});
        Self { world, network, vpc, subnets }
    }

    pub(crate) fn service(&self, name: &str, more: &Json) -> Json {
        let plain = json!({
            "cluster": "web",
            "serviceName": name,
            "taskDefinition": "web",
            "desiredCount": 2,
            "launchType": "FARGATE",
            "networkConfiguration": self.network,
        });
        with(plain, more)
    }

    pub(crate) fn task(&self, more: &Json) -> Json {
        let plain = json!({
            "cluster": "web",
            "taskDefinition": "web",
            "launchType": "FARGATE",
            "networkConfiguration": self.network,
        });
        with(plain, more)
    }

    /// A target group that a listener of a load balancer forwards to; its ARN.
    pub(crate) async fn target_group(&self, name: &str) -> String {
        let world = &self.world;
        let input =
            json!({"Name": name, "Protocol": "HTTP", "Port": 80, "VpcId": self.vpc, "TargetType": "ip"});
        let made = world.ok("elbv2 CreateTargetGroup", input).await;
        let group = made["TargetGroups"][0]["TargetGroupArn"].text();
        let made = world
            .ok(
                "elbv2 CreateLoadBalancer",
                json!({"Name": name, "Subnets": [self.subnets[0], self.subnets[1]]}),
            )
            .await;
        let input = json!({
            "LoadBalancerArn": made["LoadBalancers"][0]["LoadBalancerArn"],
            "Protocol": "HTTP",
            "Port": 80,
            "DefaultActions": [{"Type": "forward", "TargetGroupArn": group}],
        });
        world.ok("elbv2 CreateListener", input).await;
        group
    }

    pub(crate) async fn describe(&self, service: &str) -> Json {
        let input = json!({"cluster": "web", "services": [service], "include": ["TAGS"]});
        self.world.ok("ecs DescribeServices", input).await["services"][0].clone()
    }

    /// Changes a service's record as the control loop would.
    async fn change(&self, name: &str, change: impl FnOnce(&mut gantry_domain::service::Service)) {
        let (revision, mut record) = self.world.read(|view| {
            let found = view.service(&"us-east-1".into(), &"web".into(), &name.into()).expect("a service");
            (found.revision, found.cloned())
        });
        change(&mut record);
        self.world.commit(vec![gantry_domain::Change::update(record, revision)]).await;
    }

    /// Lets the deployment that is under way be completed.
    pub(crate) async fn complete(&self, name: &str) {
        self.change(name, |record| {
            record.deployments.truncate(1);
            record.deployments[0].rollout_state = gantry_domain::service::RolloutState::Completed;
        })
        .await;
    }

    /// Lets the circuit breaker go back to the deployment before.
    pub(crate) async fn roll_back(&self, name: &str) {
        use gantry_domain::service::{DeploymentStatus, RolloutState};
        self.change(name, |record| {
            record.deployments.swap(0, 1);
            record.deployments[0].status = DeploymentStatus::Primary;
            record.deployments[0].rollout_state = RolloutState::InProgress;
            record.deployments[1].status = DeploymentStatus::Active;
            record.deployments[1].rollout_state = RolloutState::Failed;
        })
        .await;
    }

    /// Lets a deleted service be over, as the control loop does when its last task has gone.
    pub(crate) async fn end_service(&self, name: &str) {
        self.change(name, |record| {
            record.status = gantry_domain::service::ServiceStatus::Inactive;
            record.deployments.clear();
        })
        .await;
    }
}
