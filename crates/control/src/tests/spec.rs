//! What a node is told of a task.

use gantry_domain::task_definition::TaskDefinition;
use gantry_types::{Timestamp, Value};

use super::records::definition;
use crate::spec::role;

#[test]
fn a_tasks_role_is_its_own_or_the_definitions_by_name_or_arn() {
    let arn = |name: &str| format!("arn:aws:iam::123456789012:role/{name}");
    for (defined, overridden, expected) in [
        (None, None, None),
        (Some("page".to_owned()), None, Some(arn("page"))),
        (Some(arn("apps/page")), None, Some(arn("apps/page"))),
        (Some("page".to_owned()), Some(arn("other")), Some(arn("other"))),
        (None, Some("other".to_owned()), Some(arn("other"))),
        (Some("page".to_owned()), Some(String::new()), Some(arn("page"))),
        (Some(String::new()), None, None),
        (Some("arn:nonsense".to_owned()), None, None),
    ] {
        let definition = TaskDefinition { task_role: defined.clone(), ..definition(1, Timestamp::EPOCH) };
        let overrides = overridden.clone().map(|role| Value::structure([("taskRoleArn", role.into())]));
        let found = role(&definition, overrides.as_ref()).map(|role| role.to_string());
        assert_eq!(found, expected, "{defined:?} {overridden:?}");
    }
}
