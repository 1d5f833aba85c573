//! Placement constraints and strategies.

use gantry_api::ApiError;
use gantry_api::ecs::{PlacementConstraint, PlacementStrategy};
use gantry_domain::service::{PlacementConstraint as Constraint, PlacementStrategy as Strategy};
use gantry_domain::task_definition::LaunchType;

use super::names::{invalid, is_set};

const CONSTRAINTS_MAX: usize = 10;
const STRATEGIES_MAX: usize = 5;
const EXPRESSION_LENGTH_MAX: usize = 2000;

/// Fargate places its tasks itself.
pub(super) fn check_launch_type(
    launch_type: LaunchType,
    constraints: &Option<Vec<PlacementConstraint>>,
    strategies: &Option<Vec<PlacementStrategy>>,
) -> Result<(), ApiError> {
    let what = match (is_set(constraints), is_set(strategies)) {
        (true, _) => "constraints",
        (false, true) => "strategies",
        (false, false) => return Ok(()),
    };
    match launch_type {
        LaunchType::Fargate => {
            Err(invalid(format!("Placement {what} are not supported with FARGATE launch type.")))
        }
        LaunchType::Ec2 | LaunchType::External => Ok(()),
    }
}

pub(super) fn constraints(given: Option<&[PlacementConstraint]>) -> Result<Vec<Constraint>, ApiError> {
    let parse = |each: &PlacementConstraint| match (each.r#type.as_deref(), &each.expression) {
        (Some("distinctInstance"), _) => Ok(Constraint::DistinctInstance),
        (Some("memberOf"), Some(expression)) if expression.len() <= EXPRESSION_LENGTH_MAX => {
            Ok(Constraint::MemberOf(expression.clone()))
        }
        _ => Err(invalid(
            "Invalid placement constraint: type is distinctInstance, or memberOf with an expression.",
        )),
    };
    let given = given.unwrap_or_default();
    if given.len() > CONSTRAINTS_MAX {
        return Err(invalid(format!("At most {CONSTRAINTS_MAX} placement constraints are allowed.")));
    }
    given.iter().map(parse).collect()
}

pub(super) fn strategies(given: Option<&[PlacementStrategy]>) -> Result<Vec<Strategy>, ApiError> {
    let parse = |each: &PlacementStrategy| match (each.r#type.as_deref(), each.field.as_deref()) {
        (Some("random"), _) => Ok(Strategy::Random),
        (Some("spread"), Some(field)) => Ok(Strategy::Spread(field.to_owned())),
        (Some("binpack"), Some(field @ ("cpu" | "CPU" | "memory" | "MEMORY"))) => {
            Ok(Strategy::Binpack(field.to_ascii_lowercase()))
        }
        _ => Err(invalid(
            "Invalid placement strategy: type is random, spread with a field, or binpack with cpu or memory.",
        )),
    };
    let given = given.unwrap_or_default();
    if given.len() > STRATEGIES_MAX {
        return Err(invalid(format!("At most {STRATEGIES_MAX} placement strategies are allowed.")));
    }
    given.iter().map(parse).collect()
}
