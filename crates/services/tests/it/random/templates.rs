//! Calls that make sense. `$kind` stands for a name of that kind, `$numbers` for one of a few numbers.

use serde_json::{Value as Json, json};

/// Operations with inputs that succeed as long as what they name is there.
pub(super) fn templates() -> Vec<(&'static str, Json)> {
    let network =
        json!({"awsvpcConfiguration": {"subnets": ["$subnet", "$subnet"], "securityGroups": ["$group"]}});
    let permission = json!([{"IpProtocol": "tcp", "FromPort": "$ports", "ToPort": "$ports", "IpRanges": [{"CidrIp": "$range"}]}]);
    let pair = json!([{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "$group"}]}]);
    let forward = json!([{"Type": "forward", "TargetGroupArn": "$target-group"}]);
    let weighted = json!([{"Type": "forward", "ForwardConfig": {"TargetGroups": [
        {"TargetGroupArn": "$target-group", "Weight": "$counts"}, {"TargetGroupArn": "$target-group"},
    ]}}]);
    let fixed = json!([{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}]);
    let condition = json!([{"Field": "path-pattern", "Values": ["$name"]}]);
    let behind = json!([{"targetGroupArn": "$target-group", "containerName": "web", "containerPort": 8000}]);
    let service = json!({
        "cluster": "$cluster", "serviceName": "$service", "taskDefinition": "$definition", "desiredCount": "$counts",
        "launchType": "FARGATE", "networkConfiguration": network,
    });
    let target = json!([{"Id": "$address"}, {"Id": "$address", "Port": "$ports"}]);
    vec![
        ("ec2 CreateVpc", json!({"CidrBlock": "$range"})),
        ("ec2 CreateSubnet", json!({"VpcId": "$vpc", "CidrBlock": "$range", "AvailabilityZone": "$zone"})),
        ("ec2 CreateSubnet", json!({"VpcId": "$vpc", "CidrBlock": "$range"})),
        ("ec2 CreateSecurityGroup", json!({"VpcId": "$vpc", "GroupName": "$service", "Description": "d"})),
        ("ec2 AuthorizeSecurityGroupIngress", json!({"GroupId": "$group", "IpPermissions": permission})),
        ("ec2 AuthorizeSecurityGroupIngress", json!({"GroupId": "$group", "IpPermissions": pair})),
        ("ec2 AuthorizeSecurityGroupEgress", json!({"GroupId": "$group", "IpPermissions": pair})),
        ("ec2 RevokeSecurityGroupIngress", json!({"GroupId": "$group", "IpPermissions": pair})),
        (
            "ec2 RevokeSecurityGroupIngress",
            json!({"GroupId": "$group", "SecurityGroupRuleIds": ["$rule-id"]}),
        ),
        (
            "ec2 ModifySecurityGroupRules",
            json!({"GroupId": "$group", "SecurityGroupRules": [{"SecurityGroupRuleId": "$rule-id",
            "SecurityGroupRule": {"IpProtocol": "-1", "ReferencedGroupId": "$group"}}]}),
        ),
        ("ec2 CreateRouteTable", json!({"VpcId": "$vpc"})),
        ("ec2 AssociateRouteTable", json!({"RouteTableId": "$table", "SubnetId": "$subnet"})),
        (
            "ec2 ReplaceRouteTableAssociation",
            json!({"RouteTableId": "$table", "AssociationId": "$association"}),
        ),
        ("ec2 DisassociateRouteTable", json!({"AssociationId": "$association"})),
        ("ec2 CreateInternetGateway", json!({})),
        ("ec2 AttachInternetGateway", json!({"InternetGatewayId": "$gateway", "VpcId": "$vpc"})),
        ("ec2 DetachInternetGateway", json!({"InternetGatewayId": "$gateway", "VpcId": "$vpc"})),
        (
            "ec2 CreateRoute",
            json!({"RouteTableId": "$table", "GatewayId": "$gateway", "DestinationCidrBlock": "$range"}),
        ),
        (
            "ec2 ReplaceRoute",
            json!({"RouteTableId": "$table", "GatewayId": "$gateway", "DestinationCidrBlock": "$range"}),
        ),
        ("ec2 CreateNetworkInterface", json!({"SubnetId": "$subnet", "Groups": ["$group"]})),
        ("ec2 CreateNetworkInterface", json!({"SubnetId": "$subnet", "PrivateIpAddress": "$address"})),
        ("ec2 CreateTags", json!({"Resources": ["$id", "$id"], "Tags": [{"Key": "$name", "Value": "v"}]})),
        ("ec2 DeleteTags", json!({"Resources": ["$id", "$id"]})),
        ("ec2 CreateDefaultVpc", json!({})),
        ("ec2 CreateDefaultSubnet", json!({"AvailabilityZone": "$zone"})),
        ("ec2 DeleteVpc", json!({"VpcId": "$vpc"})),
        ("ec2 DeleteSubnet", json!({"SubnetId": "$subnet"})),
        ("ec2 DeleteSecurityGroup", json!({"GroupId": "$group"})),
        ("ec2 DeleteRouteTable", json!({"RouteTableId": "$table"})),
        ("ec2 DeleteNetworkInterface", json!({"NetworkInterfaceId": "$interface"})),
        ("ec2 DescribeRouteTables", json!({})),
        ("ec2 DescribeSecurityGroupRules", json!({})),
        ("ec2 DescribeSubnets", json!({"MaxResults": 5})),
        (
            "elbv2 CreateLoadBalancer",
            json!({"Name": "$service", "Subnets": ["$subnet", "$subnet"], "SecurityGroups": ["$group"]}),
        ),
        (
            "elbv2 CreateLoadBalancer",
            json!({"Name": "$service", "Subnets": ["$subnet", "$subnet"], "Scheme": "internal"}),
        ),
        (
            "elbv2 CreateTargetGroup",
            json!({"Name": "$name", "VpcId": "$vpc", "Protocol": "HTTP", "Port": "$ports", "TargetType": "ip"}),
        ),
        (
            "elbv2 CreateListener",
            json!({"LoadBalancerArn": "$balancer", "Protocol": "HTTP", "Port": "$ports", "DefaultActions": forward}),
        ),
        (
            "elbv2 CreateListener",
            json!({"LoadBalancerArn": "$balancer", "Protocol": "HTTP", "Port": "$ports", "DefaultActions": fixed}),
        ),
        (
            "elbv2 ModifyListener",
            json!({"ListenerArn": "$listener", "Port": "$ports", "DefaultActions": weighted}),
        ),
        (
            "elbv2 CreateRule",
            json!({"ListenerArn": "$listener", "Priority": "$counts", "Conditions": condition, "Actions": forward}),
        ),
        (
            "elbv2 CreateRule",
            json!({"ListenerArn": "$listener", "Priority": "$counts", "Conditions": condition, "Actions": fixed}),
        ),
        ("elbv2 ModifyRule", json!({"RuleArn": "$rule", "Actions": weighted})),
        (
            "elbv2 SetRulePriorities",
            json!({"RulePriorities": [{"RuleArn": "$rule", "Priority": "$counts"}, {"RuleArn": "$rule", "Priority": "$counts"}]}),
        ),
        ("elbv2 RegisterTargets", json!({"TargetGroupArn": "$target-group", "Targets": target})),
        ("elbv2 DeregisterTargets", json!({"TargetGroupArn": "$target-group", "Targets": target})),
        ("elbv2 DescribeTargetHealth", json!({"TargetGroupArn": "$target-group"})),
        ("elbv2 SetSubnets", json!({"LoadBalancerArn": "$balancer", "Subnets": ["$subnet", "$subnet"]})),
        ("elbv2 SetSecurityGroups", json!({"LoadBalancerArn": "$balancer", "SecurityGroups": ["$group"]})),
        (
            "elbv2 AddTags",
            json!({"ResourceArns": ["$balancer", "$target-group"], "Tags": [{"Key": "$name"}]}),
        ),
        ("elbv2 DeleteRule", json!({"RuleArn": "$rule"})),
        ("elbv2 DeleteListener", json!({"ListenerArn": "$listener"})),
        ("elbv2 DeleteTargetGroup", json!({"TargetGroupArn": "$target-group"})),
        ("elbv2 DeleteLoadBalancer", json!({"LoadBalancerArn": "$balancer"})),
        ("ecs CreateCluster", json!({"clusterName": "$cluster"})),
        ("ecs DeleteCluster", json!({"cluster": "$cluster"})),
        ("ecs RegisterTaskDefinition", crate::ecs::definition("$family")),
        ("ecs DeregisterTaskDefinition", json!({"taskDefinition": "$definition"})),
        ("ecs DeleteTaskDefinitions", json!({"taskDefinitions": ["$definition", "$definition"]})),
        ("ecs CreateService", service.clone()),
        ("ecs CreateService", crate::ecs::with(service, &json!({"loadBalancers": behind}))),
        (
            "ecs UpdateService",
            json!({"cluster": "$cluster", "service": "$service", "taskDefinition": "$definition", "desiredCount": "$counts"}),
        ),
        (
            "ecs UpdateService",
            json!({"cluster": "$cluster", "service": "$service", "forceNewDeployment": true}),
        ),
        ("ecs DeleteService", json!({"cluster": "$cluster", "service": "$service", "force": true})),
        ("ecs DescribeServices", json!({"cluster": "$cluster", "services": ["$service"]})),
        (
            "ecs RunTask",
            json!({"cluster": "$cluster", "taskDefinition": "$definition", "launchType": "FARGATE", "networkConfiguration": network, "clientToken": "$name"}),
        ),
        ("ecs StopTask", json!({"cluster": "$cluster", "task": "$task"})),
        ("ecs TagResource", json!({"resourceArn": "$resource", "tags": [{"key": "$name", "value": "v"}]})),
        (
            "ecs PutClusterCapacityProviders",
            json!({"cluster": "$cluster", "capacityProviders": ["FARGATE"], "defaultCapacityProviderStrategy": []}),
        ),
    ]
}
