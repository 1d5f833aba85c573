//! Amazon EC2, as far as tasks need it: VPCs, subnets, security groups, routes, interfaces, and the catalogue of zones.
//!
//! Every region has a default VPC from the first call on, as an AWS account does: [`region::defaults`] makes it.

mod catalogue;
mod filters;
mod groups;
mod interfaces;
pub mod region;
mod routes;
mod rules;
mod subnets;
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
        = groups::describe_rules;
    write authorize_security_group_ingress(AuthorizeSecurityGroupIngressRequest)
        -> AuthorizeSecurityGroupIngressResult = groups::authorize_ingress;
    write authorize_security_group_egress(AuthorizeSecurityGroupEgressRequest) -> AuthorizeSecurityGroupEgressResult
        = groups::authorize_egress;
    write revoke_security_group_ingress(RevokeSecurityGroupIngressRequest) -> RevokeSecurityGroupIngressResult
        = groups::revoke_ingress;
    write revoke_security_group_egress(RevokeSecurityGroupEgressRequest) -> RevokeSecurityGroupEgressResult
        = groups::revoke_egress;
    write create_route_table(CreateRouteTableRequest) -> CreateRouteTableResult = routes::create_table;
    write delete_route_table(DeleteRouteTableRequest) -> () = routes::delete_table;
    read describe_route_tables(DescribeRouteTablesRequest) -> DescribeRouteTablesResult = routes::describe_tables;
    write associate_route_table(AssociateRouteTableRequest) -> AssociateRouteTableResult = routes::associate;
    write disassociate_route_table(DisassociateRouteTableRequest) -> () = routes::disassociate;
    write create_route(CreateRouteRequest) -> CreateRouteResult = routes::create_route;
    write delete_route(DeleteRouteRequest) -> () = routes::delete_route;
    write create_internet_gateway(CreateInternetGatewayRequest) -> CreateInternetGatewayResult
        = routes::create_gateway;
    write delete_internet_gateway(DeleteInternetGatewayRequest) -> () = routes::delete_gateway;
    read describe_internet_gateways(DescribeInternetGatewaysRequest) -> DescribeInternetGatewaysResult
        = routes::describe_gateways;
    write attach_internet_gateway(AttachInternetGatewayRequest) -> () = routes::attach_gateway;
    write detach_internet_gateway(DetachInternetGatewayRequest) -> () = routes::detach_gateway;
    read describe_network_acls(DescribeNetworkAclsRequest) -> DescribeNetworkAclsResult = routes::describe_acls;
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
    write create_tags(CreateTagsRequest) -> () = tags::create;
    write delete_tags(DeleteTagsRequest) -> () = tags::delete;
    read describe_tags(DescribeTagsRequest) -> DescribeTagsResult = tags::describe;
}

/// Whether a VPC has a way to the internet.
pub(crate) fn has_internet_gateway(
    view: &gantry_domain::View,
    region: &gantry_types::Region,
    vpc: &gantry_types::VpcId,
) -> Result<bool, ApiError> {
    routes::has_gateway(view, region, vpc)
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
