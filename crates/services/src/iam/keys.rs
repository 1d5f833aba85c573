//! Users' access keys.

use gantry_api::iam::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;
use gantry_types::Ids;

use super::listing::listed;
use super::records::{exceeded, missing, user};
use super::users::caller;
use crate::Decision;
use crate::objects::{self, Found};
use crate::secrets::NewKey;

/// By access key id, as the verifier asks for them.
const KEY: &str = "iam/access-key";
const KEYS_PER_USER_MAX: usize = 2;

/// The access key with this id, secret included.
pub(crate) fn find_key(view: &View, id: &str) -> Result<Option<Found<AccessKey>>, ApiError> {
    objects::find(view, KEY, id)
}

pub(super) fn keys_of(view: &View, user_name: &str) -> Result<Vec<Found<AccessKey>>, ApiError> {
    let mut keys = objects::list::<AccessKey>(view, KEY)?;
    keys.retain(|key| key.document.user_name == user_name);
    Ok(keys)
}

/// The user is written again, so that it is not deleted meanwhile.
pub(super) fn create(
    view: &View,
    call: &CallContext,
    input: &CreateAccessKeyRequest,
    _ids: &mut Ids,
    secret: &NewKey,
) -> Decision<CreateAccessKeyResponse> {
    let name = input.user_name.as_deref().map_or_else(|| caller(call), Ok)?;
    let user = user(view, name)?;
    let name = user.document.shown.user_name.clone();
    if keys_of(view, &name)?.len() >= KEYS_PER_USER_MAX {
        return Err(exceeded("AccessKeysPerUser", KEYS_PER_USER_MAX));
    }
    let access_key = AccessKey {
        access_key_id: secret.long_term_id(),
        create_date: Some(call.now),
        secret_access_key: secret.secret().to_owned(),
        status: "Active".to_owned(),
        user_name: name,
    };
    let change = objects::create(KEY, &access_key.access_key_id, access_key.clone());
    Ok((CreateAccessKeyResponse { access_key }, vec![change, user.update()]))
}

pub(super) fn delete(
    view: &View,
    call: &CallContext,
    input: &DeleteAccessKeyRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let name = input.user_name.as_deref().map_or_else(|| caller(call), Ok)?;
    let name = user(view, name)?.document.shown.user_name;
    let id = &input.access_key_id;
    let key = find_key(view, id)?.filter(|key| key.document.user_name == name);
    let key = key.ok_or_else(|| missing(format!("The Access Key with id {id} cannot be found.")))?;
    Ok(((), vec![key.delete()]))
}

pub(super) fn list(
    view: &View,
    call: &CallContext,
    input: &ListAccessKeysRequest,
) -> Result<ListAccessKeysResponse, ApiError> {
    let name = input.user_name.as_deref().map_or_else(|| caller(call), Ok)?;
    let keys = keys_of(view, &user(view, name)?.document.shown.user_name)?;
    let shown = keys.into_iter().map(|key| AccessKeyMetadata {
        access_key_id: Some(key.document.access_key_id),
        create_date: key.document.create_date,
        status: Some(key.document.status),
        user_name: Some(key.document.user_name),
    });
    let order = |key: &AccessKeyMetadata| key.access_key_id.clone().unwrap_or_default();
    let page = listed(shown, order, input.marker.as_deref(), input.max_items)?;
    Ok(ListAccessKeysResponse {
        access_key_metadata: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}
