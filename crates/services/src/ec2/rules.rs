//! A security group's rules between EC2's nested permissions and our flat ones.

use std::net::Ipv6Addr;

use gantry_api::ec2::{
    IpPermission, IpRange, Ipv6Range, PrefixListId, ReferencedSecurityGroup, SecurityGroupRule, Tag,
    UserIdGroupPair,
};
use gantry_api::{ApiError, FromValue, IntoValue};
use gantry_domain::network::{Cidr, IpProtocol, Peer, SecurityGroup as GroupRecord, SecurityRule};
use gantry_types::{ACCOUNT, Ids, Value};

use super::bad_value;
use super::groups::is_text;

pub(super) const RULES_MAX: usize = 60;

fn protocol(text: &str) -> Result<IpProtocol, ApiError> {
    let known = match text.to_ascii_lowercase().as_str() {
        "-1" | "all" => IpProtocol::All,
        "tcp" | "6" => IpProtocol::Tcp,
        "udp" | "17" => IpProtocol::Udp,
        "icmp" | "1" => IpProtocol::Icmp,
        "icmpv6" => IpProtocol::Other(58),
        other => match other.parse::<u8>() {
            Ok(number) => IpProtocol::Other(number),
            Err(_) => {
                return Err(bad_value(format!("Invalid value '{text}' for IP protocol. Unknown protocol.")));
            }
        },
    };
    Ok(known)
}

pub(super) fn protocol_text(protocol: IpProtocol) -> String {
    match protocol {
        IpProtocol::All => "-1".to_owned(),
        IpProtocol::Tcp => "tcp".to_owned(),
        IpProtocol::Udp => "udp".to_owned(),
        IpProtocol::Icmp => "icmp".to_owned(),
        IpProtocol::Other(58) => "icmpv6".to_owned(),
        IpProtocol::Other(number) => number.to_string(),
    }
}

/// Ports of a permission: both needed for TCP and UDP, -1 for any ICMP type, absent for everything else.
fn ports(protocol: IpProtocol, from: Option<i32>, to: Option<i32>) -> Result<(i32, i32), ApiError> {
    match protocol {
        IpProtocol::Tcp | IpProtocol::Udp => {
            let (Some(from), Some(to)) = (from, to) else {
                return Err(bad_value(
                    "Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.",
                ));
            };
            if !(0..=65535).contains(&from) || !(0..=65535).contains(&to) || from > to {
                return Err(bad_value(format!("Invalid TCP/UDP port range ({from}:{to})")));
            }
            Ok((from, to))
        }
        IpProtocol::Icmp => {
            let (from, to) = (from.unwrap_or(-1), to.unwrap_or(-1));
            if !(-1..=255).contains(&from) || !(-1..=255).contains(&to) {
                return Err(bad_value(format!("ICMP code ({to}) out of range")));
            }
            Ok((from, to))
        }
        IpProtocol::All | IpProtocol::Other(_) => Ok((-1, -1)),
    }
}

/// The flat rules that permissions ask for, without ids; `group` finds a group by id or name.
pub(super) fn flatten(
    permissions: &[IpPermission],
    group: &dyn Fn(&UserIdGroupPair) -> Result<gantry_types::SecurityGroupId, ApiError>,
) -> Result<Vec<SecurityRule>, ApiError> {
    let mut rules = Vec::new();
    for permission in permissions {
        let text = permission.ip_protocol.as_deref().ok_or_else(|| {
            ApiError::sender("MissingParameter", "The request must contain the parameter IpProtocol")
        })?;
        let protocol = protocol(text)?;
        let (from_port, to_port) = ports(protocol, permission.from_port, permission.to_port)?;
        let mut add = |peer: Peer, description: &Option<String>| {
            let description = description.clone().filter(|text| !text.is_empty());
            check_description(description.as_deref())?;
            let rule = SecurityRule {
                id: String::new(),
                protocol,
                from_port,
                to_port,
                peer,
                description,
                tags: Value::Null,
            };
            rules.push(rule);
            Ok::<(), ApiError>(())
        };
        for range in permission.ip_ranges.iter().flatten() {
            let text = range.cidr_ip.as_deref().unwrap_or("");
            let cidr =
                Cidr::parse(text).ok_or_else(|| bad_value(format!("CIDR block {text} is malformed")))?;
            add(Peer::Cidr(cidr), &range.description)?;
        }
        for pair in permission.user_id_group_pairs.iter().flatten() {
            add(Peer::Group(group(pair)?), &pair.description)?;
        }
        for range in permission.ipv6_ranges.iter().flatten() {
            let text = range.cidr_ipv6.as_deref().unwrap_or("");
            let range_text =
                ipv6_range(text).ok_or_else(|| bad_value(format!("CIDR block {text} is malformed")))?;
            add(Peer::Unmatched(range_text), &range.description)?;
        }
        if let Some(list) = permission.prefix_list_ids.iter().flatten().next() {
            return Err(ApiError::sender(
                "InvalidPrefixListID.NotFound",
                format!(
                    "The prefix list ID '{}' does not exist",
                    list.prefix_list_id.as_deref().unwrap_or("")
                ),
            ));
        }
    }
    if rules.is_empty() {
        return Err(ApiError::sender(
            "MissingParameter",
            "Either 'ipPermissions' or 'securityGroupRuleIds' should be provided.",
        ));
    }
    Ok(rules)
}

