//! Log events by stream.

mod event;
mod limits;
mod memtable;
mod scan;
mod segment;
mod store;
mod writer;

pub use event::{Appended, Batch, Event, Position, Record, StreamId, StreamSummary};
pub use limits::Limits;
pub use scan::{Order, Page, Scan};
pub use store::{LogStore, OpenError};
pub use writer::AppendError;
