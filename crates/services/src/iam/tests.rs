//! IAM through the wire, as clients see it.

use crate::testing::{Keys, World, element, form};

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
const ALLOW: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
const EXECUTION: &str = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy";

async fn call(world: &World, form: &str) -> String {
    world.query("iam", form).await.ok()
}

async fn fails(world: &World, form: &str, status: u16, parts: &[&str]) {
    world.query("iam", form).await.fails(status, parts);
}

async fn create_role(world: &World, name: &str) -> String {
    call(world, &format!("Action=CreateRole&RoleName={name}&AssumeRolePolicyDocument={}", form(TRUST))).await
}

async fn create_policy(world: &World, name: &str) -> String {
    let answer =
        call(world, &format!("Action=CreatePolicy&PolicyName={name}&PolicyDocument={}", form(ALLOW))).await;
    element(&answer, "Arn").to_owned()
}

#[tokio::test]
async fn a_role_lives_as_terraform_wants_it() {
    let world = World::new();
    let made = create_role(&world, "web-execution").await;
    assert_eq!(element(&made, "Arn"), "arn:aws:iam::123456789012:role/web-execution");
    assert_eq!(element(&made, "RoleId").len(), 21);
    assert!(element(&made, "RoleId").starts_with("AROA"));
    assert_eq!(element(&made, "MaxSessionDuration"), "3600");
    let document = element(&made, "AssumeRolePolicyDocument");
    assert!(document.starts_with("%7B%22Version%22%3A%222012-10-17%22"), "{document}");
    fails(
        &world,
        &format!("Action=CreateRole&RoleName=WEB-execution&AssumeRolePolicyDocument={}", form(TRUST)),
        409,
        &["<Code>EntityAlreadyExists</Code>", "Role with name WEB-execution already exists."],
    )
    .await;

    let attach = format!("RoleName=web-execution&PolicyArn={EXECUTION}");
    call(&world, &format!("Action=AttachRolePolicy&{attach}")).await;
    call(&world, &format!("Action=AttachRolePolicy&{attach}")).await;
    let listed = call(&world, "Action=ListAttachedRolePolicies&RoleName=web-execution").await;
    assert_eq!(element(&listed, "PolicyName"), "AmazonECSTaskExecutionRolePolicy");
    assert_eq!(listed.matches("<member>").count(), 1);
    assert_eq!(element(&listed, "IsTruncated"), "false");
    fails(
        &world,
        "Action=DeleteRole&RoleName=web-execution",
        409,
        &["<Code>DeleteConflict</Code>", "Cannot delete entity, must detach all policies first."],
    )
    .await;
    let profiles = call(&world, "Action=ListInstanceProfilesForRole&RoleName=web-execution").await;
    assert!(!profiles.contains("<member>"), "{profiles}");
    call(&world, &format!("Action=DetachRolePolicy&{attach}")).await;
    fails(&world, &format!("Action=DetachRolePolicy&{attach}"), 404, &["NoSuchEntity", "was not found."])
        .await;
    call(&world, "Action=DeleteRole&RoleName=web-execution").await;
    fails(
        &world,
        "Action=GetRole&RoleName=web-execution",
        404,
        &["<Code>NoSuchEntity</Code>", "The role with name web-execution cannot be found."],
    )
    .await;
}

