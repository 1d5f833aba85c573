//! Rules. The default rule is the listener's own actions, shown as a rule.

use gantry_api::elbv2::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::elb::{Listener as ListenerRecord, Rule as RuleRecord};
use gantry_domain::{Change, Stored, Versioned, View};
use gantry_types::{Arn, Ids, arn};

use super::catalogue::RULES_MAX;
use super::names::{invalid_marker, listener, page_size, rule, validation};
use super::{actions, conditions, tags};
use crate::Decision;
use crate::page::page;
use crate::ties::touch;

const PRIORITY_MAX: u32 = 50_000;

fn priority(given: i32) -> Result<u32, ApiError> {
    let priority = u32::try_from(given).ok().filter(|priority| (1..=PRIORITY_MAX).contains(priority));
    priority.ok_or_else(|| {
        validation(format!("Rule priority must be between 1 and {PRIORITY_MAX}, it is '{given}'"))
    })
}

fn in_use(priority: u32) -> ApiError {
    errors::priority_in_use_exception(format!("Priority '{priority}' is currently in use"))
}

/// The ARN of a listener's default rule.
fn default_arn(listener: &ListenerRecord) -> Arn {
    let resource = listener.arn.resource().trim_start_matches("listener/");
    let id = listener.arn.name();
    arn("elasticloadbalancing", listener.arn.region(), &format!("listener-rule/{resource}/{id}"))
}

fn balancer_of<'v>(
    view: &'v View,
    listener: &ListenerRecord,
) -> Result<Versioned<'v, gantry_domain::elb::LoadBalancer>, ApiError> {
    view.load_balancer(&listener.load_balancer).ok_or_else(|| {
        errors::load_balancer_not_found_exception(format!(
            "Load balancer '{}' not found",
            listener.load_balancer
        ))
    })
}

fn refuse_transforms(transforms: Option<&[RuleTransform]>) -> Result<(), ApiError> {
    match transforms {
        None | Some([]) => Ok(()),
        Some(_) => Err(validation("Gantry does not support rule transforms yet")),
    }
}

pub(super) fn create(
    view: &View,
    call: &CallContext,
    input: &CreateRuleInput,
    ids: &mut Ids,
) -> Decision<CreateRuleOutput> {
    refuse_transforms(input.transforms.as_deref())?;
    let listener = listener(view, call, &input.listener_arn)?;
    let balancer = balancer_of(view, listener.value())?;
    let priority = priority(input.priority)?;
    let conditions = conditions::parse(&input.conditions)?;
    let (actions, mut changes) = actions::parse(view, call, balancer.value(), &input.actions)?;
    let others = view.rules_of(&listener.arn);
    if others.iter().any(|other| other.priority == priority) {
        return Err(in_use(priority));
    }
    let all: usize = view.listeners_of(&balancer.arn).map(|each| view.rules_of(&each.arn).len()).sum();
    if all >= RULES_MAX {
        return Err(errors::too_many_rules_exception(
            "The maximum number of rules of this load balancer has been reached",
        ));
    }
    let resource = listener.arn.resource().trim_start_matches("listener/");
    let record = RuleRecord {
        arn: arn(
            "elasticloadbalancing",
            call.region.as_str(),
            &format!("listener-rule/{resource}/{}", ids.hex(16)),
        ),
        listener: listener.arn.clone(),
        priority,
        conditions,
        actions,
        document: tags::document(call, input.tags.as_deref())?,
    };
    let output = CreateRuleOutput { rules: Some(vec![shown(&record)]) };
    // Writing the listener again makes two rules of one priority, made at the same time, conflict.
    changes.push(touch(&listener));
    changes.push(Change::create(record));
    Ok((output, changes))
}

/// A listener's default rule goes with the listener and is changed with it.
fn refuse_default(view: &View, text: &str, what: &str) -> Result<(), ApiError> {
    match default_rule(view, text) {
        None => Ok(()),
        Some(_) => {
            Err(errors::operation_not_permitted_exception(format!("Default rule '{text}' cannot be {what}")))
        }
    }
}

/// The listener whose default rule has this ARN.
fn default_rule<'v>(view: &'v View, text: &str) -> Option<&'v ListenerRecord> {
    // A default rule's id is its listener's.
    let arn: Arn = text.parse().ok()?;
    let (resource, _) = arn.resource().strip_prefix("listener-rule/")?.rsplit_once('/')?;
    let listener = gantry_types::arn(arn.service(), arn.region(), &format!("listener/{resource}"));
    let listener = view.listener(&listener)?.value();
    (default_arn(listener).as_str() == text).then_some(listener)
}

pub(super) fn delete(
    view: &View,
    call: &CallContext,
    input: &DeleteRuleInput,
    _ids: &mut Ids,
) -> Decision<DeleteRuleOutput> {
    refuse_default(view, &input.rule_arn, "deleted")?;
    let found = rule(view, call, &input.rule_arn)?;
    Ok((DeleteRuleOutput {}, vec![Change::delete(found.value().key(), found.revision)]))
}

fn shown(record: &RuleRecord) -> Rule {
    Rule {
        rule_arn: Some(record.arn.to_string()),
        priority: Some(record.priority.to_string()),
        conditions: Some(conditions::shown(&record.conditions)),
        actions: Some(actions::shown(&record.actions)),
        is_default: Some(false),
        transforms: Some(vec![]),
    }
}

