//! Names: of links (at most 15 bytes), of namespaces (files), of tables; and the ids from which they are made, which are
//! checked before they become part of a path or a netlink message.

use gantry_types::{NetworkInterfaceId, SecurityGroupId, VpcId};

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("{0:?} is not a container's name: letters, digits and hyphens")]
    Container(String),
    #[error("{id:?} is not an id of the form {expected}-0123456789abcdef0")]
    Id { id: String, expected: &'static str },
    #[error("{0:?} is not an instance name: 1 to 6 lower-case letters and digits")]
    Instance(String),
}

/// The link inside the VPC's namespace that leads to the host.
pub(crate) const UPLINK: &str = "uplink";
/// The link inside a task's namespace, as Fargate names it.
pub(crate) const TASK_LINK: &str = "eth0";
/// What the files of containers' own namespaces begin with.
pub(crate) const CONTAINER_PREFIX: &str = "ctr-";
/// The nftables table inside a VPC's namespace.
pub(crate) const VPC_TABLE: &str = "gantry";

/// Tells the installations of one machine apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance(String);

impl Instance {
    pub fn new(name: &str) -> Result<Self, NameError> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if name.is_empty() || name.len() > 6 || !name.bytes().all(allowed) {
            return Err(NameError::Instance(name.chars().take(64).collect()));
        }
        Ok(Self(name.to_owned()))
    }

    /// What the names of all our links on the host begin with.
    pub(crate) fn link_prefix(&self) -> String {
        format!("gt{}-", self.0)
    }

    /// The host's end of the uplink that has this number in the uplink range.
    pub(crate) fn host_link(&self, index: u32) -> String {
        format!("{}{index:04x}", self.link_prefix())
    }

    /// The nftables table on the host, and the comment on rules beside those of other programs.
    pub(crate) fn host_table(&self) -> String {
        format!("gantry-{}", self.0)
    }
}

/// The VPC's end of an interface's veth: the end of the id's digits, so that a person finds it. The whole id stands in the
/// link's alias.
pub(crate) fn interface_link(id: &NetworkInterfaceId) -> Result<String, NameError> {
    let digits = digits_of(id.as_str(), "eni")?;
    Ok(format!("e{}", &digits[digits.len().saturating_sub(14)..]))
}

pub(crate) fn check_vpc(id: &VpcId) -> Result<(), NameError> {
    digits_of(id.as_str(), "vpc").map(drop)
}

pub(crate) fn check_group(id: &SecurityGroupId) -> Result<(), NameError> {
    digits_of(id.as_str(), "sg").map(drop)
}

/// The file of a container's own namespace.
pub(crate) fn container_namespace(container: &str) -> Result<String, NameError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if container.is_empty() || container.len() > 128 || !container.bytes().all(plain) {
        return Err(NameError::Container(container.chars().take(64).collect()));
    }
    Ok(format!("{CONTAINER_PREFIX}{container}"))
}

/// EC2's ids have 17 hexadecimal digits, the oldest ones 8.
fn digits_of<'a>(id: &'a str, expected: &'static str) -> Result<&'a str, NameError> {
    let digits = id.strip_prefix(expected).and_then(|rest| rest.strip_prefix('-')).unwrap_or("");
    let allowed = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if matches!(digits.len(), 8 | 17) && digits.bytes().all(allowed) {
        Ok(digits)
    } else {
        Err(NameError::Id { id: id.chars().take(64).collect(), expected })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_the_kernels_limit() {
        let link = interface_link(&"eni-0123456789abcdef0".into()).unwrap();
        assert_eq!(link, "e3456789abcdef0");
        assert!(link.len() <= 15);
        assert_eq!(interface_link(&"eni-01234567".into()).unwrap(), "e01234567");
        let instance = Instance::new("abc123").unwrap();
        assert_eq!(instance.host_link(0xffff), "gtabc123-ffff");
        assert!(instance.host_link(0x3fffff).len() <= 15);
    }

    #[test]
    fn what_is_no_id_becomes_no_name() {
        for id in [
            "",
            "eni-",
            "eni-../../../etc/x",
            "eni-0123456789ABCDEF0",
            "vpc-0123456789abcdef0",
            "eni-0123\n567",
        ] {
            assert!(interface_link(&id.into()).is_err(), "{id:?}");
        }
        for name in ["", "toolong", "Abc", "a-b", "a/b"] {
            assert!(Instance::new(name).is_err(), "{name:?}");
        }
    }
}
