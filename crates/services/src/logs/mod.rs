//! CloudWatch Logs: groups and streams as records, events in the log store.
//!
//! A group's and a stream's record carry an id that is theirs alone. A stream's record stands below its group's id, its
//! events below its own: so a group that is deleted and made again is empty at once, and what is left of the old one is
//! cleared away later ([`maintain`]).
//!
//! Reading may mean going through much that does not match. It happens on threads of its own, in slices of time, within a
//! bounded time; what was not read by then is behind the answer's token.

mod filter;
mod get;
mod groups;
mod ingest;
mod listing;
mod maintain;
mod names;
mod pattern;
mod put;
mod read;
mod records;
mod streams;
mod tags;
#[cfg(test)]
mod tests;
mod token;

pub use ingest::{IngestError, Lines, ingest};
pub use maintain::maintain;

use gantry_api::logs::{
    CreateLogGroupRequest, CreateLogStreamRequest, DeleteLogGroupRequest, DeleteLogStreamRequest,
    DeleteRetentionPolicyRequest, DescribeLogGroupsRequest, DescribeLogGroupsResponse,
    DescribeLogStreamsRequest, DescribeLogStreamsResponse, FilterLogEventsRequest, FilterLogEventsResponse,
    GetLogEventsRequest, GetLogEventsResponse, ListLogGroupsRequest, ListLogGroupsResponse,
    ListTagsForResourceRequest, ListTagsForResourceResponse, ListTagsLogGroupRequest,
    ListTagsLogGroupResponse, PutLogEventsRequest, PutLogEventsResponse, PutRetentionPolicyRequest,
    TagLogGroupRequest, TagResourceRequest, UntagLogGroupRequest, UntagResourceRequest,
};
use gantry_telemetry::logs::LogStore;
use tokio::sync::Semaphore;

/// Reads at a time; others wait for their turn.
const READERS_MAX: usize = 2;

/// The log store, and who reads it.
pub(crate) struct Logs {
    store: LogStore,
    readers: Semaphore,
}

impl Logs {
    pub(crate) fn new(store: LogStore) -> Self {
        Self { store, readers: Semaphore::new(READERS_MAX) }
    }
}

handlers! {
    gantry_api::logs::Logs;
    write create_log_group(CreateLogGroupRequest) -> () = groups::create;
    write delete_log_group(DeleteLogGroupRequest) -> () = groups::delete;
    io describe_log_groups(DescribeLogGroupsRequest) -> DescribeLogGroupsResponse = listing::describe_groups;
    read list_log_groups(ListLogGroupsRequest) -> ListLogGroupsResponse = listing::list_groups;
    write put_retention_policy(PutRetentionPolicyRequest) -> () = groups::put_retention;
    write delete_retention_policy(DeleteRetentionPolicyRequest) -> () = groups::delete_retention;
    io create_log_stream(CreateLogStreamRequest) -> () = streams::create;
    write delete_log_stream(DeleteLogStreamRequest) -> () = streams::delete;
    io describe_log_streams(DescribeLogStreamsRequest) -> DescribeLogStreamsResponse = streams::describe;
    io put_log_events(PutLogEventsRequest) -> PutLogEventsResponse = put::put_log_events;
    io get_log_events(GetLogEventsRequest) -> GetLogEventsResponse = get::get_log_events;
    io filter_log_events(FilterLogEventsRequest) -> FilterLogEventsResponse = filter::filter_log_events;
    write tag_resource(TagResourceRequest) -> () = tags::tag;
    write untag_resource(UntagResourceRequest) -> () = tags::untag;
    read list_tags_for_resource(ListTagsForResourceRequest) -> ListTagsForResourceResponse = tags::list;
    write tag_log_group(TagLogGroupRequest) -> () = tags::tag_group;
    write untag_log_group(UntagLogGroupRequest) -> () = tags::untag_group;
    read list_tags_log_group(ListTagsLogGroupRequest) -> ListTagsLogGroupResponse = tags::list_group;
}
