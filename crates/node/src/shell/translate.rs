//! A VPC as `control` describes it, in the network's words.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use gantry_domain::assignment::{InterfaceSpec, VpcSpec};
use gantry_domain::network::{Cidr, IpProtocol, Peer, SecurityRule};
use gantry_network::dns::ZoneConfig;
use gantry_network::{
    self as network, Attachment, InterfaceConfig, Ipv4Cidr, MacAddressError, Member, SecurityGroup, Traffic,
    TrafficError, VpcConfig, VpcSecurity,
};
use gantry_types::Region;

pub(super) fn vpc_config(spec: &VpcSpec) -> VpcConfig {
    VpcConfig {
        vpc_id: spec.vpc.clone(),
        cidrs: vec![range(spec.cidr)],
        dns_address: spec.dns_address,
        local_addresses: spec.local_addresses.iter().copied().collect(),
        service_addresses: Default::default(),
    }
}

/// Rules that no kernel could have are left out, with a warning: a rule only ever lets more through.
pub(super) fn security(spec: &VpcSpec) -> VpcSecurity {
    let rules = |rules: &[SecurityRule]| rules.iter().filter_map(rule).collect();
    VpcSecurity {
        groups: spec
            .groups
            .iter()
            .map(|(id, group)| {
                let group = SecurityGroup { ingress: rules(&group.ingress), egress: rules(&group.egress) };
                (id.clone(), group)
            })
            .collect(),
        members: spec
            .members
            .iter()
            .map(|member| Member {
                address: member.address,
                attachment: match &member.interface {
                    Some(interface) => Attachment::Interface(interface.clone()),
                    None => Attachment::Loopback,
                },
                groups: member.groups.iter().cloned().collect(),
            })
            .collect(),
    }
}

fn rule(rule: &SecurityRule) -> Option<network::Rule> {
    let peer = match &rule.peer {
        Peer::Cidr(cidr) => network::Peer::Cidr(range(*cidr)),
        Peer::Group(group) => network::Peer::Group(group.clone()),
        Peer::Unmatched(_) => return None,
    };
    match traffic(rule) {
        Ok(traffic) => Some(network::Rule { traffic, peer }),
        Err(error) => {
            tracing::warn!(rule = rule.id, %error, "a security group's rule is left out");
            None
        }
    }
}

fn traffic(rule: &SecurityRule) -> Result<Traffic, TrafficError> {
    let (from, to) = (Some(rule.from_port), Some(rule.to_port));
    match rule.protocol {
        IpProtocol::All => Ok(Traffic::All),
        IpProtocol::Tcp => Traffic::from_permission("tcp", from, to),
        IpProtocol::Udp => Traffic::from_permission("udp", from, to),
        IpProtocol::Icmp => Traffic::from_permission("icmp", from, to),
        IpProtocol::Other(number) => Ok(Traffic::Protocol(number)),
    }
}

/// The names that a VPC's DNS answers by itself: those that `control` gave, and one for each interface.
pub(super) fn zone(spec: &VpcSpec) -> ZoneConfig {
    let domain = internal_domain(&spec.region);
    let interfaces = spec.members.iter().filter(|member| member.interface.is_some());
    let own = interfaces.map(|member| (private_name(member.address, &domain), vec![member.address]));
    let mut names: BTreeMap<String, Vec<Ipv4Addr>> = spec.names.clone();
    names.extend(own);
    ZoneConfig {
        domains: vec!["localhost".to_owned(), domain],
        ranges: vec![range(spec.cidr)],
        names: names.into_iter().collect(),
    }
}

/// As EC2 names it: `ec2.internal` in us-east-1, `REGION.compute.internal` elsewhere.
pub(super) fn internal_domain(region: &Region) -> String {
    match region.as_str() {
        "us-east-1" => "ec2.internal".to_owned(),
        region => format!("{region}.compute.internal"),
    }
}

fn private_name(address: Ipv4Addr, domain: &str) -> String {
    let [a, b, c, d] = address.octets();
    format!("ip-{a}-{b}-{c}-{d}.{domain}")
}