fn shown_default(listener: &ListenerRecord) -> Rule {
    Rule {
        rule_arn: Some(default_arn(listener).to_string()),
        priority: Some("default".to_owned()),
        conditions: Some(vec![]),
        actions: Some(actions::shown(&listener.default_actions)),
        is_default: Some(true),
        transforms: Some(vec![]),
    }
}

pub(super) fn describe(
    view: &View,
    call: &CallContext,
    input: &DescribeRulesInput,
) -> Result<DescribeRulesOutput, ApiError> {
    let rules: Vec<Rule> = match (&input.listener_arn, input.rule_arns.as_deref()) {
        (Some(_), Some(arns)) if !arns.is_empty() => {
            return Err(validation("Rule ARNs and a listener ARN cannot be specified at the same time"));
        }
        (Some(arn), _) => {
            let listener = listener(view, call, arn)?;
            let own = view.rules_of(&listener.arn);
            own.iter().map(|rule| shown(rule.value())).chain([shown_default(listener.value())]).collect()
        }
        (None, Some(arns)) if !arns.is_empty() => {
            let find = |text: &String| match default_rule(view, text)
                .filter(|listener| listener.arn.region() == call.region.as_str())
            {
                Some(listener) => Ok(shown_default(listener)),
                None => Ok(shown(rule(view, call, text)?.value())),
            };
            arns.iter().map(find).collect::<Result<_, ApiError>>()?
        }
        (None, _) => return Err(validation("You must specify either listener ARN or rule ARNs")),
    };
    // Priorities as sorted text; the default rule comes last.
    let key = |rule: &Rule| {
        let priority = rule.priority.as_deref().and_then(|text| text.parse::<u32>().ok()).unwrap_or(u32::MAX);
        format!("{priority:010}{}", rule.rule_arn.as_deref().unwrap_or(""))
    };
    let size = page_size(input.page_size)?;
    let page = page(rules, key, input.marker.as_deref(), size, invalid_marker)?;
    Ok(DescribeRulesOutput { rules: Some(page.items), next_marker: page.next })
}

pub(super) fn modify(
    view: &View,
    call: &CallContext,
    input: &ModifyRuleInput,
    _ids: &mut Ids,
) -> Decision<ModifyRuleOutput> {
    refuse_transforms(input.transforms.as_deref())?;
    refuse_default(view, &input.rule_arn, "modified")?;
    let found = rule(view, call, &input.rule_arn)?;
    let mut record = found.value().clone();
    let listener = view
        .listener(&record.listener)
        .ok_or_else(|| errors::listener_not_found_exception("One or more listeners not found"))?;
    let balancer = balancer_of(view, listener.value())?;
    let mut changes = vec![];
    if let Some(given) = &input.conditions {
        record.conditions = conditions::parse(given)?;
    }
    if let Some(given) = &input.actions {
        let (parsed, checks) = actions::parse(view, call, balancer.value(), given)?;
        record.actions = parsed;
        changes.extend(checks);
    }
    let output = ModifyRuleOutput { rules: Some(vec![shown(&record)]) };
    changes.push(Change::update(record, found.revision));
    Ok((output, changes))
}

pub(super) fn set_priorities(
    view: &View,
    call: &CallContext,
    input: &SetRulePrioritiesInput,
    _ids: &mut Ids,
) -> Decision<SetRulePrioritiesOutput> {
    if input.rule_priorities.is_empty() || input.rule_priorities.len() > RULES_MAX {
        return Err(validation(format!("Between 1 and {RULES_MAX} rule priorities must be specified")));
    }
    let mut moved: Vec<(RuleRecord, u64)> = Vec::new();
    for pair in &input.rule_priorities {
        let text = pair.rule_arn.as_deref().unwrap_or("");
        refuse_default(view, text, "given a priority")?;
        let found = rule(view, call, text)?;
        if moved.iter().any(|(other, _)| other.arn == found.arn) {
            return Err(validation(format!("Rule '{text}' is given more than one priority")));
        }
        let mut record = found.value().clone();
        record.priority = priority(pair.priority.unwrap_or(0))?;
        moved.push((record, found.revision));
    }
    let (mut changes, mut listeners): (Vec<Change>, Vec<Arn>) = (Vec::new(), Vec::new());
    for (record, _) in &moved {
        let stays = |other: &RuleRecord| !moved.iter().any(|(each, _)| each.arn == other.arn);
        let taken = view
            .rules_of(&record.listener)
            .iter()
            .any(|other| stays(other.value()) && other.priority == record.priority)
            || moved.iter().any(|(other, _)| {
                other.arn != record.arn
                    && other.listener == record.listener
                    && other.priority == record.priority
            });
        if taken {
            return Err(in_use(record.priority));
        }
        if !listeners.contains(&record.listener) {
            listeners.push(record.listener.clone());
        }
    }
    for arn in listeners {
        if let Some(listener) = view.listener(&arn) {
            changes.push(touch(&listener));
        }
    }
    let output =
        SetRulePrioritiesOutput { rules: Some(moved.iter().map(|(record, _)| shown(record)).collect()) };
    changes.extend(moved.into_iter().map(|(record, revision)| Change::update(record, revision)));
    Ok((output, changes))
}