#[tokio::test]
async fn a_role_changes() {
    let world = World::new();
    create_role(&world, "r").await;
    call(&world, "Action=UpdateRole&RoleName=r&Description=new&MaxSessionDuration=7200").await;
    call(&world, &format!("Action=UpdateAssumeRolePolicy&RoleName=r&PolicyDocument={}", form(TRUST))).await;
    call(&world, "Action=TagRole&RoleName=r&Tags.member.1.Key=a&Tags.member.1.Value=1&Tags.member.2.Key=b&Tags.member.2.Value=2").await;
    call(&world, "Action=TagRole&RoleName=r&Tags.member.1.Key=A&Tags.member.1.Value=3").await;
    call(&world, "Action=UntagRole&RoleName=r&TagKeys.member.1=b").await;
    let boundary = create_policy(&world, "edge").await;
    call(&world, &format!("Action=PutRolePermissionsBoundary&RoleName=r&PermissionsBoundary={boundary}"))
        .await;
    let role = call(&world, "Action=GetRole&RoleName=R").await;
    assert_eq!(element(&role, "Description"), "new");
    assert_eq!(element(&role, "MaxSessionDuration"), "7200");
    assert_eq!(element(&role, "PermissionsBoundaryArn"), boundary);
    let tags = call(&world, "Action=ListRoleTags&RoleName=r").await;
    assert!(tags.contains("<Key>A</Key><Value>3</Value>") && !tags.contains("<Key>b</Key>"), "{tags}");
    let used = "Cannot delete a policy attached to entities.";
    fails(&world, &format!("Action=DeletePolicy&PolicyArn={boundary}"), 409, &["DeleteConflict", used]).await;
    call(&world, "Action=DeleteRolePermissionsBoundary&RoleName=r").await;
    call(&world, &format!("Action=DeletePolicy&PolicyArn={boundary}")).await;
    let bad = format!("Action=UpdateAssumeRolePolicy&RoleName=r&PolicyDocument={}", form("{}x"));
    fails(&world, &bad, 400, &["<Code>MalformedPolicyDocument</Code>", "This policy contains invalid Json"])
        .await;
}

#[tokio::test]
async fn inline_policies_stand_in_their_role_or_user() {
    let world = World::new();
    create_role(&world, "r").await;
    call(&world, "Action=CreateUser&UserName=u").await;
    for (kind, owner) in [("Role", "RoleName=r"), ("User", "UserName=u")] {
        let document = form(ALLOW);
        call(&world, &format!("Action=Put{kind}Policy&{owner}&PolicyName=p&PolicyDocument={document}")).await;
        let got = call(&world, &format!("Action=Get{kind}Policy&{owner}&PolicyName=p")).await;
        assert!(element(&got, "PolicyDocument").starts_with("%7B%22Version"), "{got}");
        let names = call(&world, &format!("Action=List{kind}Policies&{owner}")).await;
        assert!(names.contains("<member>p</member>"), "{names}");
        let delete = format!("Action=Delete{kind}&{owner}");
        fails(&world, &delete, 409, &["Cannot delete entity, must delete policies first."]).await;
        let many = format!("\"{}\"", "arn:".repeat(3000));
        let large = form(&ALLOW.replace("\"*\"", &many));
        let put = format!("Action=Put{kind}Policy&{owner}&PolicyName=q&PolicyDocument={large}");
        fails(&world, &put, 409, &["LimitExceeded", "Maximum policy size of"]).await;
        call(&world, &format!("Action=Delete{kind}Policy&{owner}&PolicyName=p")).await;
        let gone = format!("Action=Get{kind}Policy&{owner}&PolicyName=p");
        fails(
            &world,
            &gone,
            404,
            &[&format!("The {} policy with name p cannot be found.", kind.to_lowercase())],
        )
        .await;
        call(&world, &delete).await;
    }
}

