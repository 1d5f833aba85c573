//! Bytes as the AWS CLI sends them, and answers as its parsers want them. The requests were captured from botocore.

use gantry_types::{Timestamp, Value};
use gantry_wire::{
    Auth, AuthMode, Call, Principal, Request, Response, Services, parse_request, render_error, render_output,
};
use http::{HeaderMap, HeaderName, Method, Uri};

static SERVICES: Services = Services::new(gantry_api::SERVICES);

pub(crate) fn ask(headers: &[(&str, &str)], body: &str) -> Result<Call, Box<Response>> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    let request = Request {
        method: &Method::POST,
        uri: &Uri::from_static("/"),
        headers: &map,
        body: body.as_bytes(),
        now: Timestamp::EPOCH,
        request_id: "request-1".to_owned(),
    };
    let auth = Auth { lookup: &|_, _| None, mode: AuthMode::AcceptAny, anonymous: Principal::root() };
    parse_request(&SERVICES, &request, &auth).map_err(Box::new)
}

pub(crate) fn ecs(operation: &str, body: &str) -> Result<Call, Box<Response>> {
    let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
    ask(&[("X-Amz-Target", &target), ("Content-Type", "application/x-amz-json-1.1")], body)
}

fn form(body: &str) -> Result<Call, Box<Response>> {
    ask(&[("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")], body)
}

fn text(response: &Response) -> String {
    String::from_utf8(response.body.clone()).unwrap()
}

fn refusal(outcome: Result<Call, Box<Response>>) -> (u16, String) {
    let response = outcome.unwrap_err();
    (response.status.as_u16(), text(&response))
}

