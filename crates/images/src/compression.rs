//! Which compression data has, told from its first bytes as Docker does, and the reader for it.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use crate::limits::CHUNK_BYTES;
use crate::tar::TarError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

const MAGIC_BYTES: usize = 6;
/// A decoder for zstd may be made to hold its window: at most 128 MiB, the format's own recommended bound.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// A reader of the content, whatever its compression.
pub(crate) fn decompress<'a, R: Read + Send + 'a>(
    inner: R,
) -> Result<(Compression, Box<dyn Read + Send + 'a>), TarError> {
    let mut inner = BufReader::with_capacity(CHUNK_BYTES, inner);
    let mut first = Vec::with_capacity(MAGIC_BYTES);
    (&mut inner).take(MAGIC_BYTES as u64).read_to_end(&mut first)?;
    let compression = detect(&first)?;
    Ok((compression, decoder(compression, Cursor::new(first).chain(inner))?))
}

/// The compression alone.
pub(crate) fn compression_of<R: Read>(inner: R) -> Result<Compression, TarError> {
    let mut first = Vec::with_capacity(MAGIC_BYTES);
    inner.take(MAGIC_BYTES as u64).read_to_end(&mut first)?;
    detect(&first)
}

fn detect(first: &[u8]) -> Result<Compression, TarError> {
    match first {
        [0x1f, 0x8b, ..] => Ok(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Compression::Zstd),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Err(TarError::Compression("bzip2")),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Err(TarError::Compression("xz")),
        _ => Ok(Compression::None),
    }
}

fn decoder<'a, R: BufRead + Send + 'a>(
    compression: Compression,
    inner: R,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    Ok(match compression {
        Compression::None => Box::new(inner),
        // Parallel compressors and seekable layers write many members.
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(inner)),
        Compression::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(inner)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(decoder)
        }
    })
}

/// Refuses to give more than a number of bytes, where `Read::take` would pretend that the input ends.
pub(crate) struct Bounded<R> {
    inner: R,
    bytes_max: u64,
    count: u64,
}

impl<R> Bounded<R> {
    pub(crate) fn new(inner: R, bytes_max: u64) -> Self {
        Self { inner, bytes_max, count: 0 }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count += read as u64;
        if self.count > self.bytes_max {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, self.bytes_max.to_string()));
        }
        Ok(read)
    }
}
