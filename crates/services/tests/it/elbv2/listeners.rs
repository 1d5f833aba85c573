//! Listeners and their actions.

use serde_json::{Value as Json, json};

use super::{Fixture, forward, listener_input, with};
use crate::world::Answer as _;

const VALIDATION: &str = "ValidationError";
const CONFIGURATION: &str = "InvalidConfigurationRequest";
const ACTION: &str = "InvalidLoadBalancerAction";

#[tokio::test]
async fn a_listener_lives() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let balancer = fixture.balancer("site").await;
    let (group, other) = (fixture.group("site").await, fixture.group("other").await);
    let made =
        world.ok("elbv2 CreateListener", listener_input(&balancer, 80, &group)).await["Listeners"][0].clone();
    let arn = made["ListenerArn"].text();
    assert!(arn.starts_with(&format!("{}/", balancer.replace(":loadbalancer/", ":listener/"))), "{arn}");
    assert_eq!((&made["Protocol"], &made["Port"]), (&json!("HTTP"), &json!(80)));
    let action = json!([{
        "Type": "forward",
        "TargetGroupArn": group,
        "ForwardConfig": {
            "TargetGroups": [{"TargetGroupArn": group, "Weight": 1}],
            "TargetGroupStickinessConfig": {"Enabled": false},
        },
    }]);
    assert_eq!(made["DefaultActions"], action);
    // The same again is the same; other actions on a used port are not.
    let again = world.ok("elbv2 CreateListener", listener_input(&balancer, 80, &group)).await;
    assert_eq!(again["Listeners"][0]["ListenerArn"], json!(arn));
    let wording = format!("A listener already exists on this port for this load balancer '{balancer}'");
    world
        .refuses("elbv2 CreateListener", listener_input(&balancer, 80, &other), "DuplicateListener", &wording)
        .await;
    let second = fixture.listener(&balancer, 8080, &other).await;
    world
        .refuses(
            "elbv2 ModifyListener",
            json!({"ListenerArn": second, "Port": 80}),
            "DuplicateListener",
            &wording,
        )
        .await;
    let moved = world.ok("elbv2 ModifyListener", json!({"ListenerArn": second, "Port": 81})).await;
    assert_eq!(
        (&moved["Listeners"][0]["Port"], &moved["Listeners"][0]["DefaultActions"][0]["TargetGroupArn"]),
        (&json!(81), &json!(other))
    );
    for (input, count) in [
        (json!({"LoadBalancerArn": balancer}), 2),
        (json!({"ListenerArns": [arn]}), 1),
        (json!({"ListenerArns": [arn, second]}), 2),
        (json!({"LoadBalancerArn": balancer, "PageSize": 1}), 1),
    ] {
        let found = world.ok("elbv2 DescribeListeners", input.clone()).await;
        assert_eq!(found["Listeners"].list().len(), count, "{input}");
    }
    world.refuses("elbv2 DescribeListeners", json!({}), VALIDATION, "You must specify either").await;
    let both = json!({"LoadBalancerArn": balancer, "ListenerArns": [arn]});
    world.refuses("elbv2 DescribeListeners", both, VALIDATION, "at the same time").await;
    assert_eq!(
        world.ok("elbv2 DescribeListenerCertificates", json!({"ListenerArn": arn})).await["Certificates"],
        json!([])
    );

    fixture.rule(&arn, 1, &other).await;
    world.ok("elbv2 DeleteListener", json!({"ListenerArn": arn})).await;
    let wording = "One or more listeners not found";
    world.refuses("elbv2 DeleteListener", json!({"ListenerArn": arn}), "ListenerNotFound", wording).await;
    world
        .refuses("elbv2 DescribeListeners", json!({"ListenerArns": [arn]}), "ListenerNotFound", wording)
        .await;
    // Its rules went with it, so their group is free.
    world.ok("elbv2 DeleteListener", json!({"ListenerArn": second})).await;
    world.ok("elbv2 DeleteTargetGroup", json!({"TargetGroupArn": other})).await;
}

