//! A table of ours in the kernel, and what we know of it.

use super::diff::{Applied, diff};
use super::encode::encode;
use super::inspect::ours_in;
use super::table::Table;
use crate::netlink::{NetlinkError, NetlinkSocket};

/// Keeps what was applied last, so that the next change costs what it changes. After a restart, or a failure whose
/// effect is unknown, the kernel is asked first.
#[derive(Default)]
pub(crate) struct LiveTable {
    applied: Option<Table>,
}

impl LiveTable {
    /// Whether a table of this name is in the kernel already and not of this process's making.
    pub(crate) fn is_inherited(&self, socket: &NetlinkSocket, name: &str) -> Result<bool, NetlinkError> {
        Ok(self.applied.is_none() && ours_in(socket, name)?.is_some())
    }

    /// Makes the kernel hold just this, in one transaction, or leaves everything as it was.
    pub(crate) fn apply(&mut self, socket: &NetlinkSocket, wanted: Table) -> Result<(), NetlinkError> {
        let applied = match self.applied.take() {
            Some(table) => Applied::Known(table),
            None => match ours_in(socket, &wanted.name)? {
                Some(names) => Applied::Names(names),
                None => Applied::Known(Table::default()),
            },
        };
        let changes = diff(&applied, &wanted);
        if !changes.is_empty() {
            socket.transact(encode(&wanted.name, &changes))?;
        }
        self.applied = Some(wanted);
        Ok(())
    }
}
