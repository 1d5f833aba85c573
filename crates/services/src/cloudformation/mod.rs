//! AWS CloudFormation: stacks of resources that are made, changed and removed together.
//!
//! Flow: an operation ([`api`]) checks its request by the template's language (`gantry-template`) and commits the stack's
//! [`records`]. The [`engine`], a background task of `control`, makes what they say: it calls the other services through the
//! same handlers as anybody ([`caller`]), as each resource's type ([`resource`], [`resources`]) tells.
//!
//! Invariants:
//! - Nothing is made before the whole template has been checked as far as it can be known.
//! - A thing and the record that it is the stack's are made by one commit, or the thing has a name that was recorded before
//!   ([`engine`]).
//! - What a stack made carries tags that say so (`aws:cloudformation:..`), which callers from outside can neither set nor remove.
//!
//! Not served: drift, stack sets, hooks, macros, the registry of types, imports of existing resources, templates by URL.

mod api;
pub(crate) mod caller;
mod difference;
mod engine;
mod failure;
mod mapping;
mod naming;
mod plan;
mod policy;
mod records;
mod resource;
mod resources;

pub use engine::run;

use gantry_api::cloudformation::*;

handlers! {
    Cloudformation;
    write create_stack(CreateStackInput) -> CreateStackOutput = api::stacks::create;
    write update_stack(UpdateStackInput) -> UpdateStackOutput = api::stacks::update;
    write delete_stack(DeleteStackInput) -> () = api::operations::delete;
    write cancel_update_stack(CancelUpdateStackInput) -> () = api::operations::cancel_update;
    write continue_update_rollback(ContinueUpdateRollbackInput) -> ContinueUpdateRollbackOutput
        = api::operations::continue_rollback;
    write rollback_stack(RollbackStackInput) -> RollbackStackOutput = api::operations::roll_back;
    write update_termination_protection(UpdateTerminationProtectionInput) -> UpdateTerminationProtectionOutput
        = api::operations::protect;
    read describe_stacks(DescribeStacksInput) -> DescribeStacksOutput = api::describe::describe;
    read list_stacks(ListStacksInput) -> ListStacksOutput = api::describe::list;
    read describe_stack_resource(DescribeStackResourceInput) -> DescribeStackResourceOutput
        = api::resources::describe_one;
    read describe_stack_resources(DescribeStackResourcesInput) -> DescribeStackResourcesOutput
        = api::resources::describe_many;
    read list_stack_resources(ListStackResourcesInput) -> ListStackResourcesOutput = api::resources::list;
    read describe_stack_events(DescribeStackEventsInput) -> DescribeStackEventsOutput = api::events::describe;
    read describe_events(DescribeEventsInput) -> DescribeEventsOutput = api::events::describe_operations;
    write create_change_set(CreateChangeSetInput) -> CreateChangeSetOutput = api::change_sets::create;
    read describe_change_set(DescribeChangeSetInput) -> DescribeChangeSetOutput = api::change_sets::describe;
    read list_change_sets(ListChangeSetsInput) -> ListChangeSetsOutput = api::change_sets::list;
    write delete_change_set(DeleteChangeSetInput) -> DeleteChangeSetOutput = api::change_sets::delete;
    write execute_change_set(ExecuteChangeSetInput) -> ExecuteChangeSetOutput = api::change_sets::execute;
    read get_template(GetTemplateInput) -> GetTemplateOutput = api::templates::get;
    read get_template_summary(GetTemplateSummaryInput) -> GetTemplateSummaryOutput = api::templates::summary;
    read validate_template(ValidateTemplateInput) -> ValidateTemplateOutput = api::templates::validate;
    read describe_account_limits(DescribeAccountLimitsInput) -> DescribeAccountLimitsOutput
        = api::templates::limits;
    read list_exports(ListExportsInput) -> ListExportsOutput = api::exports::list;
    read list_imports(ListImportsInput) -> ListImportsOutput = api::exports::list_imports;
    write signal_resource(SignalResourceInput) -> () = api::signals::signal;
    write set_stack_policy(SetStackPolicyInput) -> () = api::policies::set;
    read get_stack_policy(GetStackPolicyInput) -> GetStackPolicyOutput = api::policies::get;
}
