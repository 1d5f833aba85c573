//! AWS Systems Manager: the Parameter Store.
//!
//! A parameter's record holds its newest version, its labels and its tags; older versions stand in records of their own below
//! an id that is the parameter's alone, so that writing a parameter again costs the same however long its history is, and a
//! parameter that is deleted and made again has none.
//!
//! A SecureString is kept as it was given, in the store's own directory that nobody else may read: there is no key service
//! beside it that would make encrypting it mean anything. Without `WithDecryption` a caller gets a text of random characters
//! in the place of the cipher text, and listings never have the value.

mod delete;
mod describe;
mod filters;
mod get;
mod history;
mod labels;
mod names;
mod path;
mod public;
mod put;
mod records;
mod tags;
#[cfg(test)]
mod tests;

pub(crate) use get::get as get_parameter;

use gantry_api::ssm::*;

handlers! {
    Ssm;
    write put_parameter(PutParameterRequest) -> PutParameterResult = put::put;
    read get_parameter(GetParameterRequest) -> GetParameterResult = get::get;
    read get_parameters(GetParametersRequest) -> GetParametersResult = get::get_many;
    read get_parameters_by_path(GetParametersByPathRequest) -> GetParametersByPathResult = path::get;
    read get_parameter_history(GetParameterHistoryRequest) -> GetParameterHistoryResult = history::get;
    read describe_parameters(DescribeParametersRequest) -> DescribeParametersResult = describe::describe;
    write delete_parameter(DeleteParameterRequest) -> DeleteParameterResult = delete::delete;
    io delete_parameters(DeleteParametersRequest) -> DeleteParametersResult = delete::delete_many;
    write label_parameter_version(LabelParameterVersionRequest) -> LabelParameterVersionResult = labels::label;
    write unlabel_parameter_version(UnlabelParameterVersionRequest) -> UnlabelParameterVersionResult
        = labels::unlabel;
    write add_tags_to_resource(AddTagsToResourceRequest) -> AddTagsToResourceResult = tags::add;
    write remove_tags_from_resource(RemoveTagsFromResourceRequest) -> RemoveTagsFromResourceResult = tags::remove;
    read list_tags_for_resource(ListTagsForResourceRequest) -> ListTagsForResourceResult = tags::list;
}