#[tokio::test]
async fn create_listener_says_what_is_wrong() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let balancer = fixture.balancer("site").await;
    let group = fixture.group("site").await;
    let (other_balancer, taken) = (fixture.balancer("other").await, fixture.group("taken").await);
    fixture.listener(&other_balancer, 80, &taken).await;
    let vpc = world.ok("ec2 CreateVpc", json!({"CidrBlock": "10.0.0.0/16"})).await["Vpc"]["VpcId"].text();
    let elsewhere =
        world.ok("elbv2 CreateTargetGroup", fixture.group_input("elsewhere", &json!({"VpcId": vpc}))).await;
    let elsewhere = elsewhere["TargetGroups"][0]["TargetGroupArn"].text();
    let gone = fixture.group("gone").await;
    world.ok("elbv2 DeleteTargetGroup", json!({"TargetGroupArn": gone})).await;
    let listener = |more: Json| with(listener_input(&balancer, 80, &group), &more);
    let action = |action: Json| listener(json!({"DefaultActions": [action]}));
    let redirect = |more: Json| {
        action(json!({"Type": "redirect", "RedirectConfig": with(json!({"StatusCode": "HTTP_301"}), &more)}))
    };
    let fixed = |more: Json| {
        action(
            json!({"Type": "fixed-response", "FixedResponseConfig": with(json!({"StatusCode": "200"}), &more)}),
        )
    };
    let tuples = |weights: &[i32]| -> Json {
        let tuples: Vec<Json> =
            weights.iter().map(|weight| json!({"TargetGroupArn": group, "Weight": weight})).collect();
        action(json!({"Type": "forward", "ForwardConfig": {"TargetGroups": tuples}}))
    };
    let missing = balancer.replace("/site/", "/none/");
    let rows = [
        (
            listener(json!({"LoadBalancerArn": missing})),
            "LoadBalancerNotFound",
            "One or more load balancers not found",
        ),
        (listener(json!({"Protocol": null})), VALIDATION, "A protocol must be specified"),
        (listener(json!({"Protocol": "TCP"})), VALIDATION, "Invalid protocol 'TCP'"),
        (listener(json!({"Protocol": "HTTPS"})), "UnsupportedProtocol", "HTTPS listeners"),
        (listener(json!({"Port": null})), VALIDATION, "A port between 1 and 65535"),
        (listener(json!({"Port": 65536})), VALIDATION, "A port between 1 and 65535"),
        (
            listener(json!({"Certificates": [{"CertificateArn": "x"}]})),
            CONFIGURATION,
            "Certificates cannot be specified",
        ),
        (listener(json!({"SslPolicy": "x"})), CONFIGURATION, "SslPolicy cannot be specified"),
        (listener(json!({"DefaultActions": []})), ACTION, "You must specify an action"),
        (
            listener(json!({"DefaultActions": [forward(&group)[0], forward(&group)[0]]})),
            ACTION,
            "exactly one action",
        ),
        (action(json!({"Type": "teleport"})), VALIDATION, "Invalid action type 'teleport'"),
        (action(json!({"Type": "authenticate-oidc"})), ACTION, "authenticate-oidc"),
        (action(json!({"Type": "forward"})), ACTION, "You must specify a target group"),
        (
            listener(json!({"DefaultActions": forward(&gone)})),
            "TargetGroupNotFound",
            "One or more target groups not found",
        ),
        (listener(json!({"DefaultActions": forward(&elsewhere)})), CONFIGURATION, "are in different VPCs"),
        (
            listener(json!({"DefaultActions": forward(&taken)})),
            "TargetGroupAssociationLimit",
            "The following target groups cannot be associated with more than one load balancer",
        ),
        (tuples(&[1000]), VALIDATION, "Target group weights must be between 0 and 999"),
        (tuples(&[-1]), VALIDATION, "Target group weights must be between 0 and 999"),
        (tuples(&[1, 1]), ACTION, "can be named only once"),
        (tuples(&[1, 1, 1, 1, 1, 1]), "TooManyUniqueTargetGroupsPerLoadBalancer", "at most 5"),
        (
            action(
                json!({"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": group}], "TargetGroupStickinessConfig": {"Enabled": true, "DurationSeconds": 60}}}),
            ),
            ACTION,
            "stickiness",
        ),
        (action(json!({"Type": "redirect"})), ACTION, "You must specify a redirect config"),
        (redirect(json!({})), ACTION, "The redirect configuration is not valid because it creates a loop"),
        (
            redirect(json!({"StatusCode": "HTTP_307", "Path": "/x"})),
            VALIDATION,
            "Invalid redirect status code",
        ),
        (redirect(json!({"Protocol": "FTP"})), ACTION, "redirect protocol"),
        (redirect(json!({"Port": "0"})), ACTION, "redirect port"),
        (redirect(json!({"Path": "x"})), ACTION, "must begin with '/'"),
        (redirect(json!({"Path": "/x\r\nSet-Cookie: a=b"})), ACTION, "printable ASCII"),
        (redirect(json!({"Host": "a b"})), ACTION, "printable ASCII"),
        (redirect(json!({"Host": ""})), ACTION, "printable ASCII"),
        (redirect(json!({"Path": format!("/{}", "x".repeat(128))})), ACTION, "at most 128"),
        (action(json!({"Type": "fixed-response"})), ACTION, "You must specify a fixed-response config"),
        (fixed(json!({"StatusCode": "302"})), ACTION, "Invalid fixed response status code '302'"),
        (fixed(json!({"StatusCode": "-1"})), ACTION, "Invalid fixed response status code"),
        (fixed(json!({"ContentType": "image/png"})), ACTION, "Invalid fixed response content type"),
        (fixed(json!({"MessageBody": "x".repeat(1025)})), ACTION, "at most 1024"),
    ];
    world.refuses_all("elbv2 CreateListener", rows).await;
    assert_eq!(
        world.ok("elbv2 DescribeListeners", json!({"LoadBalancerArn": balancer})).await["Listeners"],
        json!([])
    );
}

