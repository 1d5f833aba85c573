use crate::model::{Ask, text};

fn message(ask: &Ask) -> (String, String) {
    let body = text(&ask.refused());
    if body.starts_with('{') {
        let json: serde_json::Value = serde_json::from_str(&body).unwrap();
        return (json["__type"].as_str().unwrap().to_owned(), json["message"].as_str().unwrap().to_owned());
    }
    let part = |tag: &str| {
        let (_, rest) = body.split_once(&format!("<{tag}>")).unwrap();
        rest.split_once(&format!("</{tag}>")).unwrap().0.to_owned()
    };
    (part("Code"), part("Message"))
}

#[test]
fn all_violations_are_told_at_once() {
    let body = r#"{"Color":"GREEN","Count":0,"Map":{"TOO LONG":"x"},"Secret":"short","Tags":[{"Key":"ok"},{},null],"Word":"LONGER"}"#;
    let (code, message) = message(&Ask::json("json", "Echo", body));
    assert_eq!(code, "ValidationException");
    assert_eq!(
        message,
        "8 validation errors detected: Value 'GREEN' at 'color' failed to satisfy constraint: Member must satisfy enum value set: [RED, BLUE]; \
         Value '0' at 'count' failed to satisfy constraint: Member must have value greater than or equal to 1; \
         Value '{TOO LONG=x}' at 'map' failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 5, Member must satisfy regular expression pattern: [a-z]*]; \
         Value at 'secret' failed to satisfy constraint: Member must have length greater than or equal to 8; \
         Value null at 'tags.2.member.key' failed to satisfy constraint: Member must not be null; \
         Value null at 'tags.3.member' failed to satisfy constraint: Member must not be null; \
         Value 'LONGER' at 'word' failed to satisfy constraint: Member must have length less than or equal to 5; \
         Value 'LONGER' at 'word' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-z]*"
    );
}

#[test]
fn at_most_ten_are_told_and_long_values_are_cut() {
    let tags = vec!["{}"; 30].join(",");
    let (_, many) = message(&Ask::json("json", "Echo", &format!(r#"{{"Tags":[{tags}]}}"#)));
    assert!(many.starts_with("10 validation errors detected: "));
    assert_eq!(many.matches("Member must not be null").count(), 10);
    let (_, long) = message(&Ask::json("json", "Echo", &format!(r#"{{"Word":"{}"}}"#, "ü".repeat(100_000))));
    assert!(long.len() < 6000, "{}", long.len());
}

#[test]
fn each_service_has_its_own_words() {
    let need = "Action=Need&Version=2020-01-01";
    let cases = [
        (
            Ask::json("json", "Need", r#"{"List":[]}"#),
            "ValidationException",
            "1 validation error detected: Value null at 'taskName' failed to satisfy constraint: Member must not be null",
        ),
        (
            Ask::json("logs", "Need", r#"{"List":[]}"#),
            "InvalidParameterException",
            "1 validation error detected: Value null at 'taskName' failed to satisfy constraint: Member must not be null",
        ),
        (
            Ask::form("service", &format!("{need}&List.member.1=a")),
            "ValidationError",
            "1 validation error detected: Value null at 'taskName' failed to satisfy constraint: Member must not be null",
        ),
        (
            Ask::json("ecs", "Need", r#"{"List":[]}"#),
            "InvalidParameterException",
            "Task Name can not be blank.",
        ),
        (
            Ask::json("ecs", "Need", r#"{"TaskName":"a"}"#),
            "InvalidParameterException",
            "List cannot be empty.",
        ),
        (
            Ask::json("ecs", "Echo", r#"{"Tags":[{}]}"#),
            "InvalidParameterException",
            "Tag.Key should not be null or empty.",
        ),
        (
            Ask::form("ec2", &format!("{need}&List.1=a")),
            "MissingParameter",
            "The request must contain the parameter taskName",
        ),
        (
            Ask::form("ec2", &format!("{need}&List.1=a&TaskName=a&Word=A")),
            "InvalidParameterValue",
            "Value (A) for parameter word is invalid. The length must be at least 2.",
        ),
    ];
    for (ask, code, text) in cases {
        assert_eq!(message(&ask), (code.to_owned(), text.to_owned()));
    }
}
