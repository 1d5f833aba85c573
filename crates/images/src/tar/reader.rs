//! Reads an archive entry by entry, as a stream.

use std::io::{self, Read};

use super::header::{Format, Header};
use super::pax::{self, Pax};
use super::{BLOCK, Entry, Kind, TarError, sparse};
use crate::limits::{TAR_EXTENSION_BYTES_MAX, TAR_EXTENSIONS_PER_ENTRY_MAX};

pub(crate) struct TarReader<R> {
    inner: R,
    /// Bytes read so far, for messages.
    at: u64,
    /// Content of the current entry that was not read yet.
    remaining: u64,
    /// Zeros after the content up to the next block.
    padding: u64,
    ended: bool,
}

impl<R: Read> TarReader<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, at: 0, remaining: 0, padding: 0, ended: false }
    }

    /// The next entry; what was left of the one before is skipped.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, TarError> {
        let mut extensions = Extensions::default();
        for _ in 0..TAR_EXTENSIONS_PER_ENTRY_MAX {
            self.skip_rest()?;
            let at = self.at;
            let Some(block) = self.header_block()? else {
                let dangling = extensions != Extensions::default();
                return if dangling { Err(TarError::Truncated) } else { Ok(None) };
            };
            let header = Header(&block);
            let malformed = |reason| TarError::Malformed { at, reason };
            match header.type_flag() {
                b'x' => extensions.pax = pax::parse(&self.extension(&header, at)?).map_err(malformed)?,
                // Global headers hold comments; Docker ignores them too.
                b'g' => drop(self.extension(&header, at)?),
                b'L' => extensions.long_path = Some(until_nul(self.extension(&header, at)?)),
                b'K' => extensions.long_link = Some(until_nul(self.extension(&header, at)?)),
                _ => return self.entry(&block, extensions, at).map(Some),
            }
        }
        Err(TarError::Malformed { at: self.at, reason: "too many extension headers in front of one entry" })
    }

    /// Reads on in the content of the current entry.
    pub(crate) fn read_content(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.inner.read(&mut buffer[..wanted])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.remaining -= read as u64;
        self.at += read as u64;
        Ok(read)
    }

    /// The content of the current entry as a reader.
    pub(crate) fn content(&mut self) -> Content<'_, R> {
        Content(self)
    }

    /// Reads what follows the end of the archive, so that a digest of the whole can be told.
    pub(crate) fn drain(mut self) -> Result<R, TarError> {
        io::copy(&mut self.inner, &mut io::sink())?;
        Ok(self.inner)
    }

    /// `None` at the end: two blocks of zeros, or nothing more.
    fn header_block(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        if self.ended {
            return Ok(None);
        }
        let mut zeros = 0;
        loop {
            let mut block = [0; BLOCK];
            if !self.read_block(&mut block)? {
                self.ended = true;
                return Ok(None);
            }
            let header = Header(&block);
            match (header.is_zero(), zeros) {
                (true, 0) => zeros = 1,
                (true, _) => {
                    self.ended = true;
                    return Ok(None);
                }
                (false, 0) if header.checksum_is_right() => return Ok(Some(block)),
                (false, _) => return Err(TarError::Checksum(self.at - BLOCK as u64)),
            }
        }
    }

    /// False if the input ends at the block's first byte.
    fn read_block(&mut self, block: &mut [u8; BLOCK]) -> Result<bool, TarError> {
        let mut filled = 0;
        while filled < BLOCK {
            match self.inner.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(TarError::Truncated),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.at += BLOCK as u64;
        Ok(true)
    }

    fn extension(&mut self, header: &Header<'_>, at: u64) -> Result<Vec<u8>, TarError> {
        let malformed = |reason| TarError::Malformed { at, reason };
        let size = header.size().and_then(|size| u64::try_from(size).ok());
        let size = size.ok_or_else(|| malformed("its size is not a number"))?;
        if size > TAR_EXTENSION_BYTES_MAX {
            return Err(malformed("an extension header has more than a mebibyte"));
        }
        self.set_content(size);
        let mut content = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        let mut filled = 0;
        while filled < content.len() {
            filled += self.read_content(&mut content[filled..])?;
        }
        Ok(content)
    }

    fn set_content(&mut self, size: u64) {
        self.remaining = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
    }

    fn skip_rest(&mut self) -> Result<(), TarError> {
        let skip = self.remaining + self.padding;
        if skip > 0 {
            let skipped = io::copy(&mut (&mut self.inner).take(skip), &mut io::sink())?;
            self.at += skipped;
            if skipped < skip {
                return Err(TarError::Truncated);
            }
        }
        (self.remaining, self.padding) = (0, 0);
        Ok(())
    }

    fn entry(&mut self, block: &[u8; BLOCK], extensions: Extensions, at: u64) -> Result<Entry, TarError> {
        let header = Header(block);
        let malformed = |reason| TarError::Malformed { at, reason };
        let Extensions { pax, long_path, long_link } = extensions;
        let path = pax.path.or(long_path).unwrap_or_else(|| header.path());
        let kind = match header.type_flag() {
            // Before there was a type for directories, a slash told them.
            0 if path.ends_with(b"/") => Kind::Directory,
            0 | b'0' | b'7' | b'S' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::CharDevice,
            b'4' => Kind::BlockDevice,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            other => return Err(TarError::Kind { at, kind: char::from(other) }),
        };
        let number = |value: Option<i64>, reason| value.ok_or(TarError::Malformed { at, reason });
        let natural = |value: Option<i64>, reason| {
            value.and_then(|value| u64::try_from(value).ok()).ok_or(malformed(reason))
        };
        let stored = match (kind, pax.size) {
            // Only files have content, whatever the header says.
            (Kind::File, Some(size)) => size,
            (Kind::File, None) => natural(header.size(), "its size is not a number")?,
            _ => 0,
        };
        let (mtime_seconds, mtime_nanoseconds) = match pax.mtime {
            Some(time) => time,
            None => (number(header.mtime(), "its time is not a number")?, 0),
        };
        let device = match kind {
            Kind::CharDevice | Kind::BlockDevice => {
                let device = header.device().and_then(|(major, minor)| {
                    Some((u32::try_from(major).ok()?, u32::try_from(minor).ok()?))
                });
                device.ok_or_else(|| malformed("its device is not two numbers"))?
            }
            _ => (0, 0),
        };
        let mut entry = Entry {
            path,
            link: pax.link.or(long_link).unwrap_or_else(|| header.link()),
            kind,
            mode: (number(header.mode(), "its mode is not a number")? & 0o7777) as u32,
            uid: pax.uid.map_or_else(|| natural(header.uid(), "its owner is not a number"), Ok)?,
            gid: pax.gid.map_or_else(|| natural(header.gid(), "its group is not a number"), Ok)?,
            mtime_seconds,
            mtime_nanoseconds,
            size: stored,
            device,
            xattrs: pax.xattrs,
            pieces: None,
        };
        if stored > i64::MAX.cast_unsigned() {
            return Err(malformed("its size is absurd"));
        }
        if kind == Kind::File {
            self.sparse(block, pax.sparse, &mut entry, at)?;
        }
        Ok(entry)
    }

    /// Finds out which pieces of the file the archive holds, and positions at the first of them.
    fn sparse(
        &mut self,
        block: &[u8; BLOCK],
        pax: pax::PaxSparse,
        entry: &mut Entry,
        at: u64,
    ) -> Result<(), TarError> {
        let malformed = |reason| TarError::Malformed { at, reason };
        let stored = entry.size;
        let header = Header(block);
        self.set_content(stored);
        let (pieces, real_size) = if header.type_flag() == b'S' && header.format() == Format::Gnu {
            let (pieces, real_size) = sparse::old_gnu(block, &mut self.inner, &mut self.at)?;
            (pieces, Some(real_size))
        } else if (pax.major, pax.minor) == (Some(1), Some(0)) {
            let (pieces, taken) = sparse::from_data(&mut self.inner, stored)?;
            self.remaining -= taken;
            self.at += taken;
            (pieces, pax.real_size)
        } else if pax.map_given {
            (sparse::from_pax(&pax).map_err(malformed)?, pax.real_size)
        } else if pax.major.is_some() || header.type_flag() == b'S' {
            return Err(malformed("this form of sparse file is not known"));
        } else {
            return Ok(());
        };
        if let Some(name) = pax.name {
            entry.path = name;
        }
        entry.size = real_size.ok_or_else(|| malformed("a sparse file does not tell its size"))?;
        sparse::check(&pieces, entry.size, self.remaining).map_err(malformed)?;
        entry.pieces = Some(pieces);
        Ok(())
    }
}

#[derive(Default, PartialEq, Eq)]
struct Extensions {
    pax: Pax,
    long_path: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

fn until_nul(mut name: Vec<u8>) -> Vec<u8> {
    if let Some(end) = name.iter().position(|byte| *byte == 0) {
        name.truncate(end);
    }
    name
}

pub(crate) struct Content<'a, R>(&'a mut TarReader<R>);

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_content(buffer)
    }
}
