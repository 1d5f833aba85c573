//! Lifecycle policies: which images of a repository expire.
//!
//! `Policy::expired` decides: images in, digests out. Rules are asked in the order of their priority, the lowest number first;
//! an image belongs to the first rule that selects it, whether that rule lets it expire or not, so no image is touched by two.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use gantry_api::ApiError;
use gantry_domain::View;
use gantry_domain::object::Object;
use gantry_images::Digest;
use gantry_images::registry::{RegistryError, RegistryImage, RepositoryName, Selected};
use gantry_types::{Ids, Timestamp};
use serde_json::{Map, Value};

use super::names::internal;
use super::records::{self, Record};
use super::registry::RegistryHost;
use crate::Context;
use crate::objects::Found;

const RULES_MAX: usize = 50;
const PRIORITY_MAX: u64 = 999_999_999;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// AWS evaluates within a day; a policy that was changed is evaluated at the next sweep.
const EVALUATED_EVERY: Duration = Duration::from_secs(3600);

/// A validated policy, its rules in the order of their priority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Policy {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    priority: u64,
    selection: Selection,
    expiry: Expiry,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Selection {
    /// All of these: prefixes, each of which some tag of the image begins with.
    Prefixes(Vec<String>),
    Patterns(Vec<String>),
    Untagged,
    Any,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expiry {
    CountMoreThan(u64),
    DaysSincePush(u64),
}

impl Policy {
    /// The error says what is wrong, in a sentence.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let document: Value =
            serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
        let rules = document.get("rules").and_then(Value::as_array).ok_or("it has no list of rules")?;
        if rules.is_empty() || rules.len() > RULES_MAX {
            return Err(format!("it has {} rules, not 1 to {RULES_MAX}", rules.len()));
        }
        let mut rules = rules.iter().map(rule).collect::<Result<Vec<_>, _>>()?;
        rules.sort_by_key(|rule| rule.priority);
        for pair in rules.windows(2) {
            if pair[0].priority == pair[1].priority {
                return Err(format!("the rulePriority {} is not unique", pair[0].priority));
            }
            if pair[0].selection == Selection::Any {
                return Err(
                    "a rule with tagStatus any must have the highest rulePriority, and be the only one"
                        .into(),
                );
            }
        }
        if rules.iter().filter(|rule| rule.selection == Selection::Untagged).count() > 1 {
            return Err("only one rule may have tagStatus untagged".into());
        }
        Ok(Self { rules })
    }

    /// The images that expire now.
    pub(super) fn expired(&self, images: &[RegistryImage], now: Timestamp) -> BTreeSet<Digest> {
        let mut newest_first: Vec<&RegistryImage> = images.iter().collect();
        newest_first.sort_by_key(|image| Reverse((image.pushed_at, image.digest)));
        let (mut taken, mut expired) = (BTreeSet::new(), BTreeSet::new());
        for rule in &self.rules {
            let selected: Vec<_> = newest_first
                .iter()
                .filter(|image| rule.selection.takes(image) && !taken.contains(&image.digest))
                .collect();
            for (position, image) in selected.into_iter().enumerate() {
                taken.insert(image.digest);
                let is_over = match rule.expiry {
                    Expiry::CountMoreThan(count) => position as u64 >= count,
                    Expiry::DaysSincePush(days) => {
                        let life = DAY.saturating_mul(u32::try_from(days).unwrap_or(u32::MAX));
                        now.since(image.pushed_at) >= life
                    }
                };
                if is_over {
                    expired.insert(image.digest);
                }
            }
        }
        expired
    }
}

impl Selection {
    fn takes(&self, image: &RegistryImage) -> bool {
        let any = |fits: &dyn Fn(&str) -> bool| image.tags.iter().any(|tag| fits(tag));
        match self {
            Self::Prefixes(prefixes) => prefixes.iter().all(|prefix| any(&|tag| tag.starts_with(prefix))),
            Self::Patterns(patterns) => {
                patterns.iter().all(|pattern| any(&|tag| records::matches(pattern, tag)))
            }
            Self::Untagged => image.tags.is_empty(),
            Self::Any => true,
        }
    }
}

fn rule(rule: &Value) -> Result<Rule, String> {
    let rule = rule.as_object().ok_or("a rule is no object")?;
    only(rule, &["rulePriority", "description", "selection", "action"])?;
    let priority = rule.get("rulePriority").and_then(Value::as_u64);
    let priority = priority
        .filter(|priority| (1..=PRIORITY_MAX).contains(priority))
        .ok_or("a rule's rulePriority is no positive number")?;
    let selection = rule.get("selection").and_then(Value::as_object).ok_or("a rule has no selection")?;
    let names = ["tagStatus", "tagPrefixList", "tagPatternList", "countType", "countUnit", "countNumber"];
    only(selection, &names)?;
    let action = rule.get("action").and_then(Value::as_object).ok_or("a rule has no action")?;
    only(action, &["type"])?;
    if text(action, "type")? != "expire" {
        return Err("a rule's action is not expire".into());
    }
    Ok(Rule { priority, selection: tags(selection)?, expiry: expiry(selection)? })
}