/// An IPv6 range without its host bits, in its shortest form.
pub(super) fn ipv6_range(text: &str) -> Option<String> {
    let (address, prefix) = text.split_once('/')?;
    let (address, prefix): (Ipv6Addr, u32) = (address.parse().ok()?, prefix.parse().ok()?);
    let mask = u128::MAX.checked_shl(128_u32.checked_sub(prefix)?).unwrap_or(0);
    Some(format!("{}/{prefix}", Ipv6Addr::from(u128::from(address) & mask)))
}

pub(super) fn check_description(text: Option<&str>) -> Result<(), ApiError> {
    match text.filter(|text| !is_text(text)) {
        None => Ok(()),
        Some(text) => Err(bad_value(format!(
            "Invalid rule description '{text}'. Valid descriptions are strings less than 256 characters from the following set: a-zA-Z0-9. _-:/()#,@[]+=&;{{}}!$*"
        ))),
    }
}

pub(super) fn duplicate(rule: &SecurityRule) -> ApiError {
    ApiError::sender(
        "InvalidPermission.Duplicate",
        format!("the specified rule \"{}\" already exists", told(rule)),
    )
}

pub(super) fn not_found() -> ApiError {
    ApiError::sender(
        "InvalidPermission.NotFound",
        "The specified rule does not exist in this security group.",
    )
}

pub(super) fn tags_of(rule: &SecurityRule) -> Vec<Tag> {
    FromValue::from_value(&rule.tags).unwrap_or_default()
}

/// The same traffic: what makes a second rule a duplicate.
pub(super) fn is_same(a: &SecurityRule, b: &SecurityRule) -> bool {
    (a.protocol, a.from_port, a.to_port, &a.peer) == (b.protocol, b.from_port, b.to_port, &b.peer)
}

/// Adds rules; a duplicate of one that is there, or of one in the same call, is refused.
pub(super) fn add(
    existing: &mut Vec<SecurityRule>,
    rules: Vec<SecurityRule>,
    tags: &[Tag],
    ids: &mut Ids,
) -> Result<Vec<SecurityRule>, ApiError> {
    let mut added = Vec::new();
    for mut rule in rules {
        if existing.iter().any(|other| is_same(other, &rule)) {
            return Err(duplicate(&rule));
        }
        rule.id = format!("sgr-{}", ids.hex(17));
        rule.tags = if tags.is_empty() { Value::Null } else { tags.to_vec().into_value() };
        existing.push(rule.clone());
        added.push(rule);
    }
    if existing.len() > RULES_MAX {
        return Err(ApiError::sender(
            "RulesPerSecurityGroupLimitExceeded",
            "The maximum number of rules per security group has been reached.",
        ));
    }
    Ok(added)
}

/// AWS's one-line form of a rule.
fn told(rule: &SecurityRule) -> String {
    let protocol = match rule.protocol {
        IpProtocol::All => "ALL".to_owned(),
        other => protocol_text(other).to_uppercase(),
    };
    let ports = match rule.protocol {
        IpProtocol::Tcp | IpProtocol::Udp => {
            format!("from port: {}, to port: {}, ", rule.from_port, rule.to_port)
        }
        IpProtocol::All | IpProtocol::Icmp | IpProtocol::Other(_) => String::new(),
    };
    let peer = match &rule.peer {
        Peer::Cidr(cidr) => cidr.to_string(),
        Peer::Group(group) => group.to_string(),
        Peer::Unmatched(text) => text.clone(),
    };
    format!("peer: {peer}, {protocol}, {ports}ALLOW")
}

fn shown_ports(rule: &SecurityRule) -> (Option<i32>, Option<i32>) {
    match rule.protocol {
        IpProtocol::All | IpProtocol::Other(_) => (None, None),
        IpProtocol::Tcp | IpProtocol::Udp | IpProtocol::Icmp => (Some(rule.from_port), Some(rule.to_port)),
    }
}