fn document(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

#[test]
fn ecs_create_service() {
    let body = r#"{"cluster": "c", "serviceName": "s", "taskDefinition": "t:1", "desiredCount": 2, "loadBalancers": [{"targetGroupArn": "arn", "containerName": "web", "containerPort": 80}], "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"], "assignPublicIp": "ENABLED"}}}"#;
    let call = ecs("CreateService", body).unwrap();
    assert_eq!((call.service.name, call.operation.name), ("ecs", "CreateService"));
    assert_eq!(call.input, document(body));
    let output = document(
        r#"{"service":{"serviceName":"s","desiredCount":2,"createdAt":{"$time":1440938160123},"events":[]}}"#,
    );
    assert_eq!(
        text(&render_output(&call, &output)),
        r#"{"service":{"createdAt":1440938160.123,"desiredCount":2,"events":[],"serviceName":"s"}}"#
    );
    let missing = gantry_api::ecs::errors::cluster_not_found_exception("Cluster not found.");
    let answer = render_error(&call, &missing);
    assert_eq!(text(&answer), r#"{"__type":"ClusterNotFoundException","message":"Cluster not found."}"#);
    assert_eq!(answer.status, 400);
}

#[test]
fn ecs_says_what_is_missing_in_its_own_words() {
    let blank = |message: &str, code: &str| (400, format!(r#"{{"__type":"{code}","message":"{message}"}}"#));
    assert_eq!(
        refusal(ecs("RegisterTaskDefinition", r#"{"containerDefinitions": []}"#)),
        blank("Family can not be blank.", "ClientException")
    );
    assert_eq!(
        refusal(ecs("DescribeServices", "{}")),
        blank("Services cannot be empty.", "InvalidParameterException")
    );
}

#[test]
fn elbv2_create_load_balancer() {
    let call = form(
        "Action=CreateLoadBalancer&Version=2015-12-01&Name=lb&Subnets.member.1=subnet-1&Subnets.member.2=subnet-2\
         &SecurityGroups.member.1=sg-1&Scheme=internet-facing&Tags.member.1.Key=k&Tags.member.1.Value=v",
    );
    let call = call.unwrap();
    assert_eq!(
        call.input,
        document(
            r#"{"Name":"lb","Subnets":["subnet-1","subnet-2"],"SecurityGroups":["sg-1"],"Scheme":"internet-facing",
                "Tags":[{"Key":"k","Value":"v"}]}"#
        )
    );
    let output = document(
        r#"{"LoadBalancers":[{"LoadBalancerName":"lb","CreatedTime":{"$time":1440938160120},"State":{"Code":"active"},
            "SecurityGroups":[]}]}"#,
    );
    assert_eq!(
        text(&render_output(&call, &output)),
        "<CreateLoadBalancerResponse xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/\">\
         <CreateLoadBalancerResult><LoadBalancers><member><CreatedTime>2015-08-30T12:36:00.120Z</CreatedTime>\
         <LoadBalancerName>lb</LoadBalancerName><SecurityGroups/><State><Code>active</Code></State></member>\
         </LoadBalancers></CreateLoadBalancerResult><ResponseMetadata><RequestId>request-1</RequestId>\
         </ResponseMetadata></CreateLoadBalancerResponse>"
    );
    let error = gantry_api::elbv2::errors::duplicate_load_balancer_name_exception("Taken.");
    assert_eq!(error.code, "DuplicateLoadBalancerName");
    assert!(
        text(&render_error(&call, &error))
            .contains("<Type>Sender</Type><Code>DuplicateLoadBalancerName</Code>")
    );
}

#[test]
fn ec2_describe_and_create() {
    let call = form(
        "Action=DescribeVpcs&Version=2016-11-15&Filter.1.Name=isDefault&Filter.1.Value.1=true&VpcId.1=vpc-1&DryRun=false",
    );
    let call = call.unwrap();
    assert_eq!(
        call.input,
        document(r#"{"Filters":[{"Name":"isDefault","Values":["true"]}],"VpcIds":["vpc-1"],"DryRun":false}"#)
    );
    let output =
        document(r#"{"Vpcs":[{"VpcId":"vpc-1","CidrBlock":"172.31.0.0/16","IsDefault":true,"Tags":[]}]}"#);
    assert_eq!(
        text(&render_output(&call, &output)),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DescribeVpcsResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
         <requestId>request-1</requestId><vpcSet><item><cidrBlock>172.31.0.0/16</cidrBlock><isDefault>true</isDefault>\
         <tagSet/><vpcId>vpc-1</vpcId></item></vpcSet></DescribeVpcsResponse>"
    );
    let call = form(
        "Action=AuthorizeSecurityGroupIngress&Version=2016-11-15&GroupId=sg-1&IpPermissions.1.IpProtocol=tcp\
         &IpPermissions.1.FromPort=80&IpPermissions.1.ToPort=80&IpPermissions.1.IpRanges.1.CidrIp=0.0.0.0%2F0\
         &TagSpecification.1.ResourceType=security-group-rule&TagSpecification.1.Tag.1.Key=k&TagSpecification.1.Tag.1.Value=v",
    );
    assert_eq!(
        call.unwrap().input,
        document(
            r#"{"GroupId":"sg-1","IpPermissions":[{"IpProtocol":"tcp","FromPort":80,"ToPort":80,
                "IpRanges":[{"CidrIp":"0.0.0.0/0"}]}],
                "TagSpecifications":[{"ResourceType":"security-group-rule","Tags":[{"Key":"k","Value":"v"}]}]}"#
        )
    );
    let call = form("Action=DeleteVpc&Version=2016-11-15&VpcId=vpc-1").unwrap();
    let answer = text(&render_output(&call, &Value::map()));
    assert!(answer.contains("<requestId>request-1</requestId><return>true</return>"), "{answer}");
    let call = form("Action=CreateSecurityGroup&Version=2016-11-15&GroupName=g&GroupDescription=d").unwrap();
    assert_eq!(call.input, document(r#"{"GroupName":"g","Description":"d"}"#));
    let (status, body) =
        refusal(form("Action=CreateSecurityGroup&Version=2016-11-15&GroupName=g&Description=d"));
    assert_eq!(status, 400);
    assert!(body.contains(
        "<Code>UnknownParameter</Code><Message>The parameter Description is not recognized</Message>"
    ));
    let (_, body) = refusal(form("Action=DeleteVpc&Version=2016-11-15"));
    assert!(body.contains(
        "<Code>MissingParameter</Code><Message>The request must contain the parameter vpcId</Message>"
    ));
}

#[test]
fn iam_says_all_that_is_wrong_at_once() {
    let (status, body) = refusal(form("Action=CreateRole&Version=2010-05-08&RoleName=a%20b"));
    assert_eq!(status, 400);
    assert!(
        body.contains(
            "<Code>ValidationError</Code><Message>2 validation errors detected: Value null at 'assumeRolePolicyDocument' \
             failed to satisfy constraint: Member must not be null; Value 'a b' at 'roleName' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: [\\w+=,.@-]+</Message>"
        ),
        "{body}"
    );
}

#[test]
fn logs_have_their_own_code_for_the_same_words() {
    let target =
        [("X-Amz-Target", "Logs_20140328.CreateLogGroup"), ("Content-Type", "application/x-amz-json-1.1")];
    let (_, body) = refusal(ask(&target, r#"{"logGroupName": "a b"}"#));
    assert_eq!(
        body,
        r#"{"__type":"InvalidParameterException","message":"1 validation error detected: Value 'a b' at 'logGroupName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+"}"#
    );
}