fn tags(selection: &Map<String, Value>) -> Result<Selection, String> {
    let prefixes = texts(selection, "tagPrefixList")?;
    let patterns = texts(selection, "tagPatternList")?;
    match (text(selection, "tagStatus")?, prefixes, patterns) {
        ("tagged", Some(prefixes), None) => Ok(Selection::Prefixes(prefixes)),
        ("tagged", None, Some(patterns)) => {
            let fine = |pattern: &String| pattern.matches('*').count() <= 4;
            let message = "a pattern of tags has more than four wildcards";
            patterns.iter().all(fine).then_some(Selection::Patterns(patterns)).ok_or(message.into())
        }
        ("tagged", _, _) => Err("tagStatus tagged needs a tagPrefixList or a tagPatternList".into()),
        ("untagged", None, None) => Ok(Selection::Untagged),
        ("any", None, None) => Ok(Selection::Any),
        ("untagged" | "any", _, _) => Err("only tagStatus tagged has a list of prefixes or patterns".into()),
        (other, _, _) => Err(format!("tagStatus '{other}' is none of tagged, untagged and any")),
    }
}

fn expiry(selection: &Map<String, Value>) -> Result<Expiry, String> {
    let number = selection.get("countNumber").and_then(Value::as_u64).filter(|number| *number > 0);
    let number = number.ok_or("countNumber is no positive number")?;
    let unit = selection.get("countUnit");
    match text(selection, "countType")? {
        "imageCountMoreThan" if unit.is_none() => Ok(Expiry::CountMoreThan(number)),
        "imageCountMoreThan" => Err("countUnit is only for countType sinceImagePushed".into()),
        "sinceImagePushed" if unit.and_then(Value::as_str) == Some("days") => {
            Ok(Expiry::DaysSincePush(number))
        }
        "sinceImagePushed" => Err("countType sinceImagePushed needs the countUnit days".into()),
        other => Err(format!("countType '{other}' is none of imageCountMoreThan and sinceImagePushed")),
    }
}

fn only(object: &Map<String, Value>, names: &[&str]) -> Result<(), String> {
    match object.keys().find(|key| !names.contains(&key.as_str())) {
        Some(unknown) => Err(format!("'{unknown}' is no property of it")),
        None => Ok(()),
    }
}

fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Result<&'a str, String> {
    object.get(name).and_then(Value::as_str).ok_or_else(|| format!("{name} is missing or no text"))
}

fn texts(object: &Map<String, Value>, name: &str) -> Result<Option<Vec<String>>, String> {
    let Some(value) = object.get(name) else { return Ok(None) };
    let list: Option<Vec<String>> =
        value.as_array().and_then(|list| list.iter().map(|text| Some(text.as_str()?.to_owned())).collect());
    let fine = |list: &Vec<String>| !list.is_empty() && list.iter().all(|text| !text.is_empty());
    list.filter(fine).map(Some).ok_or_else(|| format!("{name} is no list of texts"))
}

/// Lets go what has expired in every repository whose policy's time has come.
pub(super) async fn expire(context: &Context, host: &RegistryHost, now: Timestamp) -> Result<(), ApiError> {
    for (region, found) in due(context, now)? {
        let name = found.name.clone();
        let Ok(repository) = RepositoryName::new(&region, &name) else { continue };
        let text = found.document.lifecycle.as_ref().map(|lifecycle| lifecycle.text.clone());
        let Some(Ok(policy)) = text.map(|text| Policy::parse(&text)) else { continue };
        let expired = host.with(move |registry| {
            let expired = policy.expired(&registry.images(&repository)?, now);
            let selected: Vec<Selected> =
                expired.into_iter().map(|digest| Selected { tag: None, digest: Some(digest) }).collect();
            if !selected.is_empty() {
                registry.delete(&repository, &selected)?;
            }
            Ok::<_, RegistryError>(selected.len())
        });
        let count = expired.await.map_err(internal)?;
        if count > 0 {
            tracing::info!(count, "images of {name} expired by its lifecycle policy");
        }
        let decide = |view: &View, _: &mut Ids| {
            let Some(mut found) = records::find(view, &region, &name)? else { return Ok(((), Vec::new())) };
            if let Some(lifecycle) = &mut found.document.lifecycle {
                lifecycle.evaluated_at = Some(now);
            }
            Ok(((), vec![found.update()]))
        };
        context.attempt(decide).await?;
    }
    Ok(())
}

