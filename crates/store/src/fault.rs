//! A disk in memory that loses what a machine may lose: for the simulation and for tests. A run with the same seed and the
//! same calls loses the same.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use gantry_types::Ids;
use redb::{Builder, DatabaseError, StorageBackend};

use crate::disk::Disk;

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// Clones are the same disk.
#[derive(Debug, Clone)]
pub struct FaultyDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    random: Ids,
    /// What the operating system shows.
    content: Vec<u8>,
    /// What is on the disk for certain, and what has happened since.
    durable: Vec<u8>,
    unsynced: Vec<Change>,
    /// Operations before the machine loses power.
    operations_left: Option<u64>,
    is_full: bool,
    is_broken: bool,
    /// Operations before the disk breaks.
    breaks_after: Option<u64>,
    syncs: u64,
}

#[derive(Debug)]
enum Change {
    Write { offset: usize, data: Vec<u8> },
    SetLength(usize),
}

impl FaultyDisk {
    pub fn new(seed: u64) -> Self {
        let state = State {
            random: Ids::from_seed(seed),
            content: Vec::new(),
            durable: Vec::new(),
            unsynced: Vec::new(),
            operations_left: None,
            is_full: false,
            is_broken: false,
            breaks_after: None,
            syncs: 0,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// After this many more writes, syncs and changes of length, nothing works until [`Self::crash`].
    pub fn lose_power_after(&self, operations: u64) {
        self.lock().operations_left = Some(operations);
    }

    pub fn has_lost_power(&self) -> bool {
        self.lock().operations_left == Some(0)
    }

    /// The machine starts again: of what was not synced, each sector was written or not, and the power is back.
    pub fn crash(&self) {
        let state = &mut *self.lock();
        for change in std::mem::take(&mut state.unsynced) {
            apply_partly(&mut state.durable, change, &mut state.random);
        }
        state.content.clone_from(&state.durable);
        state.operations_left = None;
    }

    /// Whether the file can grow.
    pub fn set_full(&self, is_full: bool) {
        self.lock().is_full = is_full;
    }

    /// Whether every write and sync fails.
    pub fn set_broken(&self, is_broken: bool) {
        let mut state = self.lock();
        state.is_broken = is_broken;
        state.breaks_after = None;
    }

    /// After this many more operations every write and sync fails; what was written before stays.
    pub fn break_after(&self, operations: u64) {
        self.lock().breaks_after = Some(operations);
    }

    /// How often the disk was synced.
    pub fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the disk panics")
    }
}

impl State {
    fn count_operation(&mut self) -> io::Result<()> {
        match &mut self.operations_left {
            Some(0) => return Err(io::Error::other("the machine has no power")),
            Some(left) => *left -= 1,
            None => {}
        }
        match &mut self.breaks_after {
            Some(0) => self.is_broken = true,
            Some(left) => *left -= 1,
            None => {}
        }
        if self.is_broken { Err(io::Error::other("the disk is broken")) } else { Ok(()) }
    }
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { offset, data } => content[*offset..offset + data.len()].copy_from_slice(data),
        Change::SetLength(length) => content.resize(*length, 0),
    }
}

/// Makes some of a change. A length that was lost takes the writes behind it with it.
fn apply_partly(content: &mut Vec<u8>, change: Change, random: &mut Ids) {
    match change {
        Change::SetLength(_) if random.below(3) == 0 => {}
        Change::SetLength(length) => content.resize(length, 0),
        Change::Write { offset, data } => {
            // A whole write is lost or made as often as it is torn.
            let fate = random.below(3);
            let mut at = 0;
            while at < data.len() {
                let sector_end = ((offset + at) / SECTOR_BYTES + 1) * SECTOR_BYTES - offset;
                let end = sector_end.min(data.len());
                let is_made = match fate {
                    0 => false,
                    1 => true,
                    _ => random.below(2) == 0,
                };
                if is_made && offset + end <= content.len() {
                    content[offset + at..offset + end].copy_from_slice(&data[at..end]);
                }
                at = end;
            }
        }
    }
}

impl Disk for FaultyDisk {
    fn open(&self, builder: &Builder) -> Result<redb::Database, DatabaseError> {
        builder.create_with_backend(self.clone())
    }

    fn has_room(&self) -> io::Result<bool> {
        Ok(!self.lock().is_full)
    }
}

impl StorageBackend for FaultyDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().content.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.lock();
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let bytes = from.checked_add(out.len()).and_then(|to| state.content.get(from..to));
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let state = &mut *self.lock();
        state.count_operation()?;
        let length = usize::try_from(len).map_err(io::Error::other)?;
        if state.is_full && length > state.content.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let change = Change::SetLength(length);
        apply(&mut state.content, &change);
        state.unsynced.push(change);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let state = &mut *self.lock();
        state.count_operation()?;
        state.syncs += 1;
        for change in std::mem::take(&mut state.unsynced) {
            apply(&mut state.durable, &change);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let state = &mut *self.lock();
        state.count_operation()?;
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        if offset.checked_add(data.len()).is_none_or(|end| end > state.content.len()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let change = Change::Write { offset, data: data.to_vec() };
        apply(&mut state.content, &change);
        state.unsynced.push(change);
        Ok(())
    }
}
