//! `Fn::Cidr`: a block cut into smaller ones.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const COUNT_MAX: u32 = 256;

/// `count` blocks from the start of `block`, each with `bits` bits for hosts.
pub(super) fn cidr_blocks(block: &str, count: &str, bits: Option<&str>) -> Result<Vec<String>, String> {
    let count = match count.parse::<u32>() {
        Ok(count) if (1..=COUNT_MAX).contains(&count) => count,
        _ => return Err(format!("Fn::Cidr count {count} must be between 1 and {COUNT_MAX}")),
    };
    let wrong = || format!("Fn::Cidr ipBlock {block} is not a valid CIDR block");
    let (address, prefix) = block.split_once('/').ok_or_else(wrong)?;
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let (width, start) = match address {
        IpAddr::V4(address) => (32u32, u128::from(address.to_bits())),
        IpAddr::V6(address) => (128, address.to_bits()),
    };
    let prefix: u32 = prefix.parse().ok().filter(|prefix| *prefix <= width).ok_or_else(wrong)?;
    let bits = match bits {
        Some(text) => text.parse::<u32>().ok().filter(|bits| *bits <= width),
        // Without the argument: 8 for IPv4; IPv6 has to say.
        None => (width == 32).then_some(8),
    };
    let bits = bits.ok_or_else(|| format!("Fn::Cidr cidrBits must be an integer of at most {width}"))?;
    let room = width - prefix;
    let fits = bits <= room && (room - bits >= 32 || u64::from(count) <= 1u64 << (room - bits));
    if !fits {
        return Err(format!("Fn::Cidr cannot fit {count} blocks with {bits} CIDR bits in {block}"));
    }
    let first = if room == 128 { 0 } else { start >> room << room };
    Ok((0..count)
        .map(|index| {
            // With all bits for hosts there is one block, at the start.
            let offset = u128::from(index).checked_shl(bits).unwrap_or(0);
            match address {
                IpAddr::V4(_) => {
                    let at = u32::try_from(first + offset).expect("the block holds all of its parts");
                    format!("{}/{}", Ipv4Addr::from_bits(at), width - bits)
                }
                IpAddr::V6(_) => format!("{}/{}", Ipv6Addr::from_bits(first + offset), width - bits),
            }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::cidr_blocks;

    #[test]
    fn blocks_follow_each_other() {
        for (block, count, bits, expected) in [
            (
                "192.168.0.0/24",
                "6",
                Some("5"),
                "192.168.0.0/27 192.168.0.32/27 192.168.0.64/27 192.168.0.96/27 192.168.0.128/27 192.168.0.160/27",
            ),
            ("10.0.0.0/16", "2", Some("8"), "10.0.0.0/24 10.0.1.0/24"),
            ("10.0.7.9/16", "2", None, "10.0.0.0/24 10.0.1.0/24"),
            ("10.0.0.0/24", "1", Some("0"), "10.0.0.0/32"),
            ("0.0.0.0/0", "1", Some("32"), "0.0.0.0/0"),
            ("255.255.255.0/24", "256", Some("0"), ""),
            ("2600:1f18:abc:de00::/56", "2", Some("64"), "2600:1f18:abc:de00::/64 2600:1f18:abc:de01::/64"),
            ("::/0", "1", Some("128"), "::/0"),
        ] {
            let blocks = cidr_blocks(block, count, bits).unwrap();
            if expected.is_empty() {
                assert_eq!(blocks.last().unwrap(), "255.255.255.255/32");
            } else {
                assert_eq!(blocks.join(" "), expected, "{block}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (block, count, bits, expected) in [
            ("10.0.0.0/24", "9", Some("5"), "cannot fit 9 blocks with 5 CIDR bits in 10.0.0.0/24"),
            ("10.0.0.0/24", "1", Some("9"), "cannot fit"),
            ("10.0.0.0/16", "0", Some("8"), "must be between 1 and 256"),
            ("10.0.0.0/16", "257", Some("1"), "must be between 1 and 256"),
            ("10.0.0.0/16", "x", Some("8"), "must be between 1 and 256"),
            ("10.0.0/16", "1", Some("8"), "is not a valid CIDR block"),
            ("10.0.0.0/33", "1", Some("8"), "is not a valid CIDR block"),
            ("10.0.0.0", "1", Some("8"), "is not a valid CIDR block"),
            ("10.0.0.0/16", "1", Some("-1"), "cidrBits must be an integer"),
            ("::/64", "1", None, "cidrBits must be an integer"),
        ] {
            let problem = cidr_blocks(block, count, bits).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