fn due(context: &Context, now: Timestamp) -> Result<Vec<(String, Found<Record>)>, ApiError> {
    context.read(|view| {
        let mut regions: Vec<String> = view
            .scan::<Object>(records::REPOSITORIES)
            .filter_map(|object| object.class.strip_prefix(records::REPOSITORIES).map(str::to_owned))
            .collect();
        regions.dedup();
        let mut due = Vec::new();
        for region in regions {
            for found in records::list(view, &region)? {
                let lifecycle = found.document.lifecycle.as_ref();
                let is_due = lifecycle.is_some_and(|lifecycle| {
                    lifecycle.evaluated_at.is_none_or(|at| now.since(at) >= EVALUATED_EVERY)
                });
                if is_due {
                    due.push((region.clone(), found));
                }
            }
        }
        Ok(due)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(rules: &str) -> Result<Policy, String> {
        Policy::parse(&format!(r#"{{"rules": [{rules}]}}"#))
    }

    fn rule(priority: u64, selection: &str) -> String {
        format!(
            r#"{{"rulePriority": {priority}, "selection": {{{selection}}}, "action": {{"type": "expire"}}}}"#
        )
    }

    const UNTAGGED: &str =
        r#""tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 7"#;
    const ANY: &str = r#""tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 2"#;

    /// Image `n` was pushed `n` days ago.
    fn image(days: u8, tags: &[&str]) -> RegistryImage {
        RegistryImage {
            digest: Digest::of(&[days]),
            media_type: String::new(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            pushed_at: Timestamp::EPOCH + DAY * u32::from(100 - days),
        }
    }

    fn check(rules: &[String], images: &[RegistryImage], expired: &[u8]) {
        let policy = policy(&rules.join(",")).unwrap();
        let found = policy.expired(images, Timestamp::EPOCH + DAY * 100);
        let expected: BTreeSet<Digest> = expired.iter().map(|days| Digest::of(&[*days])).collect();
        assert_eq!(found, expected, "{rules:?}");
    }

    #[test]
    fn images_expire_by_the_first_rule_that_selects_them() {
        let images = [
            image(1, &["prod-3"]),
            image(2, &[]),
            image(7, &[]),
            image(8, &["prod-2"]),
            image(9, &["prod-1", "dev-1"]),
        ];
        check(&[rule(1, UNTAGGED)], &images, &[7]);
        check(&[rule(1, ANY)], &images, &[7, 8, 9]);
        // What the first rule selects, the second does not count, expired or not.
        check(&[rule(1, UNTAGGED), rule(2, ANY)], &images, &[7, 9]);
        let prod = r#""tagStatus": "tagged", "tagPrefixList": ["prod"], "countType": "imageCountMoreThan", "countNumber": 9"#;
        check(&[rule(5, prod), rule(6, ANY)], &images, &[]);
        let both = r#""tagStatus": "tagged", "tagPatternList": ["prod-*", "*-1"], "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 1"#;
        check(&[rule(1, both)], &images, &[9]);
        check(&[rule(1, ANY)], &[], &[]);
    }

    #[test]
    fn what_aws_refuses_is_refused() {
        let any_first = format!("{},{}", rule(1, ANY), rule(2, UNTAGGED));
        let twice = format!("{},{}", rule(1, UNTAGGED), rule(1, ANY));
        for (rules, reason) in [
            ("", "0 rules"),
            (twice.as_str(), "not unique"),
            (any_first.as_str(), "highest rulePriority"),
            (&rule(0, ANY), "positive number"),
            (
                &rule(1, r#""tagStatus": "tagged", "countType": "imageCountMoreThan", "countNumber": 1"#),
                "tagPrefixList",
            ),
            (
                &rule(1, r#""tagStatus": "none", "countType": "imageCountMoreThan", "countNumber": 1"#),
                "'none'",
            ),
            (
                &rule(1, r#""tagStatus": "any", "countType": "sinceImagePushed", "countNumber": 1"#),
                "countUnit",
            ),
            (
                &rule(1, r#""tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 0"#),
                "countNumber",
            ),
            (
                &rule(
                    1,
                    r#""tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1, "x": 1"#,
                ),
                "'x'",
            ),
            (&rule(1, ANY).replace("expire", "keep"), "expire"),
        ] {
            let error = policy(rules).unwrap_err();
            assert!(error.contains(reason), "{rules} gives {error}");
        }
        assert!(Policy::parse("{").is_err());
        assert!(policy(&format!("{},{}", rule(1, UNTAGGED), rule(2, ANY))).is_ok());
    }
}
