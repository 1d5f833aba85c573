//! Tags of repositories.

use gantry_api::ecr::*;
use gantry_api::{ApiError, CallContext};
use gantry_types::ACCOUNT;

use super::names::{self, Known, invalid, known};
use crate::Context;
use crate::reserved::{is_aws, is_reserved};

const TAGS_MAX: usize = 50;
const KEY_CHARACTERS_MAX: usize = 128;
const VALUE_CHARACTERS_MAX: usize = 256;

pub(super) fn check_tags(call: &CallContext, tags: &[Tag]) -> Result<(), ApiError> {
    for (index, tag) in tags.iter().enumerate() {
        let too_long =
            tag.key.chars().count() > KEY_CHARACTERS_MAX || tag.value.chars().count() > VALUE_CHARACTERS_MAX;
        if tag.key.is_empty() || too_long || is_reserved(call, &tag.key) {
            return Err(errors::invalid_tag_parameter_exception(format!(
                "The tag '{}' is not valid: a key has 1 to {KEY_CHARACTERS_MAX} characters and does not begin with aws:, \
                 a value has at most {VALUE_CHARACTERS_MAX}.",
                tag.key.chars().take(KEY_CHARACTERS_MAX).collect::<String>()
            )));
        }
        if tags[..index].iter().any(|other| other.key == tag.key) {
            return Err(errors::invalid_tag_parameter_exception(format!(
                "The tag key '{}' is given more than once.",
                tag.key
            )));
        }
    }
    if count(tags) > TAGS_MAX { Err(too_many()) } else { Ok(()) }
}

/// Those of AWS do not count.
fn count(tags: &[Tag]) -> usize {
    tags.iter().filter(|tag| !is_aws(&tag.key)).count()
}

fn too_many() -> ApiError {
    errors::too_many_tags_exception(format!("A repository can have no more than {TAGS_MAX} tags."))
}

async fn by_arn(context: &Context, call: &CallContext, arn: &str) -> Result<Known, ApiError> {
    let malformed = || {
        invalid(format!(
            "Invalid parameter at 'resourceArn' failed to satisfy constraint: 'must be the ARN of a repository', was '{}'",
            arn.chars().take(300).collect::<String>()
        ))
    };
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", "aws", "ecr", region, account, resource] = parts[..] else { return Err(malformed()) };
    let name = resource.strip_prefix("repository/").ok_or_else(malformed)?;
    if region != call.region.as_str() {
        return Err(names::not_found(name, Some(account)));
    }
    known(context, call, Some(account).filter(|account| *account != ACCOUNT), name).await
}

pub(super) async fn tag(
    context: &Context,
    call: &CallContext,
    input: &TagResourceRequest,
) -> Result<TagResourceResponse, ApiError> {
    check_tags(call, &input.tags)?;
    let known = by_arn(context, call, &input.resource_arn).await?;
    names::change(context, &known, |record| {
        for tag in &input.tags {
            record.tags.retain(|other| other.key != tag.key);
            record.tags.push(tag.clone());
        }
        if count(&record.tags) > TAGS_MAX {
            return Err(too_many());
        }
        Ok(TagResourceResponse {})
    })
    .await
}

pub(super) async fn untag(
    context: &Context,
    call: &CallContext,
    input: &UntagResourceRequest,
) -> Result<UntagResourceResponse, ApiError> {
    let known = by_arn(context, call, &input.resource_arn).await?;
    names::change(context, &known, |record| {
        record.tags.retain(|tag| is_reserved(call, &tag.key) || !input.tag_keys.contains(&tag.key));
        Ok(UntagResourceResponse {})
    })
    .await
}

pub(super) async fn list(
    context: &Context,
    call: &CallContext,
    input: &ListTagsForResourceRequest,
) -> Result<ListTagsForResourceResponse, ApiError> {
    let known = by_arn(context, call, &input.resource_arn).await?;
    Ok(ListTagsForResourceResponse { tags: Some(known.record.tags) })
}
