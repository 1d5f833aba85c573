//! Elastic Load Balancing v2: application load balancers, target groups, listeners and rules.

mod actions;
mod addresses;
mod attributes;
mod balancers;
mod catalogue;
mod conditions;
mod groups;
mod listeners;
mod names;
mod rules;
mod tags;
mod targets;

use gantry_api::elbv2::*;

handlers! {
    Elbv2;
    settings create_load_balancer(CreateLoadBalancerInput) -> CreateLoadBalancerOutput = balancers::create;
    steps delete_load_balancer(DeleteLoadBalancerInput) -> DeleteLoadBalancerOutput = balancers::delete;
    read describe_load_balancers(DescribeLoadBalancersInput) -> DescribeLoadBalancersOutput = balancers::describe;
    read describe_load_balancer_attributes(DescribeLoadBalancerAttributesInput)
        -> DescribeLoadBalancerAttributesOutput = attributes::describe_balancer;
    write modify_load_balancer_attributes(ModifyLoadBalancerAttributesInput) -> ModifyLoadBalancerAttributesOutput
        = attributes::modify_balancer;
    write set_security_groups(SetSecurityGroupsInput) -> SetSecurityGroupsOutput = balancers::set_security_groups;
    write set_subnets(SetSubnetsInput) -> SetSubnetsOutput = balancers::set_subnets;
    write set_ip_address_type(SetIpAddressTypeInput) -> SetIpAddressTypeOutput = balancers::set_ip_address_type;
    write create_target_group(CreateTargetGroupInput) -> CreateTargetGroupOutput = groups::create;
    write delete_target_group(DeleteTargetGroupInput) -> DeleteTargetGroupOutput = groups::delete;
    read describe_target_groups(DescribeTargetGroupsInput) -> DescribeTargetGroupsOutput = groups::describe;
    write modify_target_group(ModifyTargetGroupInput) -> ModifyTargetGroupOutput = groups::modify;
    read describe_target_group_attributes(DescribeTargetGroupAttributesInput) -> DescribeTargetGroupAttributesOutput
        = attributes::describe_group;
    write modify_target_group_attributes(ModifyTargetGroupAttributesInput) -> ModifyTargetGroupAttributesOutput
        = attributes::modify_group;
    steps register_targets(RegisterTargetsInput) -> RegisterTargetsOutput = targets::register;
    steps deregister_targets(DeregisterTargetsInput) -> DeregisterTargetsOutput = targets::deregister;
    read describe_target_health(DescribeTargetHealthInput) -> DescribeTargetHealthOutput = targets::describe_health;
    write create_listener(CreateListenerInput) -> CreateListenerOutput = listeners::create;
    write delete_listener(DeleteListenerInput) -> DeleteListenerOutput = listeners::delete;
    read describe_listeners(DescribeListenersInput) -> DescribeListenersOutput = listeners::describe;
    write modify_listener(ModifyListenerInput) -> ModifyListenerOutput = listeners::modify;
    read describe_listener_attributes(DescribeListenerAttributesInput) -> DescribeListenerAttributesOutput
        = attributes::describe_listener;
    write modify_listener_attributes(ModifyListenerAttributesInput) -> ModifyListenerAttributesOutput
        = attributes::modify_listener;
    read describe_listener_certificates(DescribeListenerCertificatesInput) -> DescribeListenerCertificatesOutput
        = listeners::describe_certificates;
    write create_rule(CreateRuleInput) -> CreateRuleOutput = rules::create;
    write delete_rule(DeleteRuleInput) -> DeleteRuleOutput = rules::delete;
    read describe_rules(DescribeRulesInput) -> DescribeRulesOutput = rules::describe;
    write modify_rule(ModifyRuleInput) -> ModifyRuleOutput = rules::modify;
    write set_rule_priorities(SetRulePrioritiesInput) -> SetRulePrioritiesOutput = rules::set_priorities;
    write add_tags(AddTagsInput) -> AddTagsOutput = tags::add;
    write remove_tags(RemoveTagsInput) -> RemoveTagsOutput = tags::remove;
    read describe_tags(DescribeTagsInput) -> DescribeTagsOutput = tags::describe;
    read describe_capacity_reservation(DescribeCapacityReservationInput) -> DescribeCapacityReservationOutput
        = balancers::describe_capacity_reservation;
    read describe_account_limits(DescribeAccountLimitsInput) -> DescribeAccountLimitsOutput = catalogue::account_limits;
    read describe_ssl_policies(DescribeSSLPoliciesInput) -> DescribeSSLPoliciesOutput = catalogue::ssl_policies;
}
