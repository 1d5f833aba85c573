//! A record as it stands in the file: a header of 33 bytes, then the value.

use crate::lease::LeaseId;
use crate::transaction::{KeyValue, Revision};

const FORMAT: u8 = 1;
const HEADER_BYTES: usize = 33;

/// The numbers beside a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) create_revision: Revision,
    pub(crate) mod_revision: Revision,
    pub(crate) version: u64,
    pub(crate) lease: Option<LeaseId>,
}

/// The file holds something that no version of this program wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotARecord;

pub(crate) fn encode(header: Header, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + value.len());
    bytes.push(FORMAT);
    let lease = header.lease.map_or(0, LeaseId::number);
    for number in [header.create_revision, header.mod_revision, header.version, lease] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(value);
    bytes
}

pub(crate) fn decode(bytes: &[u8]) -> Result<(Header, &[u8]), NotARecord> {
    let (header, value) = bytes.split_at_checked(HEADER_BYTES).ok_or(NotARecord)?;
    if header[0] != FORMAT {
        return Err(NotARecord);
    }
    let number = |index: usize| {
        let at = 1 + index * 8;
        u64::from_le_bytes(header[at..at + 8].try_into().expect("a slice of 8 bytes makes an array of 8"))
    };
    let header = Header {
        create_revision: number(0),
        mod_revision: number(1),
        version: number(2),
        lease: LeaseId::new(number(3)),
    };
    Ok((header, value))
}

pub(crate) fn key_value(key: &[u8], header: Header, value: &[u8]) -> KeyValue {
    KeyValue {
        key: key.to_vec(),
        value: value.to_vec(),
        create_revision: header.create_revision,
        mod_revision: header.mod_revision,
        version: header.version,
        lease: header.lease,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_back_and_anything_else_refused() {
        let header = Header { create_revision: 3, mod_revision: 9, version: 4, lease: LeaseId::new(7) };
        let bytes = encode(header, b"value");
        assert_eq!(decode(&bytes), Ok((header, b"value".as_slice())));
        for wrong in [&bytes[..32], b"", &[2; 40]] {
            assert_eq!(decode(wrong), Err(NotARecord));
        }
    }
}
