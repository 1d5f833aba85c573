//! What stacks of the region give each other.

use gantry_api::cloudformation::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;

use super::{PAGE_SIZE, invalid_token, validation};
use crate::cloudformation::records;
use crate::page::page;

pub(in crate::cloudformation) fn list(
    view: &View,
    call: &CallContext,
    input: &ListExportsInput,
) -> Result<ListExportsOutput, ApiError> {
    let all = records::Export::list(view, &call.region)?.into_iter().map(|found| found.document);
    let page =
        page(all, |export| export.name.clone(), input.next_token.as_deref(), PAGE_SIZE, invalid_token)?;
    let shown = |export: records::Export| Export {
        exporting_stack_id: Some(export.stack_id),
        name: Some(export.name),
        value: Some(export.value),
    };
    Ok(ListExportsOutput {
        exports: Some(page.items.into_iter().map(shown).collect()),
        next_token: page.next,
    })
}

pub(in crate::cloudformation) fn list_imports(
    view: &View,
    call: &CallContext,
    input: &ListImportsInput,
) -> Result<ListImportsOutput, ApiError> {
    let name = &input.export_name;
    let all = records::Import::list(view, &call.region)?.into_iter().map(|found| found.document);
    let users: Vec<String> =
        all.filter(|import| import.export == *name).map(|import| import.stack_name).collect();
    if users.is_empty() {
        return Err(validation(format!("Export '{name}' is not imported by any stack.")));
    }
    let page = page(users, String::clone, input.next_token.as_deref(), PAGE_SIZE, invalid_token)?;
    Ok(ListImportsOutput { imports: Some(page.items), next_token: page.next })
}