#[tokio::test]
async fn a_customers_policy_has_versions() {
    let world = World::new();
    let arn = create_policy(&world, "p").await;
    assert_eq!(arn, "arn:aws:iam::123456789012:policy/p");
    let again = format!("Action=CreatePolicy&PolicyName=P&PolicyDocument={}", form(ALLOW));
    fails(&world, &again, 409, &["A policy called P already exists. Duplicate names are not allowed."]).await;
    let version = format!("Action=CreatePolicyVersion&PolicyArn={arn}&PolicyDocument={}", form(ALLOW));
    let second = call(&world, &format!("{version}&SetAsDefault=true")).await;
    assert_eq!((element(&second, "VersionId"), element(&second, "IsDefaultVersion")), ("v2", "true"));
    for _ in 3..=5 {
        call(&world, &version).await;
    }
    fails(&world, &version, 409, &["LimitExceeded", "A managed policy can have up to 5 versions."]).await;
    let default = format!("Action=DeletePolicyVersion&PolicyArn={arn}&VersionId=v2");
    fails(&world, &default, 409, &["Cannot delete the default version of a policy."]).await;
    call(&world, &format!("Action=SetDefaultPolicyVersion&PolicyArn={arn}&VersionId=v5")).await;
    call(&world, &default).await;
    // A number is never used twice.
    assert_eq!(element(&call(&world, &version).await, "VersionId"), "v6");
    let listed = call(&world, &format!("Action=ListPolicyVersions&PolicyArn={arn}&MaxItems=2")).await;
    assert!(listed.find(">v6<").unwrap() < listed.find(">v5<").unwrap(), "{listed}");
    assert_eq!(element(&listed, "IsTruncated"), "true");
    let next = format!("Action=ListPolicyVersions&PolicyArn={arn}&Marker={}", element(&listed, "Marker"));
    let rest = call(&world, &next).await;
    assert!(rest.contains(">v4<") && rest.contains(">v1<") && !rest.contains(">v5<"), "{rest}");
    let got = call(&world, &format!("Action=GetPolicyVersion&PolicyArn={arn}&VersionId=v5")).await;
    assert_eq!(element(&got, "Document"), super::documents::encoded(ALLOW));
    assert_eq!(
        element(&call(&world, &format!("Action=GetPolicy&PolicyArn={arn}")).await, "DefaultVersionId"),
        "v5"
    );
    fails(&world, &format!("Action=DeletePolicy&PolicyArn={arn}"), 409, &["more than one version"]).await;
    fails(&world, &format!("Action=GetPolicyVersion&PolicyArn={arn}&VersionId=v2"), 404, &["NoSuchEntity"])
        .await;
}

#[tokio::test]
async fn policies_of_aws_exist_and_stay() {
    let world = World::new();
    let policy = call(&world, &format!("Action=GetPolicy&PolicyArn={EXECUTION}")).await;
    assert_eq!(element(&policy, "PolicyName"), "AmazonECSTaskExecutionRolePolicy");
    let version = call(&world, &format!("Action=GetPolicyVersion&PolicyArn={EXECUTION}&VersionId=v1")).await;
    assert!(element(&version, "Document").contains("logs%3APutLogEvents"), "{version}");
    fails(&world, &format!("Action=DeletePolicy&PolicyArn={EXECUTION}"), 403, &["AccessDenied"]).await;
    fails(&world, "Action=GetPolicy&PolicyArn=arn:aws:iam::aws:policy/Nothing", 404, &["was not found."])
        .await;

    create_role(&world, "r").await;
    call(&world, &format!("Action=AttachRolePolicy&RoleName=r&PolicyArn={EXECUTION}")).await;
    let attached = call(&world, "Action=ListPolicies&Scope=AWS&OnlyAttached=true").await;
    assert_eq!(attached.matches("<PolicyName>").count(), 1);
    assert_eq!(element(&attached, "AttachmentCount"), "1");
    let entities = call(&world, &format!("Action=ListEntitiesForPolicy&PolicyArn={EXECUTION}")).await;
    assert_eq!(element(&entities, "RoleName"), "r");
    create_policy(&world, "mine").await;
    let local = call(&world, "Action=ListPolicies&Scope=Local").await;
    assert_eq!(element(&local, "PolicyName"), "mine");
    let (mut names, mut marker) = (Vec::new(), String::new());
    loop {
        let page = call(&world, &format!("Action=ListPolicies&MaxItems=10{marker}")).await;
        names.extend(
            page.split("<PolicyName>").skip(1).map(|rest| rest.split_once('<').unwrap().0.to_owned()),
        );
        if element(&page, "IsTruncated") == "false" {
            break;
        }
        marker = format!("&Marker={}", element(&page, "Marker"));
    }
    let unique: std::collections::BTreeSet<&String> = names.iter().collect();
    assert_eq!(unique.len(), names.len());
    assert_eq!(names.len(), super::managed::all().count() + 1);
    fails(&world, "Action=ListPolicies&Marker=xyz", 400, &["ValidationError", "Invalid Marker."]).await;
}

