//! What is done to every type, and what has to come of it.

use serde_json::{Value as Json, json};

/// One type's life.
pub(super) struct Life {
    pub(super) kind: &'static str,
    pub(super) logical_id: &'static str,
    pub(super) properties: Json,
    /// What `Ref` gives; `*` stands for any text.
    pub(super) reference: &'static str,
    /// What `GetAtt` gives.
    pub(super) attributes: Json,
    /// Properties that change in place, over the first ones; null takes one away.
    pub(super) changed: Json,
    /// What the service shows then: an operation, its input, where in its output, and what stands there.
    pub(super) shown: (&'static str, Json, &'static str, Json),
    /// Properties that need a new thing.
    pub(super) replaced: Json,
}

pub(super) fn identity() -> Vec<Life> {
    let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}]});
    let allow = |action: &str| json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]});
    vec![
        Life {
            kind: "AWS::IAM::Role",
            logical_id: "Role",
            properties: json!({"AssumeRolePolicyDocument": trust, "Path": "/app/",
                "ManagedPolicyArns": ["arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"],
                "Policies": [{"PolicyName": "one", "PolicyDocument": allow("s3:*")}]}),
            reference: "stack-Role-*",
            attributes: json!({"Arn": "arn:aws:iam::123456789012:role/app/stack-Role-*", "RoleId": "AROA*"}),
            changed: json!({"ManagedPolicyArns": null, "Policies": [{"PolicyName": "two", "PolicyDocument": allow("ecs:*")}], "MaxSessionDuration": "7200"}),
            shown: ("iam ListRolePolicies", json!({"RoleName": "${Role}"}), "PolicyNames", json!(["two"])),
            replaced: json!({"Path": "/other/"}),
        },
        Life {
            kind: "AWS::IAM::User",
            logical_id: "User",
            properties: json!({"ManagedPolicyArns": ["arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"]}),
            reference: "stack-User-*",
            attributes: json!({"Arn": "arn:aws:iam::123456789012:user/stack-User-*"}),
            changed: json!({"ManagedPolicyArns": null, "Policies": [{"PolicyName": "own", "PolicyDocument": allow("s3:*")}]}),
            shown: ("iam ListUserPolicies", json!({"UserName": "${User}"}), "PolicyNames", json!(["own"])),
            replaced: json!({"Path": "/other/"}),
        },
        Life {
            kind: "AWS::IAM::AccessKey",
            logical_id: "Key",
            properties: json!({"UserName": "${User}"}),
            reference: "AKIA*",
            attributes: json!({"SecretAccessKey": "*"}),
            changed: json!({"Status": "Active"}),
            shown: (
                "iam ListAccessKeys",
                json!({"UserName": "${User}"}),
                "AccessKeyMetadata.0.AccessKeyId",
                json!("${Key}"),
            ),
            replaced: json!({"Serial": 2}),
        },
        Life {
            kind: "AWS::IAM::Policy",
            logical_id: "Policy",
            properties: json!({"PolicyName": "shared", "PolicyDocument": allow("s3:*"), "Roles": ["${Role}"]}),
            reference: "stack-Policy-*",
            attributes: json!({"Id": "stack-Policy-*"}),
            changed: json!({"Roles": null, "Users": ["${User}"]}),
            shown: ("iam ListUserPolicies", json!({"UserName": "${User}"}), "PolicyNames", json!(["shared"])),
            replaced: Json::Null,
        },
        Life {
            kind: "AWS::IAM::ManagedPolicy",
            logical_id: "Managed",
            properties: json!({"PolicyDocument": allow("s3:*"), "Roles": ["${Role}"], "Path": "/app/"}),
            reference: "arn:aws:iam::123456789012:policy/app/stack-Managed-*",
            attributes: json!({"PolicyArn": "arn:aws:iam::*", "PolicyId": "ANPA*", "DefaultVersionId": "v1", "IsAttachable": true, "AttachmentCount": 1}),
            changed: json!({"PolicyDocument": allow("ecs:*"), "Roles": null, "Users": ["${User}"]}),
            shown: (
                "iam ListAttachedUserPolicies",
                json!({"UserName": "${User}"}),
                "AttachedPolicies.1.PolicyArn",
                json!("${Managed}"),
            ),
            replaced: json!({"Description": "another"}),
        },
        Life {
            kind: "AWS::IAM::InstanceProfile",
            logical_id: "Profile",
            properties: json!({"Roles": ["${Role}"]}),
            reference: "stack-Profile-*",
            attributes: json!({"Arn": "arn:aws:iam::123456789012:instance-profile/stack-Profile-*"}),
            changed: json!({}),
            shown: (
                "iam GetInstanceProfile",
                json!({"InstanceProfileName": "${Profile}"}),
                "InstanceProfile.Roles.0.RoleName",
                json!("${Role}"),
            ),
            replaced: json!({"Path": "/other/"}),
        },
    ]
}

