//! The file in which a reader keeps how far its receiver has come.
//!
//! There are two slots, each with its own check. One holds the value that was synced last and is left alone until the next
//! sync; the other takes all newer values, and may be torn. The file is synced only before segments are deleted: after a
//! crash of the machine some frames may be delivered again, none is skipped, and none that was delivered is reported
//! missing.

use std::io;

use crate::directory::{Directory, SegmentFile};
use crate::frame::Sequence;

const FILE_NAME: &str = "acknowledged";
const SLOT_BYTES: usize = 12;
/// The slots stand in different sectors: a disk writes a sector whole or not at all.
const SLOT_OFFSETS: [u64; 2] = [0, 512];

/// What the directory says, without making the file; zero when nothing was acknowledged.
pub(crate) fn load<D: Directory>(directory: &D) -> io::Result<Sequence> {
    match directory.open(FILE_NAME)? {
        Some(file) => read(&file),
        None => Ok(Sequence::ZERO),
    }
}

#[derive(Debug)]
pub(crate) struct Acknowledged<F> {
    file: F,
    sequence: Sequence,
    /// The slot for newer values.
    slot: usize,
    /// Both slots may be unsynced, because an earlier reader wrote them.
    unknown: bool,
    name_is_durable: bool,
}

impl<F: SegmentFile> Acknowledged<F> {
    pub(crate) fn open<D: Directory<File = F>>(directory: &D) -> io::Result<Self> {
        let file = match directory.open(FILE_NAME)? {
            Some(file) => file,
            None => directory.create(FILE_NAME)?,
        };
        let sequence = read(&file)?;
        let slot = if read_slot(&file, 0)? == Some(sequence) { 1 } else { 0 };
        Ok(Self { file, sequence, slot, unknown: sequence > Sequence::ZERO, name_is_durable: false })
    }

    pub(crate) fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// Makes the value outlive a crash of the machine.
    pub(crate) fn sync<D: Directory<File = F>>(&mut self, directory: &D) -> io::Result<()> {
        self.file.sync()?;
        if !self.name_is_durable {
            directory.sync()?;
            self.name_is_durable = true;
        }
        self.slot = 1 - self.slot;
        Ok(())
    }

    pub(crate) fn store(&mut self, sequence: Sequence) -> io::Result<()> {
        if self.unknown {
            self.file.sync()?;
            self.unknown = false;
        }
        let mut bytes = [0; SLOT_BYTES];
        bytes[..8].copy_from_slice(&sequence.0.to_le_bytes());
        bytes[8..].copy_from_slice(&crc32fast::hash(&sequence.0.to_le_bytes()).to_le_bytes());
        self.file.write_at(&bytes, SLOT_OFFSETS[self.slot])?;
        self.sequence = sequence;
        Ok(())
    }
}

fn read<F: SegmentFile>(file: &F) -> io::Result<Sequence> {
    let (a, b) = (read_slot(file, 0)?, read_slot(file, 1)?);
    Ok(a.max(b).unwrap_or_default())
}

fn read_slot<F: SegmentFile>(file: &F, slot: usize) -> io::Result<Option<Sequence>> {
    let mut bytes = [0; SLOT_BYTES];
    let mut have = 0;
    while have < SLOT_BYTES {
        match file.read_at(&mut bytes[have..], SLOT_OFFSETS[slot] + have as u64)? {
            0 => return Ok(None),
            count => have += count,
        }
    }
    let (value, crc) = bytes.split_at(8);
    let whole = crc32fast::hash(value).to_le_bytes() == crc;
    Ok(whole.then(|| Sequence(u64::from_le_bytes(value.try_into().expect("split_at(8) gives 8 bytes")))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::MemoryDirectory;

    #[test]
    fn a_torn_write_leaves_the_synced_value() {
        let directory = MemoryDirectory::new(1);
        let mut acknowledged = Acknowledged::open(&directory).unwrap();
        acknowledged.store(Sequence(7)).unwrap();
        acknowledged.store(Sequence(9)).unwrap();
        acknowledged.sync(&directory).unwrap();
        assert_eq!(load(&directory).unwrap(), Sequence(9));
        directory.fail_after_bytes(5);
        assert!(acknowledged.store(Sequence(300)).is_err());
        directory.heal();
        assert_eq!(load(&directory).unwrap(), Sequence(9));
        drop(acknowledged);

        let mut acknowledged = Acknowledged::open(&directory).unwrap();
        directory.fail_after_bytes(5);
        assert!(acknowledged.store(Sequence(300)).is_err());
        directory.heal();
        assert_eq!(load(&directory).unwrap(), Sequence(9));
        let mut again = Acknowledged::open(&directory).unwrap();
        again.store(Sequence(12)).unwrap();
        directory.fail_after_bytes(5);
        assert!(again.store(Sequence(500)).is_err());
        directory.heal();
        assert_eq!(load(&directory).unwrap(), Sequence(9));
    }

    #[test]
    fn zeros_are_no_acknowledgement() {
        let directory = MemoryDirectory::new(1);
        let file = directory.create(FILE_NAME).unwrap();
        file.write_at(&[0; 600], 0).unwrap();
        assert_eq!(load(&directory).unwrap(), Sequence::ZERO);
    }
}
