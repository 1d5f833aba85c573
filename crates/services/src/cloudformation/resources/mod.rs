//! The resource types, one file each. A new one is a file and a line here.
//!
//! Files that are no types: [`calls`], [`tags`], `ec2_permission`, `iam_policies`, for what several types have in common.

mod calls;
mod ec2_internet_gateway;
mod ec2_permission;
mod ec2_route;
mod ec2_route_table;
mod ec2_security_group;
mod ec2_security_group_egress;
mod ec2_security_group_ingress;
mod ec2_subnet;
mod ec2_subnet_route_table_association;
mod ec2_vpc;
mod ec2_vpc_gateway_attachment;
mod ecr_repository;
mod ecs_cluster;
mod ecs_cluster_capacity_providers;
mod ecs_service;
mod ecs_task_definition;
mod elbv2_listener;
mod elbv2_listener_rule;
mod elbv2_load_balancer;
mod elbv2_target_group;
mod iam_access_key;
mod iam_instance_profile;
mod iam_managed_policy;
mod iam_policies;
mod iam_policy;
mod iam_role;
mod iam_user;
mod logs_log_group;
mod logs_log_stream;
mod ssm_parameter;
mod tags;
#[cfg(test)]
mod tests;

use super::resource::ResourceType;

/// In the order of their names.
pub(crate) static TYPES: &[&dyn ResourceType] = &[
    &ec2_internet_gateway::InternetGateway,
    &ec2_route::Route,
    &ec2_route_table::RouteTable,
    &ec2_security_group::SecurityGroup,
    &ec2_security_group_egress::SecurityGroupEgress,
    &ec2_security_group_ingress::SecurityGroupIngress,
    &ec2_subnet::Subnet,
    &ec2_subnet_route_table_association::SubnetRouteTableAssociation,
    &ec2_vpc::Vpc,
    &ec2_vpc_gateway_attachment::VpcGatewayAttachment,
    &ecr_repository::Repository,
    &ecs_cluster::Cluster,
    &ecs_cluster_capacity_providers::ClusterCapacityProviderAssociations,
    &ecs_service::Service,
    &ecs_task_definition::TaskDefinition,
    &elbv2_listener::Listener,
    &elbv2_listener_rule::ListenerRule,
    &elbv2_load_balancer::LoadBalancer,
    &elbv2_target_group::TargetGroup,
    &iam_access_key::AccessKey,
    &iam_instance_profile::InstanceProfile,
    &iam_managed_policy::ManagedPolicy,
    &iam_policy::Policy,
    &iam_role::Role,
    &iam_user::User,
    &logs_log_group::LogGroup,
    &logs_log_stream::LogStream,
    &ssm_parameter::Parameter,
];

pub(crate) fn find(name: &str) -> Option<&'static dyn ResourceType> {
    TYPES.iter().copied().find(|each| each.name() == name)
}
