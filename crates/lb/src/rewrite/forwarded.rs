//! X-Forwarded-For.

use std::io::Write as _;
use std::net::SocketAddrV4;

use crate::attributes::ForwardedForMode;
use crate::http1::{Field, Kind, trim};
use crate::limits::FORWARDED_FOR_ADDRESSES_MAX;

/// More addresses than AWS takes: 463.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooManyAddresses;

/// Writes the header, made of those that came and the client's own address.
pub(super) fn write_forwarded_for(
    out: &mut Vec<u8>,
    fields: &[Field<'_>],
    client: SocketAddrV4,
    mode: ForwardedForMode,
    with_port: bool,
) -> Result<(), TooManyAddresses> {
    let values = || fields.iter().filter(|field| field.kind == Kind::ForwardedFor).map(|field| field.value);
    let addresses =
        values().flat_map(|value| value.split(|byte| *byte == b',')).filter(|part| !trim(part).is_empty());
    if addresses.count() > FORWARDED_FOR_ADDRESSES_MAX {
        return Err(TooManyAddresses);
    }
    if mode == ForwardedForMode::Remove || (mode == ForwardedForMode::Preserve && values().next().is_none()) {
        return Ok(());
    }
    out.extend_from_slice(b"X-Forwarded-For: ");
    let mut separator: &[u8] = b"";
    for value in values().filter(|value| !value.is_empty()) {
        out.extend_from_slice(separator);
        out.extend_from_slice(value);
        separator = b", ";
    }
    if mode == ForwardedForMode::Append {
        out.extend_from_slice(separator);
        write_address(out, client, with_port);
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

fn write_address(out: &mut Vec<u8>, client: SocketAddrV4, with_port: bool) {
    let [a, b, c, d] = client.ip().octets();
    // Writing to a vector cannot fail.
    let _ = write!(out, "{a}.{b}.{c}.{d}");
    if with_port {
        let _ = write!(out, ":{}", client.port());
    }
}