#[tokio::test]
async fn an_instance_profile_holds_one_role() {
    let world = World::new();
    create_role(&world, "r").await;
    create_role(&world, "s").await;
    let made = call(&world, "Action=CreateInstanceProfile&InstanceProfileName=p").await;
    assert!(element(&made, "InstanceProfileId").starts_with("AIPA"));
    let add = "Action=AddRoleToInstanceProfile&InstanceProfileName=p&RoleName=";
    call(&world, &format!("{add}r")).await;
    let second = "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1";
    fails(&world, &format!("{add}s"), 409, &["LimitExceeded", second]).await;
    let got = call(&world, "Action=GetInstanceProfile&InstanceProfileName=p").await;
    assert_eq!(element(&got, "RoleName"), "r");
    assert!(got.contains("<AssumeRolePolicyDocument>%7B"), "{got}");
    let of_role = call(&world, "Action=ListInstanceProfilesForRole&RoleName=r").await;
    assert_eq!(element(&of_role, "InstanceProfileName"), "p");
    let conflict = "must remove roles from instance profile first.";
    fails(&world, "Action=DeleteRole&RoleName=r", 409, &["DeleteConflict", conflict]).await;
    fails(&world, "Action=DeleteInstanceProfile&InstanceProfileName=p", 409, &[conflict]).await;
    let remove = "Action=RemoveRoleFromInstanceProfile&InstanceProfileName=p&RoleName=r";
    call(&world, remove).await;
    fails(&world, remove, 404, &["NoSuchEntity"]).await;
    call(&world, "Action=DeleteInstanceProfile&InstanceProfileName=p").await;
    fails(
        &world,
        "Action=GetInstanceProfile&InstanceProfileName=p",
        404,
        &["Instance Profile p cannot be found."],
    )
    .await;
}

#[tokio::test]
async fn a_user_calls_with_its_own_key() {
    let world = World::new();
    let root = call(&world, "Action=GetUser").await;
    assert_eq!(element(&root, "Arn"), "arn:aws:iam::123456789012:root");
    let made = call(&world, "Action=CreateUser&UserName=ada&Path=%2Fteam%2F").await;
    assert_eq!(element(&made, "Arn"), "arn:aws:iam::123456789012:user/team/ada");
    let create = "Action=CreateAccessKey&UserName=ada";
    let key = call(&world, create).await;
    let keys = Keys {
        id: element(&key, "AccessKeyId").to_owned(),
        secret: element(&key, "SecretAccessKey").to_owned(),
        token: None,
    };
    let seen = world.query_as(&keys, "sts", "Action=GetCallerIdentity").await.ok();
    assert_eq!(element(&seen, "Arn"), "arn:aws:iam::123456789012:user/team/ada");
    assert!(element(&seen, "UserId").starts_with("AIDA"));
    let own = world.query_as(&keys, "iam", "Action=GetUser").await.ok();
    assert_eq!(element(&own, "UserName"), "ada");
    call(&world, create).await;
    fails(&world, create, 409, &["LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2"]).await;
    let listed = call(&world, "Action=ListAccessKeys&UserName=ada").await;
    assert_eq!(listed.matches("<AccessKeyId>").count(), 2);
    assert!(!listed.contains("Secret"), "{listed}");
    fails(&world, "Action=DeleteUser&UserName=ada", 409, &["must delete access keys first."]).await;
    call(&world, &format!("Action=DeleteAccessKey&UserName=ada&AccessKeyId={}", keys.id)).await;
    world
        .query_as(&keys, "sts", "Action=GetCallerIdentity")
        .await
        .fails(403, &["InvalidClientTokenId", "The security token included in the request is invalid."]);
    fails(&world, "Action=CreateAccessKey", 400, &["Must specify userName"]).await;
}

