//! AWS's managed policies, which exist in every account.
//!
//! Names and paths are AWS's; the documents are our own and grant the actions that the name promises.

use gantry_api::iam::Policy;
use gantry_types::Timestamp;

/// The only version that there is of each.
pub(super) const VERSION: &str = "v1";
const MADE_AT: &str = "2015-02-06T18:40:58Z";
const SERVICE_ROLE: &str = "/service-role/";
const LINKED: &str = "/aws-service-role/";

pub(super) struct ManagedPolicy {
    path: &'static str,
    name: &'static str,
    description: &'static str,
    actions: &'static [&'static str],
}

const fn policy(
    path: &'static str,
    name: &'static str,
    description: &'static str,
    actions: &'static [&'static str],
) -> ManagedPolicy {
    ManagedPolicy { path, name, description, actions }
}

pub(super) fn all() -> impl Iterator<Item = &'static ManagedPolicy> {
    POLICIES.iter()
}

pub(super) fn find(arn: &str) -> Option<&'static ManagedPolicy> {
    let resource = arn.strip_prefix("arn:aws:iam::aws:policy")?;
    all().find(|policy| resource.strip_prefix(policy.path) == Some(policy.name))
}

impl ManagedPolicy {
    pub(super) fn document(&self) -> String {
        let statement = serde_json::json!({ "Effect": "Allow", "Action": self.actions, "Resource": "*" });
        serde_json::json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string()
    }

    pub(super) fn shown(&self) -> Policy {
        let made_at = Timestamp::parse(MADE_AT);
        Policy {
            arn: Some(format!("arn:aws:iam::aws:policy{}{}", self.path, self.name)),
            attachment_count: Some(0),
            create_date: made_at,
            default_version_id: Some(VERSION.to_owned()),
            description: Some(self.description.to_owned()),
            is_attachable: Some(true),
            path: Some(self.path.to_owned()),
            permissions_boundary_usage_count: Some(0),
            policy_id: Some(self.id()),
            policy_name: Some(self.name.to_owned()),
            tags: None,
            update_date: made_at,
        }
    }

    /// The same id in every account: it comes from the name (FNV-1a seeds the generator).
    fn id(&self) -> String {
        let seed = self.name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        format!("ANPA{}", gantry_types::Ids::from_seed(seed).base32(17))
    }
}

const ECR_PULL: &[&str] = &[
    "ecr:GetAuthorizationToken",
    "ecr:BatchCheckLayerAvailability",
    "ecr:GetDownloadUrlForLayer",
    "ecr:BatchGetImage",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
];
const SSM_CORE: &[&str] = &[
    "ssm:DescribeAssociation",
    "ssm:GetDeployablePatchSnapshotForInstance",
    "ssm:GetDocument",
    "ssm:DescribeDocument",
    "ssm:GetManifest",
    "ssm:GetParameter",
    "ssm:GetParameters",
    "ssm:ListAssociations",
    "ssm:ListInstanceAssociations",
    "ssm:PutInventory",
    "ssm:PutComplianceItems",
    "ssm:UpdateAssociationStatus",
    "ssm:UpdateInstanceAssociationStatus",
    "ssm:UpdateInstanceInformation",
    "ssmmessages:*",
    "ec2messages:*",
];

