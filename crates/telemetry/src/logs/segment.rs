//! Sealed segments: blocks of one stream's events, zstd-compressed, and a footer that says where they are.
//!
//! Layout: magic, blocks, footer (CBOR), footer length and CRC (4 bytes each, little end first), magic. A file without a whole
//! footer was never finished and is removed when the store opens.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use gantry_types::Timestamp;
use serde::{Deserialize, Serialize};

use super::event::{Event, Position, StreamId};
use super::memtable::{Numbering, Source};

const MAGIC: &[u8; 8] = b"GANTRYL1";
/// Fast, and close to what the higher levels reach on log lines.
const ZSTD_LEVEL: i32 = 3;
/// A block holds at least one event whatever its size; an event is at most 1 MiB, so nothing larger is a block of ours.
const BLOCK_BYTES_MAX: usize = 16 << 20;

/// One block's place and contents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Block {
    pub(super) stream: StreamId,
    pub(super) first: Position,
    pub(super) last: Position,
    pub(super) ingested_last: Timestamp,
    pub(super) bytes: u64,
    offset: u64,
    length: u32,
    crc: u32,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Footer {
    blocks: Vec<Block>,
    sources: HashMap<String, Source>,
    next_number: u64,
    log_kept: u64,
}

/// A segment file that is open for reading.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    file: File,
    pub(super) file_bytes: u64,
    pub(super) blocks: Vec<Block>,
    pub(super) sources: HashMap<String, Source>,
    pub(super) next_number: u64,
    /// The frame of the write-ahead log up to which segments hold everything.
    pub(super) log_kept: u64,
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the segment is damaged: {what}"))
}

impl Segment {
    /// Writes a segment and makes it durable before it has its name.
    pub(super) fn write(
        path: &Path,
        streams: &BTreeMap<StreamId, Vec<Event>>,
        numbering: &Numbering,
        log_kept: u64,
        block_bytes: usize,
    ) -> io::Result<Self> {
        let unfinished = path.with_extension("unfinished");
        let mut file = io::BufWriter::new(File::create(&unfinished)?);
        file.write_all(MAGIC)?;
        let (sources, next_number) = (numbering.sources.clone(), numbering.next);
        let mut footer = Footer { blocks: Vec::new(), sources, next_number, log_kept };
        let mut offset = MAGIC.len() as u64;
        for (stream, events) in streams {
            let mut sorted: Vec<&Event> = events.iter().collect();
            sorted.sort_by_key(|event| event.position());
            for events in blocks(&sorted, block_bytes) {
                let (block, body) = pack(stream, events, offset)?;
                file.write_all(&body)?;
                offset += u64::from(block.length);
                footer.blocks.push(block);
            }
        }
        let mut body = Vec::new();
        ciborium::into_writer(&footer, &mut body).map_err(io::Error::other)?;
        let length = u32::try_from(body.len()).map_err(io::Error::other)?;
        file.write_all(&body)?;
        file.write_all(&length.to_le_bytes())?;
        file.write_all(&crc32fast::hash(&body).to_le_bytes())?;
        file.write_all(MAGIC)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&unfinished, path)?;
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Self::open(path)
    }

    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let file_bytes = file.metadata()?.len();
        let tail = 8 + MAGIC.len() as u64;
        let Some(end) = file_bytes.checked_sub(tail) else { return Err(damaged("it is too short")) };
        let mut trailer = [0; 16];
        file.read_exact_at(&mut trailer, end)?;
        if &trailer[8..] != MAGIC {
            return Err(damaged("its end is missing"));
        }
        let number = |at: usize| u32::from_le_bytes(std::array::from_fn(|index| trailer[at + index]));
        let (length, crc) = (number(0), number(4));
        let Some(start) = end.checked_sub(u64::from(length)) else {
            return Err(damaged("its footer is too long"));
        };
        let mut body = vec![0; length as usize];
        file.read_exact_at(&mut body, start)?;
        if crc32fast::hash(&body) != crc {
            return Err(damaged("its footer does not match its checksum"));
        }
        let footer: Footer = ciborium::from_reader(&body[..]).map_err(|error| damaged(&error.to_string()))?;
        let Footer { blocks, sources, next_number, log_kept } = footer;
        Ok(Self { path: path.to_owned(), file, file_bytes, blocks, sources, next_number, log_kept })
    }

    /// A block's events, in the order of their positions.
    pub(super) fn read(&self, block: &Block) -> io::Result<Vec<Event>> {
        let mut body = vec![0; block.length as usize];
        self.file.read_exact_at(&mut body, block.offset)?;
        if crc32fast::hash(&body) != block.crc {
            return Err(damaged("a block does not match its checksum"));
        }
        let events = zstd::bulk::decompress(&body, BLOCK_BYTES_MAX)?;
        ciborium::from_reader(&events[..]).map_err(|error| damaged(&error.to_string()))
    }

    pub(super) fn last_event_at(&self) -> Option<Timestamp> {
        self.blocks.iter().map(|block| block.last.at).max()
    }

    pub(super) fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

/// Cuts a stream's events into blocks of about `block_bytes`.
fn blocks<'a>(events: &'a [&'a Event], block_bytes: usize) -> impl Iterator<Item = &'a [&'a Event]> {
    let mut rest = events;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |event: &&&Event| {
            bytes += event.bytes();
            bytes <= block_bytes
        };
        let count = rest.iter().take_while(fits).count().max(1).min(rest.len());
        let (block, others) = rest.split_at(count);
        rest = others;
        (!block.is_empty()).then_some(block)
    })
}

fn pack(stream: &StreamId, events: &[&Event], offset: u64) -> io::Result<(Block, Vec<u8>)> {
    let (Some(first), Some(last)) = (events.first(), events.last()) else {
        return Err(damaged("a block without events"));
    };
    let mut plain = Vec::new();
    ciborium::into_writer(events, &mut plain).map_err(io::Error::other)?;
    let body = zstd::bulk::compress(&plain, ZSTD_LEVEL)?;
    let block = Block {
        stream: stream.clone(),
        first: first.position(),
        last: last.position(),
        ingested_last: events.iter().map(|event| event.ingested_at).max().unwrap_or(last.ingested_at),
        bytes: events.iter().map(|event| event.bytes() as u64).sum(),
        offset,
        length: u32::try_from(body.len()).map_err(io::Error::other)?,
        crc: crc32fast::hash(&body),
    };
    Ok((block, body))
}
