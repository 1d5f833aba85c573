//! Plays `control`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gantry_domain::elb::{
    Forward, HealthCheck, Listener, ListenerProtocol, LoadBalancer, LoadBalancerState, LoadBalancerSubnet,
    RuleAction, Scheme, Target, TargetGroup, TargetProtocol, TargetType, WeightedTargetGroup,
};
use gantry_link::{
    FrameReader, FrameWriter, FromLb, ListenerConfig, LoadBalancerConfig, TargetGroupConfig, ToLb,
};
use gantry_types::{Arn, Timestamp, Value};
use tokio::net::UnixListener;
use tokio::sync::{Notify, mpsc};

use super::{Plan, elb, own_address, soon};

/// Plays `control`: sends everything after a `Hello`, then what the test sends; collects reports.
pub(crate) struct Control {
    pub(crate) path: std::path::PathBuf,
    state: Arc<Mutex<BTreeMap<String, ToLb>>>,
    changed: Arc<Notify>,
    reports: mpsc::UnboundedReceiver<FromLb>,
    /// Reports that came while the test waited for others.
    waiting: Vec<FromLb>,
    task: tokio::task::JoinHandle<()>,
    pub(crate) links: Arc<AtomicUsize>,
}

impl Control {
    pub(crate) async fn start(plan: &Plan, groups: Vec<TargetGroupConfig>) -> Self {
        let path = plan.state.path().join("control");
        let listener = UnixListener::bind(&path).expect("the socket is free");
        let mut state = BTreeMap::new();
        let config = load_balancer(plan, &groups);
        state.insert("a".to_owned(), ToLb::LoadBalancer(Box::new(config)));
        for group in groups {
            state.insert(group.group.arn.to_string(), ToLb::TargetGroup(Box::new(group)));
        }
        let (state, changed) = (Arc::new(Mutex::new(state)), Arc::new(Notify::new()));
        let (sender, reports) = mpsc::unbounded_channel();
        let links = Arc::new(AtomicUsize::new(0));
        let task =
            tokio::spawn(play_control(listener, state.clone(), changed.clone(), sender, links.clone()));
        Self { path, state, changed, reports, waiting: Vec::new(), task, links }
    }

    /// Changes a group, and tells it.
    pub(crate) fn set_group(&self, group: TargetGroupConfig) {
        let mut state = self.state.lock().expect("no panic");
        state.insert(group.group.arn.to_string(), ToLb::TargetGroup(Box::new(group)));
        drop(state);
        self.changed.notify_waiters();
    }

    /// Has another load balancer, like the first one, that forwards to the group.
    pub(crate) fn add_load_balancer(&self, name: &str, group: &str, address: Ipv4Addr) {
        let mut state = self.state.lock().expect("no panic");
        let Some(ToLb::LoadBalancer(first)) = state.get("a") else {
            unreachable!("it was there from the start")
        };
        let mut config = first.as_ref().clone();
        let balancer = &mut config.load_balancer;
        balancer.arn = elb(&format!("loadbalancer/app/{name}/1"));
        balancer.dns_name = format!("{name}.elb.localhost");
        balancer.outside_address = Some(address);
        balancer.subnets[0].address = own_address();
        let listener = &mut config.listeners[0].listener;
        listener.arn = elb(&format!("listener/app/{name}/1/1"));
        let target_groups =
            vec![WeightedTargetGroup { target_group: elb(&format!("targetgroup/{group}/1")), weight: 1 }];
        listener.default_actions = vec![RuleAction::Forward(Forward { target_groups, stickiness: None })];
        state.insert(name.to_owned(), ToLb::LoadBalancer(Box::new(config)));
        drop(state);
        self.changed.notify_waiters();
    }

    /// Has a group no more.
    pub(crate) fn remove_group(&self, arn: &Arn) {
        self.state.lock().expect("no panic").remove(arn.as_str());
        self.changed.notify_waiters();
    }