static POLICIES: &[ManagedPolicy] = &[
    policy(
        SERVICE_ROLE,
        "AmazonECSTaskExecutionRolePolicy",
        "Lets ECS pull a task's images and write its logs.",
        ECR_PULL,
    ),
    policy(
        SERVICE_ROLE,
        "AmazonEC2ContainerServiceforEC2Role",
        "Lets a container instance register with ECS, pull images and write logs.",
        &[
            "ec2:DescribeTags",
            "ecs:CreateCluster",
            "ecs:DeregisterContainerInstance",
            "ecs:DiscoverPollEndpoint",
            "ecs:Poll",
            "ecs:RegisterContainerInstance",
            "ecs:StartTelemetrySession",
            "ecs:Submit*",
            "ecs:TagResource",
            "ecs:UpdateContainerInstancesState",
            "ecr:GetAuthorizationToken",
            "ecr:BatchCheckLayerAvailability",
            "ecr:GetDownloadUrlForLayer",
            "ecr:BatchGetImage",
            "logs:CreateLogStream",
            "logs:PutLogEvents",
        ],
    ),
    policy(
        SERVICE_ROLE,
        "AmazonEC2ContainerServiceRole",
        "Lets ECS register container instances with load balancers.",
        &[
            "ec2:AuthorizeSecurityGroupIngress",
            "ec2:Describe*",
            "elasticloadbalancing:DeregisterInstancesFromLoadBalancer",
            "elasticloadbalancing:DeregisterTargets",
            "elasticloadbalancing:Describe*",
            "elasticloadbalancing:RegisterInstancesWithLoadBalancer",
            "elasticloadbalancing:RegisterTargets",
        ],
    ),
    policy(
        SERVICE_ROLE,
        "AmazonEC2ContainerServiceAutoscaleRole",
        "Lets Application Auto Scaling change an ECS service's desired count.",
        &[
            "ecs:DescribeServices",
            "ecs:UpdateService",
            "cloudwatch:DescribeAlarms",
            "cloudwatch:PutMetricAlarm",
        ],
    ),
    policy(
        SERVICE_ROLE,
        "AmazonEC2ContainerServiceEventsRole",
        "Lets EventBridge run ECS tasks.",
        &["ecs:RunTask", "ecs:TagResource", "iam:PassRole"],
    ),
    policy(
        SERVICE_ROLE,
        "AmazonECSInfrastructureRolePolicyForVolumes",
        "Lets ECS manage the EBS volumes of tasks.",
        &[
            "ec2:AttachVolume",
            "ec2:CreateTags",
            "ec2:CreateVolume",
            "ec2:DeleteVolume",
            "ec2:Describe*",
            "ec2:DetachVolume",
        ],
    ),
    policy(
        SERVICE_ROLE,
        "AWSCodeDeployRole",
        "Lets CodeDeploy read tags, change Auto Scaling groups and switch load balancers.",
        &[
            "autoscaling:*",
            "cloudwatch:DescribeAlarms",
            "cloudwatch:PutMetricAlarm",
            "ec2:DescribeInstances",
            "ec2:DescribeInstanceStatus",
            "ec2:TerminateInstances",
            "elasticloadbalancing:*",
            "sns:Publish",
            "tag:GetResources",
        ],
    ),
    policy(
        SERVICE_ROLE,
        "AmazonAPIGatewayPushToCloudWatchLogs",
        "Lets API Gateway write logs.",
        &[
            "logs:CreateLogGroup",
            "logs:CreateLogStream",
            "logs:DescribeLogGroups",
            "logs:DescribeLogStreams",
            "logs:FilterLogEvents",
            "logs:GetLogEvents",
            "logs:PutLogEvents",
        ],
    ),
    policy(
        SERVICE_ROLE,
        "AmazonEC2RoleforSSM",
        "Lets Systems Manager work on an instance; AmazonSSMManagedInstanceCore replaces it.",
        SSM_CORE,
    ),
    policy(
        SERVICE_ROLE,
        "AWSLambdaBasicExecutionRole",
        "Lets a function write logs.",
        &["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
    ),
    policy(
        SERVICE_ROLE,
        "AmazonSSMAutomationRole",
        "Lets Systems Manager run automations.",
        &["ssm:*", "ec2:Describe*", "ec2:StartInstances", "ec2:StopInstances", "cloudformation:Describe*"],
    ),
    policy(
        "/",
        "AWSCodeDeployRoleForECS",
        "Lets CodeDeploy run blue/green deployments of ECS services.",
        &[
            "ecs:DescribeServices",
            "ecs:CreateTaskSet",
            "ecs:UpdateServicePrimaryTaskSet",
            "ecs:DeleteTaskSet",
            "elasticloadbalancing:Describe*",
            "elasticloadbalancing:ModifyListener",
            "elasticloadbalancing:ModifyRule",
            "lambda:InvokeFunction",
            "cloudwatch:DescribeAlarms",
            "sns:Publish",
            "s3:GetObject",
            "s3:GetObjectVersion",
            "iam:PassRole",
        ],
    ),
    policy(
        "/",
        "AWSCodeDeployRoleForECSLimited",
        "Lets CodeDeploy run blue/green deployments of ECS services, with fewer permissions.",
        &[
            "ecs:DescribeServices",
            "ecs:CreateTaskSet",
            "ecs:UpdateServicePrimaryTaskSet",
            "ecs:DeleteTaskSet",
            "elasticloadbalancing:Describe*",
            "elasticloadbalancing:ModifyListener",
            "elasticloadbalancing:ModifyRule",
            "cloudwatch:DescribeAlarms",
            "iam:PassRole",
        ],
    ),
    policy("/", "AWSCodeDeployFullAccess", "Everything in CodeDeploy.", &["codedeploy:*"]),
    policy(
        "/",
        "AWSCodeDeployDeployerAccess",
        "Lets deploy with CodeDeploy.",
        &[
            "codedeploy:Batch*",
            "codedeploy:CreateDeployment",
            "codedeploy:Get*",
            "codedeploy:List*",
            "codedeploy:RegisterApplicationRevision",
        ],
    ),
    policy(
        "/",
        "AmazonEC2ContainerRegistryReadOnly",
        "Reads images and repositories of ECR.",
        &[
            "ecr:GetAuthorizationToken",
            "ecr:BatchCheckLayerAvailability",
            "ecr:BatchGetImage",
            "ecr:Describe*",
            "ecr:Get*",
            "ecr:List*",
        ],
    ),
    policy(
        "/",
        "AmazonEC2ContainerRegistryPowerUser",
        "Reads and pushes images of ECR.",
        &[
            "ecr:GetAuthorizationToken",
            "ecr:BatchCheckLayerAvailability",
            "ecr:BatchGetImage",
            "ecr:CompleteLayerUpload",
            "ecr:Describe*",
            "ecr:Get*",
            "ecr:InitiateLayerUpload",
            "ecr:List*",
            "ecr:PutImage",
            "ecr:UploadLayerPart",
        ],
    ),
    policy(
        "/",
        "AmazonEC2ContainerRegistryPullOnly",
        "Pulls images of ECR.",
        &[
            "ecr:GetAuthorizationToken",
            "ecr:BatchImportUpstreamImage",
            "ecr:BatchGetImage",
            "ecr:GetDownloadUrlForLayer",
        ],
    ),
    policy(
        "/",
        "AmazonEC2ContainerRegistryFullAccess",
        "Everything in ECR.",
        &["ecr:*", "cloudtrail:LookupEvents", "iam:CreateServiceLinkedRole"],
    ),
    policy(
        "/",
        "AmazonECS_FullAccess",
        "Everything in ECS, and what its services use.",
        &[
            "ecs:*",
            "application-autoscaling:*",
            "autoscaling:*",
            "cloudwatch:*",
            "codedeploy:*",
            "ec2:Describe*",
            "elasticloadbalancing:*",
            "iam:PassRole",
            "iam:List*",
            "iam:CreateServiceLinkedRole",
            "logs:*",
            "servicediscovery:*",
        ],
    ),
    policy(
        "/",
        "AmazonECSInfrastructureRolePolicyForLoadBalancers",
        "Lets ECS move traffic between target groups in a deployment.",
        &[
            "elasticloadbalancing:DeregisterTargets",
            "elasticloadbalancing:Describe*",
            "elasticloadbalancing:ModifyListener",
            "elasticloadbalancing:ModifyRule",
            "elasticloadbalancing:RegisterTargets",
        ],
    ),
    policy("/", "AmazonSSMManagedInstanceCore", "Lets Systems Manager work on an instance.", SSM_CORE),
    policy(
        "/",
        "AmazonSSMReadOnlyAccess",
        "Reads Systems Manager.",
        &["ssm:Describe*", "ssm:Get*", "ssm:List*"],
    ),
    policy(
        "/",
        "AmazonSSMFullAccess",
        "Everything in Systems Manager.",
        &["ssm:*", "ec2messages:*", "ssmmessages:*"],
    ),
    policy(
        "/",
        "AWSXRayDaemonWriteAccess",
        "Lets a daemon send traces and read sampling rules.",
        &[
            "xray:PutTraceSegments",
            "xray:PutTelemetryRecords",
            "xray:GetSamplingRules",
            "xray:GetSamplingTargets",
            "xray:GetSamplingStatisticSummaries",
        ],
    ),
    policy("/", "AWSXrayFullAccess", "Everything in X-Ray.", &["xray:*"]),
    policy("/", "AWSXrayReadOnlyAccess", "Reads X-Ray.", &["xray:BatchGet*", "xray:Get*", "xray:List*"]),
    policy(
        "/",
        "AWSXrayWriteOnlyAccess",
        "Sends traces and reads sampling rules.",
        &[
            "xray:PutTraceSegments",
            "xray:PutTelemetryRecords",
            "xray:GetSamplingRules",
            "xray:GetSamplingTargets",
            "xray:GetSamplingStatisticSummaries",
        ],
    ),
    policy(
        "/",
        "CloudWatchAgentServerPolicy",
        "Lets the CloudWatch agent send metrics, logs and traces.",
        &[
            "cloudwatch:PutMetricData",
            "ec2:DescribeVolumes",
            "ec2:DescribeTags",
            "logs:CreateLogGroup",
            "logs:CreateLogStream",
            "logs:DescribeLogGroups",
            "logs:DescribeLogStreams",
            "logs:PutLogEvents",
            "logs:PutRetentionPolicy",
            "ssm:GetParameter",
            "xray:PutTraceSegments",
            "xray:PutTelemetryRecords",
            "xray:GetSampling*",
        ],
    ),
    policy(
        "/",
        "CloudWatchLogsFullAccess",
        "Everything in CloudWatch Logs.",
        &["logs:*", "cloudwatch:GenerateQuery"],
    ),
    policy(
        "/",
        "CloudWatchLogsReadOnlyAccess",
        "Reads CloudWatch Logs.",
        &[
            "logs:Describe*",
            "logs:Get*",
            "logs:List*",
            "logs:StartQuery",
            "logs:StopQuery",
            "logs:TestMetricFilter",
            "logs:FilterLogEvents",
            "logs:StartLiveTail",
            "logs:StopLiveTail",
        ],
    ),
    policy(
        "/",
        "CloudWatchFullAccess",
        "Everything in CloudWatch.",
        &["cloudwatch:*", "logs:*", "sns:*", "autoscaling:Describe*"],
    ),
    policy(
        "/",
        "CloudWatchReadOnlyAccess",
        "Reads CloudWatch.",
        &[
            "cloudwatch:Describe*",
            "cloudwatch:Get*",
            "cloudwatch:List*",
            "logs:Describe*",
            "logs:Get*",
            "logs:FilterLogEvents",
            "autoscaling:Describe*",
        ],
    ),
    policy(
        "/",
        "ElasticLoadBalancingFullAccess",
        "Everything in Elastic Load Balancing.",
        &["elasticloadbalancing:*", "ec2:Describe*", "iam:CreateServiceLinkedRole"],
    ),
    policy(
        "/",
        "ElasticLoadBalancingReadOnly",
        "Reads Elastic Load Balancing.",
        &["elasticloadbalancing:Describe*", "elasticloadbalancing:Get*", "ec2:Describe*"],
    ),
    policy(
        "/",
        "AutoScalingFullAccess",
        "Everything in EC2 Auto Scaling.",
        &[
            "autoscaling:*",
            "cloudwatch:PutMetricAlarm",
            "ec2:Describe*",
            "elasticloadbalancing:Describe*",
            "iam:CreateServiceLinkedRole",
        ],
    ),
    policy("/", "AutoScalingReadOnlyAccess", "Reads EC2 Auto Scaling.", &["autoscaling:Describe*"]),
    policy(
        "/",
        "AmazonEC2FullAccess",
        "Everything in EC2.",
        &["ec2:*", "elasticloadbalancing:*", "cloudwatch:*", "autoscaling:*", "iam:CreateServiceLinkedRole"],
    ),
    policy(
        "/",
        "AmazonEC2ReadOnlyAccess",
        "Reads EC2.",
        &[
            "ec2:Describe*",
            "ec2:Get*",
            "elasticloadbalancing:Describe*",
            "cloudwatch:Describe*",
            "cloudwatch:Get*",
            "cloudwatch:List*",
            "autoscaling:Describe*",
        ],
    ),
    policy("/", "AmazonVPCFullAccess", "Everything in VPC.", &["ec2:*"]),
    policy("/", "AmazonVPCReadOnlyAccess", "Reads VPC.", &["ec2:Describe*", "ec2:Get*"]),
    policy("/", "AWSCloudFormationFullAccess", "Everything in CloudFormation.", &["cloudformation:*"]),
    policy(
        "/",
        "AWSCloudFormationReadOnlyAccess",
        "Reads CloudFormation.",
        &[
            "cloudformation:Describe*",
            "cloudformation:EstimateTemplateCost",
            "cloudformation:Get*",
            "cloudformation:List*",
            "cloudformation:ValidateTemplate",
        ],
    ),
    policy("/", "AmazonS3FullAccess", "Everything in S3.", &["s3:*", "s3-object-lambda:*"]),
    policy("/", "AmazonS3ReadOnlyAccess", "Reads S3.", &["s3:Get*", "s3:List*", "s3:Describe*"]),
    policy("/", "AmazonDynamoDBFullAccess", "Everything in DynamoDB.", &["dynamodb:*", "dax:*"]),
    policy(
        "/",
        "AmazonDynamoDBReadOnlyAccess",
        "Reads DynamoDB.",
        &[
            "dynamodb:BatchGetItem",
            "dynamodb:Describe*",
            "dynamodb:GetItem",
            "dynamodb:List*",
            "dynamodb:Query",
            "dynamodb:Scan",
        ],
    ),
    policy("/", "AmazonSQSFullAccess", "Everything in SQS.", &["sqs:*"]),
    policy("/", "AmazonSNSFullAccess", "Everything in SNS.", &["sns:*"]),
    policy("/", "AmazonKinesisFullAccess", "Everything in Kinesis.", &["kinesis:*"]),
    policy(
        "/",
        "SecretsManagerReadWrite",
        "Everything in Secrets Manager.",
        &["secretsmanager:*", "kms:DescribeKey", "kms:ListAliases"],
    ),
    policy("/", "AmazonAPIGatewayAdministrator", "Everything in API Gateway.", &["apigateway:*"]),
    policy(
        "/",
        "AmazonAPIGatewayInvokeFullAccess",
        "Calls APIs of API Gateway.",
        &["execute-api:Invoke", "execute-api:ManageConnections"],
    ),
    policy(
        "/",
        "IAMFullAccess",
        "Everything in IAM.",
        &["iam:*", "organizations:Describe*", "organizations:List*"],
    ),
    policy(
        "/",
        "IAMReadOnlyAccess",
        "Reads IAM.",
        &["iam:GenerateCredentialReport", "iam:Get*", "iam:List*", "iam:SimulateCustomPolicy"],
    ),
    policy("/", "AdministratorAccess", "Everything.", &["*"]),
    policy(
        "/",
        "ReadOnlyAccess",
        "Reads everything.",
        &[
            "application-autoscaling:Describe*",
            "autoscaling:Describe*",
            "cloudformation:Describe*",
            "cloudformation:Get*",
            "cloudformation:List*",
            "cloudwatch:Describe*",
            "cloudwatch:Get*",
            "cloudwatch:List*",
            "codedeploy:BatchGet*",
            "codedeploy:Get*",
            "codedeploy:List*",
            "dynamodb:BatchGet*",
            "dynamodb:Describe*",
            "dynamodb:Get*",
            "dynamodb:List*",
            "dynamodb:Query",
            "dynamodb:Scan",
            "ec2:Describe*",
            "ec2:Get*",
            "ecr:BatchGet*",
            "ecr:Describe*",
            "ecr:Get*",
            "ecr:List*",
            "ecs:Describe*",
            "ecs:List*",
            "elasticloadbalancing:Describe*",
            "iam:Get*",
            "iam:List*",
            "kinesis:Describe*",
            "kinesis:Get*",
            "kinesis:List*",
            "logs:Describe*",
            "logs:FilterLogEvents",
            "logs:Get*",
            "s3:Get*",
            "s3:List*",
            "sns:Get*",
            "sns:List*",
            "sqs:Get*",
            "sqs:List*",
            "ssm:Describe*",
            "ssm:Get*",
            "ssm:List*",
            "tag:Get*",
            "xray:BatchGet*",
            "xray:Get*",
        ],
    ),
    policy(
        LINKED,
        "AmazonECSServiceRolePolicy",
        "What ECS itself does in an account.",
        &[
            "ec2:AttachNetworkInterface",
            "ec2:CreateNetworkInterface",
            "ec2:CreateNetworkInterfacePermission",
            "ec2:CreateTags",
            "ec2:DeleteNetworkInterface",
            "ec2:Describe*",
            "ec2:DetachNetworkInterface",
            "elasticloadbalancing:DeregisterTargets",
            "elasticloadbalancing:Describe*",
            "elasticloadbalancing:RegisterTargets",
            "autoscaling:*",
            "cloudwatch:*",
            "logs:CreateLogGroup",
            "logs:CreateLogStream",
            "logs:DescribeLogGroups",
            "logs:PutLogEvents",
            "servicediscovery:*",
        ],
    ),
    policy(
        LINKED,
        "AWSElasticLoadBalancingServiceRolePolicy",
        "What Elastic Load Balancing itself does in an account.",
        &["ec2:Describe*", "ec2:AssociateAddress", "ec2:CreateNetworkInterface", "ec2:CreateSecurityGroup"],
    ),
    policy(
        LINKED,
        "AutoScalingServiceRolePolicy",
        "What EC2 Auto Scaling itself does in an account.",
        &["ec2:*", "cloudwatch:*", "elasticloadbalancing:*", "iam:PassRole", "sns:Publish"],
    ),
    policy(
        LINKED,
        "AWSApplicationAutoscalingECSServicePolicy",
        "Lets Application Auto Scaling change an ECS service's desired count.",
        &[
            "ecs:DescribeServices",
            "ecs:UpdateService",
            "cloudwatch:DeleteAlarms",
            "cloudwatch:DescribeAlarms",
            "cloudwatch:PutMetricAlarm",
        ],
    ),
    policy(
        LINKED,
        "AWSEC2SpotServiceRolePolicy",
        "What EC2 Spot itself does in an account.",
        &["ec2:DescribeInstances", "ec2:RunInstances", "ec2:StopInstances"],
    ),
    policy(
        LINKED,
        "APIGatewayServiceRolePolicy",
        "What API Gateway itself does in an account.",
        &[
            "elasticloadbalancing:Describe*",
            "logs:*LogDelivery",
            "servicediscovery:DiscoverInstances",
            "xray:Put*",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::documents::{DocumentKind, check};
    use super::*;

    #[test]
    fn every_policy_is_valid_and_found_by_its_own_arn() {
        let (mut names, mut ids) = (BTreeSet::new(), BTreeSet::new());
        for policy in all() {
            check(&policy.document(), DocumentKind::Identity).unwrap();
            let shown = policy.shown();
            assert_eq!(find(shown.arn.as_deref().unwrap()).unwrap().name, policy.name);
            assert!(names.insert(policy.name), "{} stands twice", policy.name);
            assert!(ids.insert(shown.policy_id), "the id of {} stands twice", policy.name);
        }
        for wrong in [
            "arn:aws:iam::aws:policy/AmazonECSTaskExecutionRolePolicy",
            "arn:aws:iam::aws:policy/service-role/AdministratorAccess",
            "arn:aws:iam::123456789012:policy/AdministratorAccess",
        ] {
            assert!(find(wrong).is_none(), "{wrong}");
        }
    }
}
