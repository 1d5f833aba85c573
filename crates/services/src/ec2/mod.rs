//! Amazon EC2, as far as tasks need it: VPCs, subnets, security groups, routes, interfaces, and the catalogue of zones.
//!
//! Every region has a default VPC from the first call on, as an AWS account does: [`region::defaults`] makes it.

mod acls;
mod catalogue;
mod filters;
mod gateways;
mod group_rules;
mod groups;
pub(crate) mod images;
mod interfaces;
mod listing;
pub mod region;
mod routes;
mod rule_changes;
mod rules;
mod subnets;
mod tables;
mod tags;
mod vpcs;

use gantry_api::ApiError;
use gantry_api::ec2::*;

handlers! {
    Ec2;
    write create_vpc(CreateVpcRequest) -> CreateVpcResult = vpcs::create;
    write delete_vpc(DeleteVpcRequest) -> () = vpcs::delete;
    read describe_vpcs(DescribeVpcsRequest) -> DescribeVpcsResult = vpcs::describe;
    read describe_vpc_attribute(DescribeVpcAttributeRequest) -> DescribeVpcAttributeResult = vpcs::describe_attribute;
    write modify_vpc_attribute(ModifyVpcAttributeRequest) -> () = vpcs::modify_attribute;
    read describe_vpc_classic_link(DescribeVpcClassicLinkRequest) -> DescribeVpcClassicLinkResult
        = vpcs::describe_classic_link;
    read describe_vpc_classic_link_dns_support(DescribeVpcClassicLinkDnsSupportRequest)
        -> DescribeVpcClassicLinkDnsSupportResult = vpcs::describe_classic_link_dns_support;
    write create_subnet(CreateSubnetRequest) -> CreateSubnetResult = subnets::create;
    write delete_subnet(DeleteSubnetRequest) -> () = subnets::delete;
    read describe_subnets(DescribeSubnetsRequest) -> DescribeSubnetsResult = subnets::describe;
    write modify_subnet_attribute(ModifySubnetAttributeRequest) -> () = subnets::modify_attribute;
    write create_security_group(CreateSecurityGroupRequest) -> CreateSecurityGroupResult = groups::create;
    write delete_security_group(DeleteSecurityGroupRequest) -> DeleteSecurityGroupResult = groups::delete;
    read describe_security_groups(DescribeSecurityGroupsRequest) -> DescribeSecurityGroupsResult = groups::describe;
    read describe_security_group_rules(DescribeSecurityGroupRulesRequest) -> DescribeSecurityGroupRulesResult
        = group_rules::describe;
    write authorize_security_group_ingress(AuthorizeSecurityGroupIngressRequest)
        -> AuthorizeSecurityGroupIngressResult = group_rules::authorize_ingress;
    write authorize_security_group_egress(AuthorizeSecurityGroupEgressRequest) -> AuthorizeSecurityGroupEgressResult
        = group_rules::authorize_egress;
    write revoke_security_group_ingress(RevokeSecurityGroupIngressRequest) -> RevokeSecurityGroupIngressResult
        = group_rules::revoke_ingress;
    write revoke_security_group_egress(RevokeSecurityGroupEgressRequest) -> RevokeSecurityGroupEgressResult
        = group_rules::revoke_egress;
    write create_route_table(CreateRouteTableRequest) -> CreateRouteTableResult = tables::create_table;
    write delete_route_table(DeleteRouteTableRequest) -> () = tables::delete_table;
    read describe_route_tables(DescribeRouteTablesRequest) -> DescribeRouteTablesResult = tables::describe_tables;
    write associate_route_table(AssociateRouteTableRequest) -> AssociateRouteTableResult = tables::associate;
    write disassociate_route_table(DisassociateRouteTableRequest) -> () = tables::disassociate;
    write create_route(CreateRouteRequest) -> CreateRouteResult = routes::create;
    write delete_route(DeleteRouteRequest) -> () = routes::delete;
    write create_internet_gateway(CreateInternetGatewayRequest) -> CreateInternetGatewayResult
        = gateways::create;
    write delete_internet_gateway(DeleteInternetGatewayRequest) -> () = gateways::delete;
    read describe_internet_gateways(DescribeInternetGatewaysRequest) -> DescribeInternetGatewaysResult
        = gateways::describe;
    write attach_internet_gateway(AttachInternetGatewayRequest) -> () = gateways::attach;
    write detach_internet_gateway(DetachInternetGatewayRequest) -> () = gateways::detach;
    write replace_route_table_association(ReplaceRouteTableAssociationRequest)
        -> ReplaceRouteTableAssociationResult = tables::replace_association;
    write replace_route(ReplaceRouteRequest) -> () = routes::replace;
    write create_default_vpc(CreateDefaultVpcRequest) -> CreateDefaultVpcResult = vpcs::create_default;
    write create_default_subnet(CreateDefaultSubnetRequest) -> CreateDefaultSubnetResult = subnets::create_default;
    write create_network_interface(CreateNetworkInterfaceRequest) -> CreateNetworkInterfaceResult
        = interfaces::create;
    write delete_network_interface(DeleteNetworkInterfaceRequest) -> () = interfaces::delete;
    write modify_security_group_rules(ModifySecurityGroupRulesRequest) -> ModifySecurityGroupRulesResult
        = rule_changes::modify;
    write update_security_group_rule_descriptions_ingress(UpdateSecurityGroupRuleDescriptionsIngressRequest)
        -> UpdateSecurityGroupRuleDescriptionsIngressResult = rule_changes::describe_ingress;
    write update_security_group_rule_descriptions_egress(UpdateSecurityGroupRuleDescriptionsEgressRequest)
        -> UpdateSecurityGroupRuleDescriptionsEgressResult = rule_changes::describe_egress;
    read describe_network_acls(DescribeNetworkAclsRequest) -> DescribeNetworkAclsResult = acls::describe;
    read describe_network_interfaces(DescribeNetworkInterfacesRequest) -> DescribeNetworkInterfacesResult
        = interfaces::describe;
    read describe_availability_zones(DescribeAvailabilityZonesRequest) -> DescribeAvailabilityZonesResult
        = catalogue::availability_zones;
    read describe_regions(DescribeRegionsRequest) -> DescribeRegionsResult = catalogue::regions;
    read describe_account_attributes(DescribeAccountAttributesRequest) -> DescribeAccountAttributesResult
        = catalogue::account_attributes;
    read describe_instances(DescribeInstancesRequest) -> DescribeInstancesResult = catalogue::instances;
    read describe_images(DescribeImagesRequest) -> DescribeImagesResult = catalogue::images;
    read describe_addresses(DescribeAddressesRequest) -> DescribeAddressesResult = catalogue::addresses;
    read describe_dhcp_options(DescribeDhcpOptionsRequest) -> DescribeDhcpOptionsResult = catalogue::dhcp_options;
    steps create_tags(CreateTagsRequest) -> () = tags::create;
    steps delete_tags(DeleteTagsRequest) -> () = tags::delete;
    read describe_tags(DescribeTagsRequest) -> DescribeTagsResult = tags::describe;
}

/// Whether a VPC has a way to the internet.
pub(crate) fn has_internet_gateway(
    view: &gantry_domain::View,
    region: &gantry_types::Region,
    vpc: &gantry_types::VpcId,
) -> Result<bool, ApiError> {
    gateways::has_gateway(view, region, vpc)
}

/// The name that Amazon's resolver gives an address of a VPC.
pub(crate) fn private_dns_name(region: &gantry_types::Region, address: std::net::Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("ip-{a}-{b}-{c}-{d}.{}", catalogue::internal_domain(region))
}

fn bad_value(message: impl Into<String>) -> ApiError {
    ApiError::sender("InvalidParameterValue", message)
}

fn dependency(message: impl Into<String>) -> ApiError {
    ApiError::sender("DependencyViolation", message)
}

fn vpc_not_found(id: &str) -> ApiError {
    ApiError::sender("InvalidVpcID.NotFound", format!("The vpc ID '{id}' does not exist"))
}