/// Nested permissions: rules of the same protocol and ports stand together, as AWS shows them.
pub(super) fn nest(rules: &[SecurityRule]) -> Vec<IpPermission> {
    let mut permissions: Vec<IpPermission> = Vec::new();
    for rule in rules {
        let (from_port, to_port) = shown_ports(rule);
        let protocol = Some(protocol_text(rule.protocol));
        let index = permissions
            .iter()
            .position(|each| {
                each.ip_protocol == protocol && each.from_port == from_port && each.to_port == to_port
            })
            .unwrap_or_else(|| {
                permissions.push(IpPermission {
                    ip_protocol: protocol,
                    from_port,
                    to_port,
                    ip_ranges: Some(vec![]),
                    ipv6_ranges: Some(vec![]),
                    prefix_list_ids: Some(vec![]),
                    user_id_group_pairs: Some(vec![]),
                });
                permissions.len() - 1
            });
        let permission = &mut permissions[index];
        let description = rule.description.clone();
        match &rule.peer {
            Peer::Cidr(cidr) => permission
                .ip_ranges
                .get_or_insert_default()
                .push(IpRange { cidr_ip: Some(cidr.to_string()), description }),
            Peer::Group(group) => {
                permission.user_id_group_pairs.get_or_insert_default().push(UserIdGroupPair {
                    group_id: Some(group.to_string()),
                    user_id: Some(ACCOUNT.to_owned()),
                    description,
                    ..UserIdGroupPair::default()
                });
            }
            Peer::Unmatched(text) if text.starts_with("pl-") => permission
                .prefix_list_ids
                .get_or_insert_default()
                .push(PrefixListId { prefix_list_id: Some(text.clone()), description }),
            Peer::Unmatched(text) => permission
                .ipv6_ranges
                .get_or_insert_default()
                .push(Ipv6Range { cidr_ipv6: Some(text.clone()), description }),
        }
    }
    permissions
}

/// A rule as a resource of its own.
pub(super) fn shown(group: &GroupRecord, rule: &SecurityRule, is_egress: bool) -> SecurityGroupRule {
    let (from_port, to_port) = (Some(rule.from_port), Some(rule.to_port));
    let mut shown = SecurityGroupRule {
        security_group_rule_id: Some(rule.id.clone()),
        security_group_rule_arn: Some(
            gantry_types::arn("ec2", group.region.as_str(), &format!("security-group-rule/{}", rule.id))
                .to_string(),
        ),
        group_id: Some(group.id.to_string()),
        group_owner_id: Some(ACCOUNT.to_owned()),
        is_egress: Some(is_egress),
        ip_protocol: Some(protocol_text(rule.protocol)),
        from_port,
        to_port,
        description: rule.description.clone(),
        tags: Some(tags_of(rule)),
        ..SecurityGroupRule::default()
    };
    match &rule.peer {
        Peer::Cidr(cidr) => shown.cidr_ipv4 = Some(cidr.to_string()),
        Peer::Group(id) => {
            shown.referenced_group_info = Some(ReferencedSecurityGroup {
                group_id: Some(id.to_string()),
                user_id: Some(ACCOUNT.to_owned()),
                ..ReferencedSecurityGroup::default()
            });
        }
        Peer::Unmatched(text) if text.starts_with("pl-") => shown.prefix_list_id = Some(text.clone()),
        Peer::Unmatched(text) => shown.cidr_ipv6 = Some(text.clone()),
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permission(protocol: &str, from: Option<i32>, to: Option<i32>, cidr: &str) -> IpPermission {
        IpPermission {
            ip_protocol: Some(protocol.to_owned()),
            from_port: from,
            to_port: to,
            ip_ranges: Some(vec![IpRange { cidr_ip: Some(cidr.to_owned()), description: None }]),
            ..IpPermission::default()
        }
    }

    fn flat(permissions: &[IpPermission]) -> Result<Vec<SecurityRule>, ApiError> {
        flatten(permissions, &|_| Err(bad_value("no group here")))
    }

    #[test]
    fn rules_go_flat_and_come_back_nested() {
        let given = [
            permission("tcp", Some(80), Some(80), "0.0.0.0/0"),
            permission("6", Some(80), Some(80), "10.0.0.0/8"),
        ];
        let rules = flat(&given).unwrap();
        assert_eq!(rules.len(), 2);
        let nested = nest(&rules);
        assert_eq!(nested.len(), 1);
        assert_eq!(nested[0].ip_ranges.as_ref().map(Vec::len), Some(2));
    }

    #[test]
    fn ipv6_ranges_have_one_form() {
        for (text, expected) in [
            ("::/0", Some("::/0")),
            ("0::0/0", Some("::/0")),
            ("2001:DB8::1/32", Some("2001:db8::/32")),
            ("::1/128", Some("::1/128")),
            ("::1/129", None),
            ("::1", None),
            ("1.2.3.4/8", None),
        ] {
            assert_eq!(ipv6_range(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            permission("tcp", None, Some(80), "0.0.0.0/0"),
            permission("tcp", Some(90), Some(80), "0.0.0.0/0"),
            permission("tcp", Some(80), Some(70000), "0.0.0.0/0"),
            permission("carrier-pigeon", Some(80), Some(80), "0.0.0.0/0"),
            permission("tcp", Some(80), Some(80), "0.0.0.0/33"),
        ] {
            assert!(flat(std::slice::from_ref(&bad)).is_err(), "{bad:?}");
        }
        assert!(flat(&[]).is_err());
    }

    #[test]
    fn a_rule_is_added_once() {
        let mut ids = Ids::from_seed(1);
        let mut rules = Vec::new();
        let given = [permission("-1", None, None, "0.0.0.0/0")];
        assert_eq!(add(&mut rules, flat(&given).unwrap(), &[], &mut ids).unwrap().len(), 1);
        let error = add(&mut rules, flat(&given).unwrap(), &[], &mut ids).unwrap_err();
        assert_eq!(error.code, "InvalidPermission.Duplicate");
    }
}
