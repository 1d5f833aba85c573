//! From a container's spool to `control`: nothing is lost while either side is away, and nothing is kept twice.
//!
//! Flow: one thread holds a reader for each spool and one watch for all of them. Whatever a container wrote becomes batches;
//! a batch goes out as soon as there is a link and room; `control` says up to where it keeps the lines, and the spool forgets
//! them then. After a new link, everything that was not acknowledged is sent again, with the same sequences.
//!
//! Invariants:
//! - What is on its way is bounded, for each container and in all; the rest stays on disk.
//! - Lines that the spool had to drop become one line that says how many are missing.
//! - A container that writes fast neither delays another one's lines nor the node's other work.

mod destination;
mod shipment;
mod thread;

pub use destination::{Destination, destination};
pub use thread::{LogShipper, SourceConfig};

use std::time::Duration;

/// What CloudWatch Logs takes in one call, as the bytes of the messages and 26 for each.
const BATCH_BYTES_MAX: usize = 1 << 20;
const BATCH_RECORDS_MAX: usize = 1000;
const RECORD_OVERHEAD_BYTES: usize = 26;
/// Batches that were sent and not acknowledged: of one container, and of all.
const BATCHES_OF_SOURCE_MAX: usize = 4;
pub(crate) const BATCHES_ON_THE_WAY_MAX: usize = 24;
/// A container's next batch, unless it is a full one, goes out after this time: many short lines become few messages.
const BATCH_INTERVAL: Duration = Duration::from_millis(20);
/// How long new output of any container is not looked for after it was.
const WATCH_INTERVAL: Duration = Duration::from_millis(5);
/// A batch that was not acknowledged for so long is sent again on the same link.
const RESEND_AFTER: Duration = Duration::from_secs(30);
/// A spool that cannot be read is tried again after this time.
const READ_RETRY_AFTER: Duration = Duration::from_secs(5);
/// Orders that wait for the thread.
const COMMANDS_WAITING_MAX: usize = 1024;
