//! `gantry down`: what `gantry up` brought up goes, and at last the server that it started.

use std::path::Path;

use gantry_types::Value;

use super::deploy::watch;
use super::document::text;
use super::record::{StackRecord, TerraformRecord, UpRecord};
use super::screen::Screen;
use super::{failure, stack};
use crate::cli::Failure;
use crate::client::{CallError, Client};
use crate::layout::Layout;

/// Deletes a stack and forgets it.
pub(crate) async fn remove_stack(
    client: &Client,
    layout: &Layout,
    name: &str,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let failed = |error: &CallError| {
        let next = "see why with `aws cloudformation describe-stack-events`, and run `gantry down` again";
        Failure::new(format!("removing the stack {name}"), error, next)
    };
    let found = stack::describe(client, name).await.map_err(|error| failed(&error))?;
    if let Some(found) = found {
        let id = text(&found, "StackId").to_owned();
        screen.step("remove", name);
        let events = stack::events_after(client, &id, None).await.map_err(|error| failed(&error))?;
        let seen = events.last().map(|event| text(event, "EventId").to_owned());
        let input = Value::structure([("StackName", id.as_str().into())]);
        client.call("cloudformation", "DeleteStack", input).await.map_err(|error| failed(&error))?;
        let ended = watch(client, &id, seen, screen).await.map_err(|error| failed(&error))?;
        if ended.status != "DELETE_COMPLETE" {
            let reason = failure::reason(client, &id).await.unwrap_or_else(|error| error.to_string());
            let next = "remove what stands in the way, and run `gantry down` again";
            return Err(Failure::new(format!("removing the stack {name}"), reason, next));
        }
    }
    let kept = UpRecord::change(layout, |record| {
        record.stacks.remove(name);
    });
    kept.map_err(|error| Failure::new("keeping what is still up", error, "make room on the disk"))
}

/// Keeps that a stack is up.
pub(crate) fn keep_stack(layout: &Layout, name: &str, kept: StackRecord) -> Result<(), Failure> {
    let kept = UpRecord::change(layout, |record| {
        record.stacks.insert(name.to_owned(), kept);
    });
    kept.map_err(|error| Failure::new("keeping what is up", error, "make room on the disk"))
}

/// Keeps that a folder of Terraform files is up.
pub(crate) fn keep_terraform(layout: &Layout, folder: &Path, region: &str) -> Result<(), Failure> {
    let kept = UpRecord::change(layout, |record| {
        record.terraform.insert(folder.to_owned(), TerraformRecord { region: region.to_owned() });
    });
    kept.map_err(|error| Failure::new("keeping what is up", error, "make room on the disk"))
}

pub(crate) fn forget_terraform(layout: &Layout, folder: &Path) -> Result<(), Failure> {
    let kept = UpRecord::change(layout, |record| {
        record.terraform.remove(folder);
    });
    kept.map_err(|error| Failure::new("keeping what is still up", error, "make room on the disk"))
}