pub(super) fn interface_config(spec: &InterfaceSpec) -> Result<InterfaceConfig, MacAddressError> {
    Ok(InterfaceConfig {
        vpc_id: spec.vpc.clone(),
        interface_id: spec.interface.clone(),
        mac: spec.mac.parse()?,
        address: spec.address,
    })
}

fn range(cidr: Cidr) -> Ipv4Cidr {
    Ipv4Cidr::around(cidr.address(), cidr.prefix())
}

#[cfg(test)]
mod tests {
    use gantry_domain::assignment::{MemberSpec, SecurityGroupSpec};
    use gantry_network::PortRange;
    use gantry_types::Value;

    use super::*;

    fn rule_of(protocol: IpProtocol, from: i32, to: i32, peer: Peer) -> SecurityRule {
        let (id, tags) = ("sgr-1".to_owned(), Value::Null);
        SecurityRule { id, protocol, from_port: from, to_port: to, peer, description: None, tags }
    }

    #[test]
    fn rules_are_translated_and_impossible_ones_left_out() {
        let anywhere = || Peer::Cidr(Cidr::parse("0.0.0.0/0").expect("a range"));
        let any = network::Peer::Cidr(Ipv4Cidr::ANY);
        let group = network::Peer::Group("sg-2".into());
        let port = |number| PortRange::one(number);
        let cases = [
            (rule_of(IpProtocol::All, -1, -1, anywhere()), Some((Traffic::All, any.clone()))),
            (rule_of(IpProtocol::All, 80, 80, anywhere()), Some((Traffic::All, any.clone()))),
            (
                rule_of(IpProtocol::Tcp, 80, 80, Peer::Group("sg-2".into())),
                Some((Traffic::Tcp(port(80)), group)),
            ),
            (rule_of(IpProtocol::Udp, 53, 53, anywhere()), Some((Traffic::Udp(port(53)), any.clone()))),
            (rule_of(IpProtocol::Other(50), -1, -1, anywhere()), Some((Traffic::Protocol(50), any))),
            (rule_of(IpProtocol::Tcp, 90, 80, anywhere()), None),
            (rule_of(IpProtocol::All, -1, -1, Peer::Unmatched("::/0".to_owned())), None),
        ];
        for (rule, expected) in cases {
            let found = self::rule(&rule).map(|found| (found.traffic, found.peer));
            assert_eq!(found, expected, "{rule:?}");
        }
    }

    #[test]
    fn a_vpc_is_translated_whole() {
        let spec = VpcSpec {
            region: "eu-west-1".into(),
            vpc: "vpc-00000001".into(),
            cidr: Cidr::parse("10.0.0.0/16").expect("a range"),
            dns_address: [10, 0, 0, 2].into(),
            local_addresses: vec![[10, 0, 0, 9].into()],
            groups: [("sg-1".into(), SecurityGroupSpec { ingress: vec![], egress: vec![] })].into(),
            members: vec![
                MemberSpec {
                    address: [10, 0, 0, 9].into(),
                    interface: None,
                    groups: vec!["sg-1".into(), "sg-1".into()],
                    is_instance: false,
                },
                MemberSpec {
                    address: [10, 0, 1, 4].into(),
                    interface: Some("eni-1".into()),
                    groups: vec!["sg-1".into()],
                    is_instance: false,
                },
            ],
            names: [("page.elb.localhost".to_owned(), vec![[10, 0, 0, 9].into()])].into(),
        };
        let security = security(&spec);
        assert_eq!(security.members[0].attachment, Attachment::Loopback);
        assert_eq!(security.members[0].groups.len(), 1);
        assert_eq!(security.members[1].attachment, Attachment::Interface("eni-1".into()));
        let zone = zone(&spec);
        let own = ("ip-10-0-1-4.eu-west-1.compute.internal".to_owned(), vec![[10, 0, 1, 4].into()]);
        let balancer = ("page.elb.localhost".to_owned(), vec![[10, 0, 0, 9].into()]);
        assert_eq!(zone.names, [own, balancer]);
        assert_eq!(internal_domain(&"us-east-1".into()), "ec2.internal");
    }
}
