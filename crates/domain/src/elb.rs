//! Load balancers, listeners, rules, target groups and targets.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use gantry_types::{
    Arn, AvailabilityZone, Region, RegistrationId, SecurityGroupId, SubnetId, TaskId, Timestamp, Value, VpcId,
};

use crate::aws_enum::aws_enum;

aws_enum! {
    Scheme { InternetFacing = "internet-facing", Internal = "internal", }
}
aws_enum! {
    LoadBalancerState { Provisioning = "provisioning", Active = "active", Failed = "failed", }
}

/// Attributes by AWS's names, exactly those that were set; the typed readings give the defaults.
pub type Attributes = BTreeMap<String, String>;

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LoadBalancer {
    pub region: Region,
    pub arn: Arn,
    pub name: String,
    pub dns_name: String,
    pub scheme: Scheme,
    pub vpc: VpcId,
    /// The load balancer's own address in each of its subnets: it connects to targets from there, and listens there.
    pub subnets: Vec<LoadBalancerSubnet>,
    /// An internet-facing load balancer's own address outside the VPC.
    pub outside_address: Option<Ipv4Addr>,
    pub security_groups: Vec<SecurityGroupId>,
    pub state: LoadBalancerState,
    pub state_reason: Option<String>,
    pub attributes: Attributes,
    pub created_at: Timestamp,
    /// Members that no decision reads, as the API gives them.
    pub document: Value,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LoadBalancerSubnet {
    pub subnet: SubnetId,
    pub availability_zone: AvailabilityZone,
    pub address: Ipv4Addr,
}

aws_enum! {
    ListenerProtocol { Http = "HTTP", Https = "HTTPS", }
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Listener {
    pub arn: Arn,
    pub load_balancer: Arn,
    pub protocol: ListenerProtocol,
    pub port: u16,
    pub default_actions: Vec<RuleAction>,
    pub attributes: Attributes,
    pub document: Value,
}

/// A rule that is not the default one.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Rule {
    pub arn: Arn,
    pub listener: Arn,
    /// 1 to 50000, unique in the listener; the lowest is tried first.
    pub priority: u32,
    pub conditions: Vec<RuleCondition>,
    pub actions: Vec<RuleAction>,
    pub document: Value,
}

/// One condition; its values are alternatives, the conditions of a rule all hold.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum RuleCondition {
    /// `*` and `?` patterns, without regard to case.
    HostHeader(Vec<String>),
    /// `*` and `?` patterns, case-sensitive, without the query.
    PathPattern(Vec<String>),
    HttpHeader {
        name: String,
        values: Vec<String>,
    },
    HttpRequestMethod(Vec<String>),
    /// Key (absent: any) and value patterns.
    QueryString(Vec<(Option<String>, String)>),
    /// The TCP peer's address ranges.
    SourceIp(Vec<crate::network::Cidr>),
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum RuleAction {
    Forward(Forward),
    Redirect(Redirect),
    FixedResponse(FixedResponse),
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Forward {
    pub target_groups: Vec<WeightedTargetGroup>,
    /// Group stickiness, if enabled.
    pub stickiness: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct WeightedTargetGroup {
    pub target_group: Arn,
    /// 0 to 999.
    pub weight: u32,
}

/// Parts that may hold `#{protocol}`, `#{host}`, `#{port}`, `#{path}` and `#{query}`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Redirect {
    pub protocol: String,
    pub host: String,
    pub port: String,
    pub path: String,
    pub query: String,
    /// 301 or 302.
    pub status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FixedResponse {
    pub status: u16,
    pub content_type: Option<String>,
    pub body: String,
}

aws_enum! {
    TargetType { Instance = "instance", Ip = "ip", Lambda = "lambda", Alb = "alb", }
}
aws_enum! {
    TargetProtocol { Http = "HTTP", Https = "HTTPS", }
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TargetGroup {
    pub region: Region,
    pub arn: Arn,
    pub name: String,
    pub protocol: TargetProtocol,
    pub port: u16,
    pub vpc: VpcId,
    pub target_type: TargetType,
    pub health_check: HealthCheck,
    pub attributes: Attributes,
    pub created_at: Timestamp,
    pub document: Value,
}

impl TargetGroup {
    /// `deregistration_delay.timeout_seconds`, 300 s unless set.
    pub fn deregistration_delay(&self) -> Duration {
        Duration::from_secs(self.number("deregistration_delay.timeout_seconds", 300))
    }
    /// `slow_start.duration_seconds`, 0 unless set.
    pub fn slow_start(&self) -> Duration {
        Duration::from_secs(self.number("slow_start.duration_seconds", 0))
    }
    /// `load_balancing.algorithm.type`, `round_robin` unless set.
    pub fn algorithm(&self) -> &str {
        self.attributes.get("load_balancing.algorithm.type").map_or("round_robin", String::as_str)
    }
    fn number(&self, attribute: &str, default: u64) -> u64 {
        self.attributes.get(attribute).and_then(|text| text.parse().ok()).unwrap_or(default)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HealthCheck {
    pub enabled: bool,
    pub protocol: TargetProtocol,
    /// `None` is `traffic-port`.
    pub port: Option<u16>,
    pub path: String,
    pub interval: Duration,
    pub timeout: Duration,
    pub healthy_threshold: u32,
    pub unhealthy_threshold: u32,
    /// As given: `200`, `200,202`, `200-399`.
    pub matcher: String,
}

/// One registration of one target in one group.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Target {
    pub target_group: Arn,
    pub registration: RegistrationId,
    /// What the API calls the target's id: an address for type `ip`.
    pub target_id: String,
    pub address: Ipv4Addr,
    pub port: u16,
    pub availability_zone: Option<AvailabilityZone>,
    /// The task that was registered by its service.
    pub task: Option<TaskId>,
    pub registered_at: Timestamp,
    /// When it was deregistered; it is then draining, and gone when the group's delay is over.
    pub draining_since: Option<Timestamp>,
    /// No request is in flight on it any more; only said of a draining target.
    pub drained: bool,
    pub health: TargetHealth,
}

aws_enum! {
    TargetHealthState {
        Initial = "initial",
        Healthy = "healthy",
        Unhealthy = "unhealthy",
        Unused = "unused",
        Draining = "draining",
        Unavailable = "unavailable",
    }
}

aws_enum! {
    TargetHealthReason {
        RegistrationInProgress = "Elb.RegistrationInProgress",
        InitialHealthChecking = "Elb.InitialHealthChecking",
        InternalError = "Elb.InternalError",
        ResponseCodeMismatch = "Target.ResponseCodeMismatch",
        Timeout = "Target.Timeout",
        FailedHealthChecks = "Target.FailedHealthChecks",
        NotRegistered = "Target.NotRegistered",
        NotInUse = "Target.NotInUse",
        DeregistrationInProgress = "Target.DeregistrationInProgress",
        InvalidState = "Target.InvalidState",
        HealthCheckDisabled = "Target.HealthCheckDisabled",
    }
}

/// What the load balancer found. A healthy target has neither reason nor description.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TargetHealth {
    pub state: TargetHealthState,
    pub reason: Option<TargetHealthReason>,
    pub description: Option<String>,
}

impl TargetHealth {
    pub fn new(state: TargetHealthState) -> Self {
        Self { state, reason: None, description: None }
    }
    /// A state with AWS's reason and the description that belongs to it.
    pub fn because(
        state: TargetHealthState,
        reason: TargetHealthReason,
        description: impl Into<String>,
    ) -> Self {
        Self { state, reason: Some(reason), description: Some(description.into()) }
    }
    /// What a registration begins with.
    pub fn registering() -> Self {
        Self::because(
            TargetHealthState::Initial,
            TargetHealthReason::RegistrationInProgress,
            "Target registration is in progress",
        )
    }
}
