//! Writes an archive: POSIX ustar, with a pax header where a field does not fit.

use std::io::{self, Write};

use super::{BLOCK, Entry, Kind};

pub(crate) struct TarWriter<W> {
    inner: W,
    /// Content of the current entry that has to come yet.
    remaining: u64,
    padding: usize,
}

impl<W: Write> TarWriter<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, remaining: 0, padding: 0 }
    }

    pub(crate) fn get_ref(&self) -> &W {
        &self.inner
    }

    /// Begins an entry. The size counts for files only; so much content has to follow by [`TarWriter::content`].
    /// Sparse files are not written as such.
    pub(crate) fn append(&mut self, entry: &Entry) -> io::Result<()> {
        self.close_entry()?;
        let mut path = entry.path.clone();
        if entry.kind == Kind::Directory && !path.ends_with(b"/") {
            path.push(b'/');
        }
        let size = if entry.kind == Kind::File { entry.size } else { 0 };
        let mut records = Vec::new();
        let mut block = [0; BLOCK];
        match split_path(&path) {
            Some((prefix, name)) => {
                block[..name.len()].copy_from_slice(name);
                block[345..345 + prefix.len()].copy_from_slice(prefix);
            }
            None => {
                pax_record(&mut records, b"path", &path);
                block[..100].copy_from_slice(&path[..100]);
            }
        }
        let link = &entry.link[..entry.link.len().min(100)];
        block[157..157 + link.len()].copy_from_slice(link);
        if entry.link.len() > 100 {
            pax_record(&mut records, b"linkpath", &entry.link);
        }
        for (range, key, value) in
            [(108..115, &b"uid"[..], entry.uid), (116..123, b"gid", entry.gid), (124..135, b"size", size)]
        {
            if !octal(&mut block[range.clone()], value) {
                octal(&mut block[range], 0);
                pax_record(&mut records, key, value.to_string().as_bytes());
            }
        }
        let mtime_fits =
            u64::try_from(entry.mtime_seconds).is_ok_and(|time| octal(&mut block[136..147], time));
        if !mtime_fits {
            octal(&mut block[136..147], 0);
            pax_record(&mut records, b"mtime", entry.mtime_seconds.to_string().as_bytes());
        }
        for (name, value) in &entry.xattrs {
            pax_record(&mut records, &[b"SCHILY.xattr.", name.as_slice()].concat(), value);
        }
        octal(&mut block[100..107], u64::from(entry.mode));
        octal(&mut block[329..336], u64::from(entry.device.0));
        octal(&mut block[337..344], u64::from(entry.device.1));
        block[156] = match entry.kind {
            Kind::File => b'0',
            Kind::HardLink => b'1',
            Kind::Symlink => b'2',
            Kind::CharDevice => b'3',
            Kind::BlockDevice => b'4',
            Kind::Directory => b'5',
            Kind::Fifo => b'6',
        };
        if !records.is_empty() {
            self.pax_header(&records)?;
        }
        self.write_header(block)?;
        self.begin_content(size);
        Ok(())
    }

    /// Writes on in the content of the current entry; more than its size is an error.
    pub(crate) fn content(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.remaining = self.remaining.checked_sub(bytes.len() as u64).ok_or_else(changed)?;
        self.inner.write_all(bytes)
    }

    /// Ends the archive.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.close_entry()?;
        self.inner.write_all(&[0; 2 * BLOCK])?;
        Ok(self.inner)
    }

    /// Gives up, for the sake of the writer below.
    pub(crate) fn into_inner(self) -> W {
        self.inner
    }

    fn close_entry(&mut self) -> io::Result<()> {
        if self.remaining > 0 {
            return Err(changed());
        }
        self.inner.write_all(&[0; BLOCK][..self.padding])?;
        self.padding = 0;
        Ok(())
    }

    fn begin_content(&mut self, size: u64) {
        self.remaining = size;
        self.padding = (BLOCK - (size % BLOCK as u64) as usize) % BLOCK;
    }

    fn pax_header(&mut self, records: &[u8]) -> io::Result<()> {
        let mut block = [0; BLOCK];
        block[..NAME.len()].copy_from_slice(NAME);
        octal(&mut block[100..107], 0o644);
        octal(&mut block[108..115], 0);
        octal(&mut block[116..123], 0);
        octal(&mut block[124..135], records.len() as u64);
        octal(&mut block[136..147], 0);
        block[156] = b'x';
        self.write_header(block)?;
        self.begin_content(records.len() as u64);
        self.content(records)?;
        self.close_entry()
    }

    fn write_header(&mut self, mut block: [u8; BLOCK]) -> io::Result<()> {
        block[257..265].copy_from_slice(b"ustar\x0000");
        block[148..156].fill(b' ');
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        octal(&mut block[148..154], sum);
        block[154] = 0;
        self.inner.write_all(&block)
    }
}

const NAME: &[u8] = b"PaxHeaders/entry";

fn changed() -> io::Error {
    io::Error::other("its size changed while it was read")
}

/// Fills the field with octal digits; false if the value does not fit.
fn octal(field: &mut [u8], mut value: u64) -> bool {
    for digit in field.iter_mut().rev() {
        *digit = b'0' + (value & 7) as u8;
        value >>= 3;
    }
    value == 0
}

/// Prefix and name as ustar has them; `None` if the path is too long or cannot be split at a slash.
fn split_path(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= 100 {
        return Some((&[], path));
    }
    // The last byte may be the slash of a directory, where no split is possible.
    let cut = path[..path.len() - 1].iter().take(156).rposition(|byte| *byte == b'/')?;
    let (prefix, name) = (&path[..cut], &path[cut + 1..]);
    (name.len() <= 100 && !prefix.is_empty()).then_some((prefix, name))
}

/// The length counts itself.
fn pax_record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length.to_string().len() + rest > length {
        length += 1;
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}