pub(super) fn records() -> Vec<Life> {
    vec![
        Life {
            kind: "AWS::Logs::LogGroup",
            logical_id: "Logs",
            properties: json!({"RetentionInDays": "1", "Tags": [{"Key": "a", "Value": "1"}]}),
            reference: "stack-Logs-*",
            attributes: json!({"Arn": "arn:aws:logs:us-east-1:123456789012:log-group:stack-Logs-*:*"}),
            changed: json!({"RetentionInDays": 7, "Tags": null}),
            shown: (
                "logs DescribeLogGroups",
                json!({"logGroupNamePrefix": "${Logs}"}),
                "logGroups.0.retentionInDays",
                json!(7),
            ),
            replaced: json!({"LogGroupName": "/ecs/other"}),
        },
        Life {
            kind: "AWS::Logs::LogStream",
            logical_id: "Stream",
            properties: json!({"LogGroupName": "${Logs}", "LogStreamName": "one"}),
            reference: "one",
            attributes: json!({}),
            changed: json!({}),
            shown: (
                "logs DescribeLogStreams",
                json!({"logGroupName": "${Logs}"}),
                "logStreams.0.logStreamName",
                json!("one"),
            ),
            replaced: json!({"LogStreamName": "two"}),
        },
        Life {
            kind: "AWS::SSM::Parameter",
            logical_id: "Parameter",
            properties: json!({"Type": "String", "Value": 8080, "Name": "/shop/port", "Tags": {"a": "b"}}),
            reference: "/shop/port",
            attributes: json!({"Type": "String", "Value": "8080"}),
            changed: json!({"Value": "9090", "Tags": null}),
            shown: ("ssm GetParameter", json!({"Name": "/shop/port"}), "Parameter.Value", json!("9090")),
            replaced: json!({"Name": "/shop/other"}),
        },
        Life {
            kind: "AWS::ECR::Repository",
            logical_id: "Repository",
            properties: json!({"ImageTagMutability": "IMMUTABLE", "RepositoryPolicyText": {"Version": "2012-10-17", "Statement": []}}),
            reference: "stack-repository-*",
            attributes: json!({"Arn": "arn:aws:ecr:us-east-1:123456789012:repository/stack-repository-*", "RepositoryUri": "*/stack-repository-*"}),
            changed: json!({"ImageTagMutability": null, "RepositoryPolicyText": null, "ImageScanningConfiguration": {"ScanOnPush": "true"}}),
            shown: (
                "ecr DescribeRepositories",
                json!({"repositoryNames": ["${Repository}"]}),
                "repositories.0.imageTagMutability",
                json!("MUTABLE"),
            ),
            replaced: json!({"RepositoryName": "other"}),
        },
    ]
}

