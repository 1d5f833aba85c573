//! The Parameter Store through the wire, as clients see it.

use serde_json::{Value, json};

use crate::testing::World;

async fn ok(world: &World, operation: &str, input: Value) -> Value {
    world.json("ssm", operation, &input).await.document()
}

async fn fails(world: &World, operation: &str, input: Value, parts: &[&str]) {
    world.json("ssm", operation, &input).await.fails(400, parts);
}

fn names(answer: &Value) -> Vec<&str> {
    answer["Parameters"].as_array().unwrap().iter().map(|each| each["Name"].as_str().unwrap()).collect()
}

async fn put(world: &World, name: &str, value: &str) -> Value {
    ok(world, "PutParameter", json!({"Name": name, "Value": value, "Type": "String", "Overwrite": true}))
        .await
}

#[tokio::test]
async fn a_parameter_lives() {
    let world = World::new();
    let input = json!({"Name": "/shop/url", "Value": "http://a", "Type": "String", "Description": "where"});
    assert_eq!(ok(&world, "PutParameter", input.clone()).await, json!({"Version": 1, "Tier": "Standard"}));
    let exists = "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.";
    fails(&world, "PutParameter", input, &["ParameterAlreadyExists", exists]).await;
    let got = ok(&world, "GetParameter", json!({"Name": "/shop/url"})).await;
    let expected = json!({
        "Name": "/shop/url", "Type": "String", "Value": "http://a", "Version": 1, "DataType": "text",
        "ARN": "arn:aws:ssm:us-east-1:123456789012:parameter/shop/url", "LastModifiedDate": 1_750_000_000,
    });
    let mut shown = got["Parameter"].clone();
    shown["LastModifiedDate"] = json!(shown["LastModifiedDate"].as_f64().unwrap() as i64);
    assert_eq!(shown, expected);

    // What is not given again stays; the type need not be said again, and cannot be another.
    ok(&world, "PutParameter", json!({"Name": "/shop/url", "Value": "http://b", "Overwrite": true})).await;
    let listed = ok(&world, "DescribeParameters", json!({})).await;
    let about = &listed["Parameters"][0];
    assert_eq!(
        (&about["Version"], &about["Description"], &about["Tier"]),
        (&json!(2), &json!("where"), &json!("Standard"))
    );
    assert_eq!(about["LastModifiedUser"], "arn:aws:iam::123456789012:root");
    let other = json!({"Name": "/shop/url", "Value": "x", "Type": "SecureString", "Overwrite": true});
    fails(&world, "PutParameter", other, &["HierarchyTypeMismatchException"]).await;

    for (name, value) in [("/shop/url", "http://b"), ("/shop/url:1", "http://a"), ("/shop/url:2", "http://b")]
    {
        let got = ok(&world, "GetParameter", json!({"Name": name})).await;
        assert_eq!(got["Parameter"]["Value"], value, "{name}");
        assert_eq!(got["Parameter"]["Name"], "/shop/url");
    }
    let gone = "Systems Manager could not find version 3 of /shop/url. Verify the version and try again.";
    fails(&world, "GetParameter", json!({"Name": "/shop/url:3"}), &["ParameterVersionNotFound", gone]).await;
    let arn = "arn:aws:ssm:us-east-1:123456789012:parameter/shop/url";
    assert_eq!(ok(&world, "GetParameter", json!({"Name": arn})).await["Parameter"]["Value"], "http://b");

    ok(&world, "DeleteParameter", json!({"Name": "/shop/url"})).await;
    fails(&world, "DeleteParameter", json!({"Name": "/shop/url"}), &["ParameterNotFound"]).await;
    fails(&world, "GetParameter", json!({"Name": "/shop/url"}), &["ParameterNotFound"]).await;
    // Made again, it has no history.
    put(&world, "/shop/url", "new").await;
    let history = ok(&world, "GetParameterHistory", json!({"Name": "/shop/url"})).await;
    assert_eq!(history["Parameters"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let world = World::new();
    let string = |more: Value| {
        let mut input = json!({"Name": "p", "Value": "v", "Type": "String"});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    let (large, huge) = ("v".repeat(4097), "v".repeat(8193));
    for (input, parts) in [
        (
            json!({"Name": "p", "Value": "v"}),
            &["ValidationException", "A parameter type is required when you create a parameter."][..],
        ),
        (string(json!({"Value": ""})), &["ValidationException", "Value '' at 'value'"]),
        (string(json!({"Type": "Number"})), &["ValidationException", "Member must satisfy enum value set"]),
        (string(json!({"Name": "aws.p"})), &["ValidationException", "can't be prefixed with"]),
        (
            string(json!({"Name": "/aws/p"})),
            &["AccessDeniedException", "No access to reserved parameter name: /aws/p."],
        ),
        (
            string(json!({"Value": large})),
            &["ValidationException", "maximum parameter value of 4096 characters"],
        ),
        (
            string(json!({"Value": huge, "Tier": "Advanced"})),
            &["ValidationException", "maximum parameter value of 8192 characters"],
        ),
        (
            string(json!({"AllowedPattern": "^\\d+$"})),
            &["ParameterPatternMismatchException", "cannot be validated against allowedPattern: ^\\\\d+$"],
        ),
        (string(json!({"AllowedPattern": "("})), &["InvalidAllowedPatternException"]),
        (string(json!({"Policies": "[{\"Type\":\"Expiration\"}]"})), &["InvalidPolicyTypeException"]),
        (
            string(json!({"DataType": "number"})),
            &["ValidationException", "The following data type is not supported: number"],
        ),
        (string(json!({"DataType": "aws:ec2:image"})), &["ValidationException", "aws:ec2:image"]),
        (string(json!({"KeyId": "alias/k"})), &["ValidationException", "KeyId"]),
        (
            string(json!({"Overwrite": true, "Tags": [{"Key": "a", "Value": "b"}]})),
            &["tags and overwrite can't be used together"],
        ),
        (
            string(json!({"Tags": [{"Key": "aws:a", "Value": "b"}]})),
            &["ValidationException", "aws: prefixed"],
        ),
    ] {
        fails(&world, "PutParameter", input, parts).await;
    }
    assert_eq!(names(&ok(&world, "DescribeParameters", json!({})).await), Vec::<&str>::new());
    // The two names share an ARN.
    put(&world, "p", "v").await;
    fails(&world, "PutParameter", string(json!({"Name": "/p"})), &["ParameterAlreadyExists"]).await;
    fails(&world, "GetParameter", json!({"Name": "/p"}), &["ParameterNotFound"]).await;
    fails(&world, "GetParameter", json!({"Name": "a/b"}), &["ValidationException", "fully qualified name"])
        .await;
}

#[tokio::test]
async fn a_secure_string_shows_its_value_to_who_asks_for_decryption_alone() {
    let world = World::new();
    let secret = "correct horse battery staple";
    ok(&world, "PutParameter", json!({"Name": "s", "Value": secret, "Type": "SecureString"})).await;
    ok(&world, "PutParameter", json!({"Name": "s", "Value": secret, "Type": "SecureString", "Overwrite": true, "KeyId": "alias/own"})).await;
    for (operation, mut input) in [
        ("GetParameter", json!({"Name": "s"})),
        ("GetParameter", json!({"Name": "s:1"})),
        ("GetParameters", json!({"Names": ["s"]})),
        ("GetParametersByPath", json!({"Path": "/"})),
        ("GetParameterHistory", json!({"Name": "s"})),
    ] {
        let sealed = ok(&world, operation, input.clone()).await.to_string();
        assert!(!sealed.contains(secret) && sealed.contains("AQICAH"), "{operation}: {sealed}");
        input["WithDecryption"] = json!(true);
        let open = ok(&world, operation, input).await.to_string();
        assert!(open.contains(secret) && !open.contains("AQICAH"), "{operation}: {open}");
    }
    let described = ok(&world, "DescribeParameters", json!({})).await;
    assert!(
        !described.to_string().contains("horse") && !described.to_string().contains("AQICAH"),
        "{described}"
    );
    assert_eq!(described["Parameters"][0]["KeyId"], "alias/own");
    let history = ok(&world, "GetParameterHistory", json!({"Name": "s"})).await;
    assert_eq!(history["Parameters"][0]["KeyId"], "alias/aws/ssm");
}

#[tokio::test]
async fn a_hierarchy_is_read_by_its_path() {
    let world = World::new();
    for name in ["/a/b", "/a/c", "/a/c/d", "/a/c/e", "/ab", "plain"] {
        put(&world, name, name).await;
    }
    for (input, expected) in [
        (json!({"Path": "/a"}), &["/a/b", "/a/c"][..]),
        (json!({"Path": "/a/"}), &["/a/b", "/a/c"]),
        (json!({"Path": "/a", "Recursive": true}), &["/a/b", "/a/c", "/a/c/d", "/a/c/e"]),
        (json!({"Path": "/"}), &["/ab", "plain"]),
        (json!({"Path": "/nothing"}), &[]),
        (json!({"Path": "/a", "ParameterFilters": [{"Key": "Type", "Values": ["StringList"]}]}), &[]),
        (
            json!({"Path": "/a", "ParameterFilters": [{"Key": "Type", "Option": "BeginsWith", "Values": ["String"]}]}),
            &["/a/b", "/a/c"],
        ),
    ] {
        assert_eq!(names(&ok(&world, "GetParametersByPath", input.clone()).await), expected, "{input}");
    }
    let (mut seen, mut token) = (vec![], Value::Null);
    loop {
        let input = json!({"Path": "/a", "Recursive": true, "MaxResults": 3, "NextToken": token});
        let page = ok(&world, "GetParametersByPath", input).await;
        seen.extend(names(&page).into_iter().map(str::to_owned));
        token = page["NextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(seen, ["/a/b", "/a/c", "/a/c/d", "/a/c/e"]);
    for (input, part) in [
        (json!({"Path": "a"}), "must begin with a forward slash"),
        (json!({"Path": "/a", "MaxResults": 11}), "less than or equal to 10"),
        (json!({"Path": "/a", "NextToken": "nonsense"}), "token is not valid"),
        (
            json!({"Path": "/a", "ParameterFilters": [{"Key": "Name", "Values": ["x"]}]}),
            "The following filter key is not valid: Name",
        ),
    ] {
        fails(&world, "GetParametersByPath", input, &[part]).await;
    }

    let many = ok(&world, "GetParameters", json!({"Names": ["plain", "/x", "/a/b", "/a/b:9"]})).await;
    assert_eq!(names(&many), ["/a/b", "plain"]);
    assert_eq!(many["InvalidParameters"], json!(["/a/b:9", "/x"]));
    let deleted = ok(&world, "DeleteParameters", json!({"Names": ["/x", "/a/b", "plain"]})).await;
    assert_eq!(deleted, json!({"DeletedParameters": ["/a/b", "plain"], "InvalidParameters": ["/x"]}));
    assert_eq!(
        names(&ok(&world, "DescribeParameters", json!({})).await),
        ["/a/c", "/a/c/d", "/a/c/e", "/ab"]
    );
}

#[tokio::test]
async fn listings_are_filtered() {
    let world = World::new();
    put(&world, "/a/b", "1").await;
    put(&world, "/a/c/d", "2").await;
    let more = json!({"Name": "list", "Value": "1,2", "Type": "StringList", "Tier": "Advanced", "Tags": [{"Key": "team", "Value": "red"}]});
    ok(&world, "PutParameter", more).await;
    let filter = |key: &str, option: &str, values: &[&str]| json!({"ParameterFilters": [{"Key": key, "Option": option, "Values": values}]});
    for (input, expected) in [
        (filter("Name", "Equals", &["/a/b"]), &["/a/b"][..]),
        (filter("Name", "BeginsWith", &["/a"]), &["/a/b", "/a/c/d"]),
        (filter("Name", "BeginsWith", &["a/c"]), &["/a/c/d"]),
        (filter("Name", "Contains", &["c/", "ist"]), &["/a/c/d", "list"]),
        (filter("Path", "OneLevel", &["/a"]), &["/a/b"]),
        (filter("Path", "Recursive", &["/a"]), &["/a/b", "/a/c/d"]),
        (filter("Type", "Equals", &["StringList"]), &["list"]),
        (filter("Tier", "Equals", &["Advanced"]), &["list"]),
        (filter("DataType", "Equals", &["text"]), &["/a/b", "/a/c/d", "list"]),
        (filter("tag:team", "Equals", &["red"]), &["list"]),
        (filter("tag:team", "Equals", &["blue"]), &[]),
        (json!({"ParameterFilters": [{"Key": "tag:team"}]}), &["list"]),
        (json!({"Filters": [{"Key": "Name", "Values": ["/a"]}]}), &["/a/b", "/a/c/d"]),
        (json!({"Filters": [{"Key": "Type", "Values": ["StringList"]}]}), &["list"]),
        (json!({"Shared": true}), &[]),
    ] {
        assert_eq!(names(&ok(&world, "DescribeParameters", input.clone()).await), expected, "{input}");
    }
    let both = json!({"Filters": [{"Key": "Name", "Values": ["a"]}], "ParameterFilters": [{"Key": "Name", "Values": ["a"]}]});
    let twice =
        json!({"ParameterFilters": [{"Key": "Name", "Values": ["a"]}, {"Key": "Name", "Values": ["b"]}]});
    for (input, code, part) in [
        (both, "ValidationException", "You can use either Filters or ParameterFilters in a single request."),
        (twice, "InvalidFilterKey", "duplicated in the request: Name"),
        (
            filter("Label", "Equals", &["x"]),
            "InvalidFilterKey",
            "not valid: Label. Valid filter keys include: [Path, Name",
        ),
        (
            filter("Path", "Equals", &["/a"]),
            "InvalidFilterOption",
            "Valid options include: [Recursive, OneLevel].",
        ),
        (filter("Path", "OneLevel", &["a"]), "ValidationException", "must begin with a forward slash"),
        (
            filter("Type", "Equals", &["Number"]),
            "InvalidFilterOption",
            "Valid values include: [SecureString, StringList, String]",
        ),
        (json!({"ParameterFilters": [{"Key": "Type"}]}), "InvalidFilterValue", "values are missing"),
        (json!({"NextToken": "nonsense"}), "InvalidNextToken", "not valid"),
    ] {
        fails(&world, "DescribeParameters", input, &[code, part]).await;
    }
    let first = ok(&world, "DescribeParameters", json!({"MaxResults": 2})).await;
    assert_eq!(names(&first), ["/a/b", "/a/c/d"]);
    let second =
        ok(&world, "DescribeParameters", json!({"MaxResults": 2, "NextToken": first["NextToken"]})).await;
    assert_eq!(names(&second), ["list"]);
    assert!(second.get("NextToken").is_none());
}

#[tokio::test]
async fn labels_stand_at_one_version() {
    let world = World::new();
    for value in ["1", "2", "3"] {
        put(&world, "p", value).await;
    }
    let label =
        |labels: &[&str], version: Value| json!({"Name": "p", "Labels": labels, "ParameterVersion": version});
    let done =
        ok(&world, "LabelParameterVersion", label(&["prod", "aws-x", "9x", "SSMx", "a b"], json!(1))).await;
    assert_eq!(done, json!({"InvalidLabels": ["aws-x", "9x", "SSMx", "a b"], "ParameterVersion": 1}));
    let of = async |name: &str| ok(&world, "GetParameter", json!({"Name": name})).await["Parameter"].clone();
    assert_eq!(
        (&of("p:prod").await["Value"], &of("p:prod").await["Selector"]),
        (&json!("1"), &json!(":prod"))
    );
    // It moves; without a version to the newest.
    let done = ok(&world, "LabelParameterVersion", label(&["prod"], Value::Null)).await;
    assert_eq!(done["ParameterVersion"], 3);
    assert_eq!(of("p:prod").await["Value"], "3");
    let history = ok(&world, "GetParameterHistory", json!({"Name": "p", "MaxResults": 2})).await;
    assert_eq!(
        history["Parameters"]
            .as_array()
            .unwrap()
            .iter()
            .map(|each| each["Value"].as_str().unwrap())
            .collect::<Vec<_>>(),
        ["1", "2"]
    );
    let rest = ok(
        &world,
        "GetParameterHistory",
        json!({"Name": "p", "MaxResults": 2, "NextToken": history["NextToken"]}),
    )
    .await;
    assert_eq!(
        (&rest["Parameters"][0]["Labels"], &rest["Parameters"][0]["Version"]),
        (&json!(["prod"]), &json!(3))
    );
    let by_path = json!({"Path": "/", "ParameterFilters": [{"Key": "Label", "Values": ["prod"]}]});
    assert_eq!(names(&ok(&world, "GetParametersByPath", by_path).await), ["p"]);

    let ten: Vec<String> = (0..10).map(|n| format!("l{n}")).collect();
    let ten: Vec<&str> = ten.iter().map(String::as_str).collect();
    ok(&world, "LabelParameterVersion", label(&ten, json!(2))).await;
    fails(
        &world,
        "LabelParameterVersion",
        label(&["more"], json!(2)),
        &["ParameterVersionLabelLimitExceeded", "maximum of 10 labels"],
    )
    .await;
    fails(
        &world,
        "LabelParameterVersion",
        label(&["more"], json!(9)),
        &["ParameterVersionNotFound", "could not find version 9 of p"],
    )
    .await;
    let done = ok(&world, "UnlabelParameterVersion", label(&["l0", "prod"], json!(2))).await;
    assert_eq!(done, json!({"RemovedLabels": ["l0"], "InvalidLabels": ["prod"]}));
    fails(
        &world,
        "GetParameter",
        json!({"Name": "p:l0"}),
        &["ParameterVersionNotFound", "could not find label l0 for parameter p"],
    )
    .await;
}

#[tokio::test]
async fn the_hundred_newest_versions_are_kept() {
    let world = World::new();
    for number in 1..=101 {
        put(&world, "p", &number.to_string()).await;
    }
    fails(&world, "GetParameter", json!({"Name": "p:1"}), &["ParameterVersionNotFound"]).await;
    assert_eq!(ok(&world, "GetParameter", json!({"Name": "p:2"})).await["Parameter"]["Value"], "2");
    ok(&world, "LabelParameterVersion", json!({"Name": "p", "Labels": ["keep"], "ParameterVersion": 2}))
        .await;
    let input = json!({"Name": "p", "Value": "x", "Overwrite": true});
    fails(
        &world,
        "PutParameter",
        input,
        &["ParameterMaxVersionLimitExceeded", "Version 2, the oldest version, can't be deleted"],
    )
    .await;
    ok(&world, "DeleteParameter", json!({"Name": "p"})).await;
}

#[tokio::test]
async fn parameters_have_tags() {
    let world = World::new();
    put(&world, "/t", "v").await;
    let at = |more: Value| {
        let mut input = json!({"ResourceType": "Parameter", "ResourceId": "/t"});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    ok(
        &world,
        "AddTagsToResource",
        at(json!({"Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]})),
    )
    .await;
    ok(&world, "AddTagsToResource", at(json!({"Tags": [{"Key": "a", "Value": "3"}]}))).await;
    ok(&world, "RemoveTagsFromResource", at(json!({"TagKeys": ["b"]}))).await;
    assert_eq!(
        ok(&world, "ListTagsForResource", at(json!({}))).await,
        json!({"TagList": [{"Key": "a", "Value": "3"}]})
    );
    let many: Vec<Value> = (0..51).map(|n| json!({"Key": format!("k{n}"), "Value": ""})).collect();
    fails(&world, "AddTagsToResource", at(json!({"Tags": many})), &["TooManyTagsError"]).await;
    fails(
        &world,
        "ListTagsForResource",
        json!({"ResourceType": "Parameter", "ResourceId": "/x"}),
        &["InvalidResourceId"],
    )
    .await;
    fails(
        &world,
        "ListTagsForResource",
        json!({"ResourceType": "Document", "ResourceId": "/t"}),
        &["InvalidResourceType"],
    )
    .await;
}

#[tokio::test]
async fn amazons_images_are_found_by_public_parameters() {
    let mut world = World::new();
    let path = "/aws/service/ecs/optimized-ami/amazon-linux-2/recommended";
    let image =
        ok(&world, "GetParameter", json!({"Name": format!("{path}/image_id")})).await["Parameter"].clone();
    let id = image["Value"].as_str().unwrap().to_owned();
    assert!(id.starts_with("ami-0") && id.len() == 21, "{id}");
    assert_eq!(image["ARN"], format!("arn:aws:ssm:us-east-1::parameter{path}/image_id"));
    let document = ok(&world, "GetParameter", json!({"Name": path})).await["Parameter"]["Value"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(serde_json::from_str::<Value>(&document).unwrap()["image_id"], id);
    let newer = ok(
        &world,
        "GetParameters",
        json!({"Names": [
            "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id",
            "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64",
            "/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-x86_64-gp2",
            "/aws/service/nothing",
        ]}),
    )
    .await;
    assert_eq!(newer["Parameters"].as_array().unwrap().len(), 3);
    assert_eq!(newer["InvalidParameters"], json!(["/aws/service/nothing"]));
    let below = ok(
        &world,
        "GetParametersByPath",
        json!({"Path": "/aws/service/ami-amazon-linux-latest", "MaxResults": 10}),
    )
    .await;
    assert_eq!(below["Parameters"].as_array().unwrap().len(), 10);
    assert!(!below["NextToken"].is_null());
    assert_eq!(names(&ok(&world, "DescribeParameters", json!({})).await), Vec::<&str>::new());
    world.region = "eu-west-1";
    let there = ok(&world, "GetParameter", json!({"Name": format!("{path}/image_id")})).await;
    assert_ne!(there["Parameter"]["Value"], id);
}
