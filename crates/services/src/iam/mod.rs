//! IAM: roles, users, policies and instance profiles. It has no region.
//!
//! Names are told apart without regard to case, as at AWS: a record's name is the lower-case one, and the name as it was given
//! stands in the record. What is attached to a policy and what is in an instance profile stands once, at the role, user or
//! profile; a change that ties two records together writes both, so that a deletion of one that did not see the tie conflicts.

mod attached;
mod documents;
mod inline;
mod keys;
mod linked;
mod listing;
mod managed;
mod policies;
mod profiles;
mod records;
mod roles;
mod tags;
#[cfg(test)]
mod tests;
mod users;
mod versions;

pub(crate) use keys::find_key;
pub(crate) use records::{find_role, find_user};

use gantry_api::iam::*;

handlers! {
    Iam;
    write create_role(CreateRoleRequest) -> CreateRoleResponse = roles::create;
    write delete_role(DeleteRoleRequest) -> () = roles::delete;
    read get_role(GetRoleRequest) -> GetRoleResponse = roles::get;
    read list_roles(ListRolesRequest) -> ListRolesResponse = roles::list;
    write update_role(UpdateRoleRequest) -> UpdateRoleResponse = roles::update;
    write update_role_description(UpdateRoleDescriptionRequest) -> UpdateRoleDescriptionResponse
        = roles::update_description;
    write update_assume_role_policy(UpdateAssumeRolePolicyRequest) -> () = roles::update_assume_role_policy;
    write put_role_permissions_boundary(PutRolePermissionsBoundaryRequest) -> () = roles::put_boundary;
    write delete_role_permissions_boundary(DeleteRolePermissionsBoundaryRequest) -> () = roles::delete_boundary;
    write tag_role(TagRoleRequest) -> () = tags::tag_role;
    write untag_role(UntagRoleRequest) -> () = tags::untag_role;
    read list_role_tags(ListRoleTagsRequest) -> ListRoleTagsResponse = tags::list_role_tags;
    write put_role_policy(PutRolePolicyRequest) -> () = inline::put_role_policy;
    write delete_role_policy(DeleteRolePolicyRequest) -> () = inline::delete_role_policy;
    read get_role_policy(GetRolePolicyRequest) -> GetRolePolicyResponse = inline::get_role_policy;
    read list_role_policies(ListRolePoliciesRequest) -> ListRolePoliciesResponse = inline::list_role_policies;
    write put_user_policy(PutUserPolicyRequest) -> () = inline::put_user_policy;
    write delete_user_policy(DeleteUserPolicyRequest) -> () = inline::delete_user_policy;
    read get_user_policy(GetUserPolicyRequest) -> GetUserPolicyResponse = inline::get_user_policy;
    read list_user_policies(ListUserPoliciesRequest) -> ListUserPoliciesResponse = inline::list_user_policies;
    write attach_role_policy(AttachRolePolicyRequest) -> () = attached::attach_role_policy;
    write detach_role_policy(DetachRolePolicyRequest) -> () = attached::detach_role_policy;
    read list_attached_role_policies(ListAttachedRolePoliciesRequest) -> ListAttachedRolePoliciesResponse
        = attached::list_attached_role_policies;
    write attach_user_policy(AttachUserPolicyRequest) -> () = attached::attach_user_policy;
    write detach_user_policy(DetachUserPolicyRequest) -> () = attached::detach_user_policy;
    read list_attached_user_policies(ListAttachedUserPoliciesRequest) -> ListAttachedUserPoliciesResponse
        = attached::list_attached_user_policies;
    read list_entities_for_policy(ListEntitiesForPolicyRequest) -> ListEntitiesForPolicyResponse
        = attached::list_entities_for_policy;
    write create_policy(CreatePolicyRequest) -> CreatePolicyResponse = policies::create;
    write delete_policy(DeletePolicyRequest) -> () = policies::delete;
    read get_policy(GetPolicyRequest) -> GetPolicyResponse = policies::get;
    read list_policies(ListPoliciesRequest) -> ListPoliciesResponse = policies::list;
    write tag_policy(TagPolicyRequest) -> () = tags::tag_policy;
    write untag_policy(UntagPolicyRequest) -> () = tags::untag_policy;
    read list_policy_tags(ListPolicyTagsRequest) -> ListPolicyTagsResponse = tags::list_policy_tags;
    write create_policy_version(CreatePolicyVersionRequest) -> CreatePolicyVersionResponse = versions::create;
    write delete_policy_version(DeletePolicyVersionRequest) -> () = versions::delete;
    read get_policy_version(GetPolicyVersionRequest) -> GetPolicyVersionResponse = versions::get;
    read list_policy_versions(ListPolicyVersionsRequest) -> ListPolicyVersionsResponse = versions::list;
    write set_default_policy_version(SetDefaultPolicyVersionRequest) -> () = versions::set_default;
    write create_instance_profile(CreateInstanceProfileRequest) -> CreateInstanceProfileResponse = profiles::create;
    write delete_instance_profile(DeleteInstanceProfileRequest) -> () = profiles::delete;
    read get_instance_profile(GetInstanceProfileRequest) -> GetInstanceProfileResponse = profiles::get;
    read list_instance_profiles(ListInstanceProfilesRequest) -> ListInstanceProfilesResponse = profiles::list;
    read list_instance_profiles_for_role(ListInstanceProfilesForRoleRequest) -> ListInstanceProfilesForRoleResponse
        = profiles::list_for_role;
    write add_role_to_instance_profile(AddRoleToInstanceProfileRequest) -> () = profiles::add_role;
    write remove_role_from_instance_profile(RemoveRoleFromInstanceProfileRequest) -> () = profiles::remove_role;
    write tag_instance_profile(TagInstanceProfileRequest) -> () = tags::tag_instance_profile;
    write untag_instance_profile(UntagInstanceProfileRequest) -> () = tags::untag_instance_profile;
    read list_instance_profile_tags(ListInstanceProfileTagsRequest) -> ListInstanceProfileTagsResponse
        = tags::list_instance_profile_tags;
    write create_user(CreateUserRequest) -> CreateUserResponse = users::create;
    write delete_user(DeleteUserRequest) -> () = users::delete;
    settings get_user(GetUserRequest) -> GetUserResponse = users::get;
    read list_users(ListUsersRequest) -> ListUsersResponse = users::list;
    secret create_access_key(CreateAccessKeyRequest) -> CreateAccessKeyResponse = keys::create;
    write delete_access_key(DeleteAccessKeyRequest) -> () = keys::delete;
    read list_access_keys(ListAccessKeysRequest) -> ListAccessKeysResponse = keys::list;
    write create_service_linked_role(CreateServiceLinkedRoleRequest) -> CreateServiceLinkedRoleResponse
        = linked::create;
    write delete_service_linked_role(DeleteServiceLinkedRoleRequest) -> DeleteServiceLinkedRoleResponse
        = linked::delete;
    read get_service_linked_role_deletion_status(GetServiceLinkedRoleDeletionStatusRequest)
        -> GetServiceLinkedRoleDeletionStatusResponse = linked::deletion_status;
    read list_account_aliases(ListAccountAliasesRequest) -> ListAccountAliasesResponse = users::list_account_aliases;
}