pub(super) fn balancing() -> Vec<Life> {
    let forward = json!([{"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": "${Targets}", "Weight": "1"}]}}]);
    let fixed = json!([{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404", "ContentType": "text/plain"}}]);
    vec![
        Life {
            kind: "AWS::ElasticLoadBalancingV2::LoadBalancer",
            logical_id: "Balancer",
            properties: json!({"Subnets": ["${Subnet}", "${OtherSubnet}"], "SecurityGroups": ["${Group}"], "Scheme": "internal",
                "LoadBalancerAttributes": [{"Key": "idle_timeout.timeout_seconds", "Value": 30}]}),
            reference: "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/stack-Balan-*/*",
            attributes: json!({"DNSName": "*", "CanonicalHostedZoneID": "Z*", "LoadBalancerFullName": "app/stack-Balan-*/*", "LoadBalancerName": "stack-Balan-*"}),
            changed: json!({"LoadBalancerAttributes": [{"Key": "idle_timeout.timeout_seconds", "Value": "45"}]}),
            shown: (
                "elbv2 DescribeTags",
                json!({"ResourceArns": ["${Balancer}"]}),
                "TagDescriptions.0.Tags.0.Key",
                json!("aws:cloudformation:logical-id"),
            ),
            replaced: json!({"Scheme": "internet-facing"}),
        },
        Life {
            kind: "AWS::ElasticLoadBalancingV2::TargetGroup",
            logical_id: "Targets",
            properties: json!({"VpcId": "${Vpc}", "Port": 80, "Protocol": "HTTP", "TargetType": "ip", "HealthCheckIntervalSeconds": "10", "HealthCheckTimeoutSeconds": 5,
                "TargetGroupAttributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": "15"}], "Targets": [{"Id": "10.0.0.10", "Port": 80}]}),
            reference: "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/stack-Targe-*/*",
            attributes: json!({"TargetGroupFullName": "targetgroup/stack-Targe-*/*", "TargetGroupName": "stack-Targe-*", "LoadBalancerArns": []}),
            changed: json!({"HealthCheckPath": "/health", "Matcher": {"HttpCode": "200-299"}, "Targets": null}),
            shown: (
                "elbv2 DescribeTargetGroups",
                json!({"TargetGroupArns": ["${Targets}"]}),
                "TargetGroups.0.HealthCheckPath",
                json!("/health"),
            ),
            replaced: json!({"Port": 81}),
        },
        Life {
            kind: "AWS::ElasticLoadBalancingV2::Listener",
            logical_id: "Listener",
            properties: json!({"LoadBalancerArn": "${Balancer}", "Port": 80, "Protocol": "HTTP", "DefaultActions": forward}),
            reference: "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/stack-Balan-*/*/*",
            attributes: json!({"ListenerArn": "arn:*"}),
            changed: json!({"Port": 8080}),
            shown: (
                "elbv2 DescribeListeners",
                json!({"ListenerArns": ["${Listener}"]}),
                "Listeners.0.Port",
                json!(8080),
            ),
            replaced: Json::Null,
        },
        Life {
            kind: "AWS::ElasticLoadBalancingV2::ListenerRule",
            logical_id: "Rule",
            properties: json!({"ListenerArn": "${Listener}", "Priority": "1", "Conditions": [{"Field": "path-pattern", "Values": ["*/todos*"]}], "Actions": fixed}),
            reference: "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener-rule/app/stack-Balan-*/*/*/*",
            attributes: json!({"IsDefault": false, "RuleArn": "arn:*"}),
            changed: json!({"Priority": 7, "Conditions": [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/x"]}}]}),
            shown: ("elbv2 DescribeRules", json!({"RuleArns": ["${Rule}"]}), "Rules.0.Priority", json!("7")),
            replaced: Json::Null,
        },
    ]
}

pub(super) fn containers() -> Vec<Life> {
    let container = |image: &str| {
        json!([{"Name": "web", "Image": image, "Essential": "true", "Memory": "128", "PortMappings": [{"ContainerPort": "8000"}],
        "Environment": [{"Name": "PORT", "Value": 8000}], "LogConfiguration": {"LogDriver": "awslogs", "Options": {"awslogs-group": "${Logs}", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "web"}}}])
    };
    vec![
        Life {
            kind: "AWS::ECS::Cluster",
            logical_id: "Cluster",
            properties: json!({"ClusterSettings": [{"Name": "containerInsights", "Value": "enabled"}]}),
            reference: "stack-Cluster-*",
            attributes: json!({"Arn": "arn:aws:ecs:us-east-1:123456789012:cluster/stack-Cluster-*"}),
            changed: json!({"CapacityProviders": ["FARGATE"]}),
            shown: (
                "ecs DescribeClusters",
                json!({"clusters": ["${Cluster}"]}),
                "clusters.0.capacityProviders",
                json!(["FARGATE"]),
            ),
            replaced: json!({"ClusterName": "other"}),
        },
        Life {
            kind: "AWS::ECS::ClusterCapacityProviderAssociations",
            logical_id: "Providers",
            properties: json!({"Cluster": "${Cluster}", "CapacityProviders": ["FARGATE", "FARGATE_SPOT"], "DefaultCapacityProviderStrategy": []}),
            reference: "other",
            attributes: json!({}),
            changed: json!({"DefaultCapacityProviderStrategy": [{"CapacityProvider": "FARGATE", "Weight": "1"}]}),
            shown: (
                "ecs DescribeClusters",
                json!({"clusters": ["${Cluster}"]}),
                "clusters.0.defaultCapacityProviderStrategy.0.weight",
                json!(1),
            ),
            replaced: Json::Null,
        },
        Life {
            kind: "AWS::ECS::TaskDefinition",
            logical_id: "Definition",
            properties: json!({"Family": "web", "Cpu": 256, "Memory": "512", "NetworkMode": "awsvpc", "RequiresCompatibilities": ["FARGATE"],
                "ExecutionRoleArn": "${Role.Arn}", "ContainerDefinitions": container("web:1")}),
            reference: "arn:aws:ecs:us-east-1:123456789012:task-definition/web:*",
            attributes: json!({"TaskDefinitionArn": "arn:*"}),
            changed: json!({"Tags": [{"Key": "a", "Value": "b"}]}),
            shown: (
                "ecs ListTagsForResource",
                json!({"resourceArn": "${Definition}"}),
                "tags.2.key",
                json!("a"),
            ),
            replaced: json!({"ContainerDefinitions": container("web:2")}),
        },
        Life {
            kind: "AWS::ECS::Service",
            logical_id: "Service",
            properties: json!({"Cluster": "${Cluster}", "TaskDefinition": "${Definition}", "DesiredCount": "0", "LaunchType": "FARGATE",
                "NetworkConfiguration": {"AwsvpcConfiguration": {"Subnets": ["${Subnet}"], "SecurityGroups": ["${Group}"], "AssignPublicIp": "ENABLED"}},
                "LoadBalancers": [{"ContainerName": "web", "ContainerPort": "8000", "TargetGroupArn": "${Targets}"}],
                "DeploymentConfiguration": {"MinimumHealthyPercent": 100, "MaximumPercent": 200, "DeploymentCircuitBreaker": {"Enable": true, "Rollback": "true"}}}),
            reference: "arn:aws:ecs:us-east-1:123456789012:service/other/stack-Service-*",
            attributes: json!({"Name": "stack-Service-*", "ServiceArn": "arn:*"}),
            changed: json!({"DesiredCount": null, "LoadBalancers": null, "DeploymentConfiguration": {"MaximumPercent": 150}, "ForceNewDeployment": {"EnableForceNewDeployment": true, "ForceNewDeploymentNonce": "1"}}),
            shown: (
                "ecs DescribeServices",
                json!({"cluster": "${Cluster}", "services": ["${Service}"]}),
                "services.0.deploymentConfiguration.maximumPercent",
                json!(150),
            ),
            replaced: json!({"ServiceName": "other"}),
        },
    ]
}
