//! Sparse files: which pieces of a file the archive holds.

use std::io::Read;

use super::header::number;
use super::pax::{PaxSparse, decimal};
use super::{BLOCK, TarError};
use crate::limits::SPARSE_PIECES_MAX;

pub(super) type Pieces = Vec<(u64, u64)>;

const MALFORMED: &str = "the map of a sparse file is malformed";
const TOO_MANY: &str = "a sparse file has too many pieces";

/// Pieces must ascend, stay inside the file and account for exactly what the archive stores.
pub(super) fn check(pieces: &[(u64, u64)], real_size: u64, stored: u64) -> Result<(), &'static str> {
    let mut end = 0_u64;
    let mut sum = 0_u64;
    for (offset, length) in pieces {
        if *offset < end {
            return Err(MALFORMED);
        }
        end = offset.checked_add(*length).ok_or(MALFORMED)?;
        sum += length;
    }
    if end > real_size || sum != stored { Err(MALFORMED) } else { Ok(()) }
}

/// GNU's old form: four pieces in the header, further ones in blocks that follow it.
pub(super) fn old_gnu<R: Read>(
    header: &[u8; BLOCK],
    inner: &mut R,
    at: &mut u64,
) -> Result<(Pieces, u64), TarError> {
    let position = *at;
    let malformed = |reason| TarError::Malformed { at: position, reason };
    let real_size = number(&header[483..495]).and_then(|size| u64::try_from(size).ok());
    let real_size = real_size.ok_or_else(|| malformed(MALFORMED))?;
    let mut pieces = Pieces::new();
    let mut more = header[482] != 0;
    take_pieces(&header[386..482], &mut pieces).map_err(malformed)?;
    while more {
        let mut block = [0; BLOCK];
        inner.read_exact(&mut block)?;
        *at += BLOCK as u64;
        take_pieces(&block[..504], &mut pieces).map_err(malformed)?;
        more = block[504] != 0;
    }
    Ok((pieces, real_size))
}

fn take_pieces(fields: &[u8], pieces: &mut Pieces) -> Result<(), &'static str> {
    for field in fields.chunks_exact(24) {
        if field[0] == 0 {
            break;
        }
        let value = |range| number(range).and_then(|value| u64::try_from(value).ok()).ok_or(MALFORMED);
        push(pieces, value(&field[..12])?, value(&field[12..])?)?;
    }
    Ok(())
}

fn push(pieces: &mut Pieces, offset: u64, length: u64) -> Result<(), &'static str> {
    if pieces.len() >= SPARSE_PIECES_MAX {
        return Err(TOO_MANY);
    }
    pieces.push((offset, length));
    Ok(())
}

/// Versions 0.0 and 0.1: the pieces stand in the pax header.
pub(super) fn from_pax(sparse: &PaxSparse) -> Result<Pieces, &'static str> {
    if !sparse.map.len().is_multiple_of(2) {
        return Err(MALFORMED);
    }
    let mut pieces = Pieces::new();
    for pair in sparse.map.chunks_exact(2) {
        push(&mut pieces, pair[0], pair[1])?;
    }
    Ok(pieces)
}

/// Version 1.0: decimal lines in front of the data, in whole blocks. Gives the pieces and the bytes that they took.
pub(super) fn from_data<R: Read>(inner: &mut R, stored: u64) -> Result<(Pieces, u64), TarError> {
    let malformed = |reason| TarError::Malformed { at: 0, reason };
    let mut taken = 0_u64;
    let mut text = Vec::new();
    let mut wanted = 1_usize;
    let mut numbers = Vec::new();
    while numbers.len() < wanted {
        if taken + BLOCK as u64 > stored {
            return Err(malformed(MALFORMED));
        }
        let mut block = [0; BLOCK];
        inner.read_exact(&mut block)?;
        taken += BLOCK as u64;
        for byte in block {
            if numbers.len() == wanted {
                break;
            }
            if byte != b'\n' {
                text.push(byte);
                if text.len() > 20 {
                    return Err(malformed(MALFORMED));
                }
                continue;
            }
            let value = decimal(&text).ok_or_else(|| malformed(MALFORMED))?;
            text.clear();
            if numbers.is_empty() {
                let count = usize::try_from(value).unwrap_or(usize::MAX);
                if count > SPARSE_PIECES_MAX {
                    return Err(malformed(TOO_MANY));
                }
                wanted = 1 + 2 * count;
            }
            numbers.push(value);
        }
    }
    Ok((numbers[1..].chunks_exact(2).map(|pair| (pair[0], pair[1])).collect(), taken))
}