    /// Changes the load balancer, and tells it.
    pub(crate) fn change_load_balancer(&self, change: impl FnOnce(&mut LoadBalancerConfig)) {
        let mut state = self.state.lock().expect("no panic");
        if let Some(ToLb::LoadBalancer(config)) = state.get_mut("a") {
            change(config);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Waits for a report, and takes it; those that came before it stay.
    pub(crate) async fn expect(&mut self, what: &str, wanted: impl Fn(&FromLb) -> bool) -> FromLb {
        if let Some(at) = self.waiting.iter().position(&wanted) {
            return self.waiting.remove(at);
        }
        soon(what, async {
            loop {
                let report = self.reports.recv().await.expect("control plays on");
                if wanted(&report) {
                    return report;
                }
                self.waiting.push(report);
            }
        })
        .await
    }

    /// The reports that have come, without waiting.
    pub(crate) fn so_far(&mut self) -> Vec<FromLb> {
        let mut reports = std::mem::take(&mut self.waiting);
        reports.extend(std::iter::from_fn(|| self.reports.try_recv().ok()));
        reports
    }

    /// Dies.
    pub(crate) fn kill(&self) {
        self.task.abort();
        std::fs::remove_file(&self.path).expect("the socket was there");
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn play_control(
    listener: UnixListener,
    state: Arc<Mutex<BTreeMap<String, ToLb>>>,
    changed: Arc<Notify>,
    reports: mpsc::UnboundedSender<FromLb>,
    links: Arc<AtomicUsize>,
) {
    // Several balancers may be linked at the same time.
    let mut talks = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("the socket is ours");
        links.fetch_add(1, Ordering::SeqCst);
        let (state, changed, reports) = (state.clone(), changed.clone(), reports.clone());
        talks.spawn(async move {
            let (reader, writer) = stream.into_split();
            let (mut reader, mut writer) = (FrameReader::new(reader), FrameWriter::new(writer));
            let read = async {
                while let Ok(report) = reader.read::<FromLb>().await {
                    let _ = reports.send(report);
                }
            };
            let write = async {
                loop {
                    let change = changed.notified();
                    let messages: Vec<ToLb> = state.lock().expect("no panic").values().cloned().collect();
                    let mut synced = (Vec::new(), Vec::new());
                    for message in &messages {
                        match message {
                            ToLb::LoadBalancer(config) => synced.0.push(config.load_balancer.arn.clone()),
                            ToLb::TargetGroup(config) => synced.1.push(config.group.arn.clone()),
                            _ => {}
                        }
                        if writer.write(message).await.is_err() {
                            return;
                        }
                    }
                    let synced = ToLb::Synced { load_balancers: synced.0, target_groups: synced.1 };
                    if writer.write(&synced).await.is_err() {
                        return;
                    }
                    let beat = tokio::time::sleep(Duration::from_secs(1));
                    tokio::select! { () = change => {}, () = beat => {} }
                }
            };
            tokio::select! { () = read => {}, () = write => {} }
        });
    }
}

fn load_balancer(plan: &Plan, groups: &[TargetGroupConfig]) -> LoadBalancerConfig {
    let target_groups = groups
        .first()
        .map(|group| WeightedTargetGroup { target_group: group.group.arn.clone(), weight: 1 })
        .into_iter()
        .collect();
    let load_balancer = LoadBalancer {
        region: "us-east-1".into(),
        arn: elb("loadbalancer/app/a/1"),
        name: "a".to_owned(),
        dns_name: "a.elb.localhost".to_owned(),
        scheme: Scheme::InternetFacing,
        vpc: plan.vpc.as_str().into(),
        subnets: vec![LoadBalancerSubnet {
            subnet: "subnet-1".into(),
            availability_zone: "us-east-1a".into(),
            address: plan.inside,
        }],
        outside_address: Some(plan.address),
        security_groups: Vec::new(),
        state: LoadBalancerState::Active,
        state_reason: None,
        attributes: plan.attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        created_at: Timestamp::EPOCH,
        document: Value::Null,
    };
    let listener = Listener {
        arn: elb("listener/app/a/1/1"),
        load_balancer: load_balancer.arn.clone(),
        protocol: ListenerProtocol::Http,
        port: plan.port,
        default_actions: vec![RuleAction::Forward(Forward { target_groups, stickiness: None })],
        attributes: BTreeMap::new(),
        document: Value::Null,
    };
    LoadBalancerConfig {
        load_balancer,
        listeners: vec![ListenerConfig { listener, rules: plan.rules.clone() }],
        ingress: plan.ingress.clone(),
    }
}

pub(crate) fn group(name: &str, targets: Vec<Target>) -> TargetGroupConfig {
    let group = TargetGroup {
        region: "us-east-1".into(),
        arn: elb(&format!("targetgroup/{name}/1")),
        name: name.to_owned(),
        protocol: TargetProtocol::Http,
        port: 80,
        vpc: "vpc-1".into(),
        target_type: TargetType::Ip,
        health_check: HealthCheck {
            enabled: true,
            protocol: TargetProtocol::Http,
            port: None,
            path: "/health".to_owned(),
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            healthy_threshold: 5,
            unhealthy_threshold: 2,
            matcher: "200".to_owned(),
        },
        attributes: BTreeMap::new(),
        created_at: Timestamp::EPOCH,
        document: Value::Null,
    };
    TargetGroupConfig { group, promised: false, in_use: true, targets }
}