#[tokio::test]
async fn roles_of_services_are_made_and_deleted_their_own_way() {
    let world = World::new();
    let create = "Action=CreateServiceLinkedRole&AWSServiceName=ecs.amazonaws.com";
    let made = call(&world, create).await;
    assert_eq!(
        element(&made, "Arn"),
        "arn:aws:iam::123456789012:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS"
    );
    let taken = "Service role name AWSServiceRoleForECS has been taken in this account";
    fails(&world, create, 400, &["<Code>InvalidInput</Code>", taken]).await;
    let protected = "<Code>UnmodifiableEntity</Code>";
    fails(&world, "Action=DeleteRole&RoleName=AWSServiceRoleForECS", 400, &[protected]).await;
    let deleted = call(&world, "Action=DeleteServiceLinkedRole&RoleName=AWSServiceRoleForECS").await;
    let status = "Action=GetServiceLinkedRoleDeletionStatus&DeletionTaskId=";
    let task = form(element(&deleted, "DeletionTaskId"));
    assert_eq!(element(&call(&world, &format!("{status}{task}")).await, "Status"), "SUCCEEDED");
    fails(&world, &format!("{status}task%2Fnone"), 404, &["NoSuchEntity"]).await;
    call(&world, create).await;
    fails(
        &world,
        "Action=CreateServiceLinkedRole&AWSServiceName=nobody.amazonaws.com",
        400,
        &["InvalidInput"],
    )
    .await;
}

#[tokio::test]
async fn listings_come_in_pages_by_path() {
    let world = World::new();
    for name in ["a", "b", "c"] {
        create_role(&world, name).await;
    }
    let below =
        format!("Action=CreateRole&RoleName=d&Path=%2Fteam%2F&AssumeRolePolicyDocument={}", form(TRUST));
    call(&world, &below).await;
    let first = call(&world, "Action=ListRoles&MaxItems=2").await;
    assert!(first.contains("<RoleName>a</RoleName>") && first.contains("<RoleName>b</RoleName>"), "{first}");
    assert_eq!(element(&first, "IsTruncated"), "true");
    let second = call(&world, &format!("Action=ListRoles&Marker={}", element(&first, "Marker"))).await;
    assert!(
        second.contains("<RoleName>c</RoleName>") && second.contains("<RoleName>d</RoleName>"),
        "{second}"
    );
    let team = call(&world, "Action=ListRoles&PathPrefix=%2Fteam%2F").await;
    assert_eq!(team.matches("<RoleName>").count(), 1);
}

#[tokio::test]
async fn what_is_tied_is_not_deleted_by_who_did_not_see_the_tie() {
    use gantry_domain::View;
    use gantry_types::Ids;

    // Both decide on the same view; only one of the two may be committed.
    let world = World::new();
    let arn = create_policy(&world, "p").await;
    create_role(&world, "r").await;
    let call = super::super::testing::call("iam");
    let decide = |decision: &dyn Fn(&View, &mut Ids) -> Vec<gantry_domain::Change>| {
        decision(&world.context.database().view(), &mut Ids::from_seed(1))
    };
    let attach = decide(&|view, ids| {
        let input =
            gantry_api::iam::AttachRolePolicyRequest { policy_arn: arn.clone(), role_name: "r".to_owned() };
        super::attached::attach_role_policy(view, &call, &input, ids).unwrap().1
    });
    let delete = decide(&|view, ids| {
        let input = gantry_api::iam::DeletePolicyRequest { policy_arn: arn.clone() };
        super::policies::delete(view, &call, &input, ids).unwrap().1
    });
    world.context.database().commit(attach).await.unwrap();
    let error = world.context.database().commit(delete).await.unwrap_err();
    assert!(matches!(error, gantry_store::CommitError::Conflict { .. }), "{error}");
}