#[tokio::test]
async fn actions_come_back_as_they_were_given() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let balancer = fixture.balancer("site").await;
    let (blue, green) = (fixture.group("blue").await, fixture.group("green").await);
    let arn = fixture.listener(&balancer, 80, &blue).await;
    let cases = [
        (
            json!({"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": blue, "Weight": 100}, {"TargetGroupArn": green, "Weight": 0}]}}),
            json!({"TargetGroups": [{"TargetGroupArn": blue, "Weight": 100}, {"TargetGroupArn": green, "Weight": 0}], "TargetGroupStickinessConfig": {"Enabled": false}}),
            "ForwardConfig",
        ),
        (
            json!({"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": blue}, {"TargetGroupArn": green}]}}),
            json!({"TargetGroups": [{"TargetGroupArn": blue, "Weight": 1}, {"TargetGroupArn": green, "Weight": 1}], "TargetGroupStickinessConfig": {"Enabled": false}}),
            "ForwardConfig",
        ),
        (
            json!({"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_302"}}),
            json!({"Protocol": "HTTPS", "Host": "#{host}", "Port": "443", "Path": "/#{path}", "Query": "#{query}", "StatusCode": "HTTP_302"}),
            "RedirectConfig",
        ),
        (
            json!({"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503", "ContentType": "text/plain", "MessageBody": "später"}}),
            json!({"StatusCode": "503", "ContentType": "text/plain", "MessageBody": "später"}),
            "FixedResponseConfig",
        ),
    ];
    for (given, shown, member) in cases {
        let modified =
            world.ok("elbv2 ModifyListener", json!({"ListenerArn": arn, "DefaultActions": [given]})).await;
        assert_eq!(modified["Listeners"][0]["DefaultActions"][0][member], shown);
        let found = world.ok("elbv2 DescribeListeners", json!({"ListenerArns": [arn]})).await;
        assert_eq!(found["Listeners"][0], modified["Listeners"][0]);
    }
    // Nothing forwards to them any more.
    for group in [blue, green] {
        world.ok("elbv2 DeleteTargetGroup", json!({"TargetGroupArn": group})).await;
    }
}
