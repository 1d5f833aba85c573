//! What a region has before anybody made anything: the default VPC with a subnet per zone, its group, gateway and routes.

use gantry_api::ApiError;
use gantry_api::IntoValue;
use gantry_api::ec2 as api;
use gantry_domain::network::{Cidr, IpProtocol, Peer, SecurityGroup, SecurityRule, Subnet, Vpc};
use gantry_domain::object::Object;
use gantry_domain::{Change, Key, Stored as _, View};
use gantry_types::{
    ACCOUNT, AvailabilityZone, Ids, Region, SecurityGroupId, SubnetId, Timestamp, Value, VpcId,
};

/// AWS's regions. A region is whatever the caller signed for, but it has to be one of these, so that a misspelt name makes
/// nothing.
pub const REGIONS: [&str; 33] = [
    "af-south-1",
    "ap-east-1",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "us-gov-west-1",
];

/// Every region has these zones.
pub const ZONE_LETTERS: [char; 3] = ['a', 'b', 'c'];

const MARK: &str = "ec2/region";

/// Whether the region has what it begins with.
pub fn is_ready(view: &View, region: &Region) -> bool {
    view.record(&Key::object(MARK, region.as_str())).is_some()
}

/// Makes what a region begins with. The mark makes a second maker conflict, and then find everything there.
pub fn defaults(
    view: &View,
    region: &Region,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Vec<Change>, ApiError> {
    if is_ready(view, region) {
        return Ok(vec![]);
    }
    if !REGIONS.contains(&region.as_str()) {
        return Err(ApiError::sender("InvalidRegion", format!("The region '{region}' does not exist.")));
    }
    Ok(default_vpc(view, region, now, ids))
}

/// The default VPC with a subnet per zone, its group, gateway and routes. Two of them, made at the same time, conflict at the
/// region's mark.
pub(super) fn default_vpc(view: &View, region: &Region, now: Timestamp, ids: &mut Ids) -> Vec<Change> {
    let cidr = default_cidr();
    let mark = Object { class: MARK.to_owned(), name: region.to_string(), document: Value::map() };
    let mut changes = vec![match view.record(&mark.key()) {
        Some((revision, _)) => Change::update(mark, revision),
        None => Change::create(mark),
    }];
    let (vpc, mut made) = vpc(region, cidr, true, now, ids);
    changes.append(&mut made);
    for (index, letter) in ZONE_LETTERS.iter().enumerate() {
        let range = default_subnet_ranges(cidr).nth(index).expect("a /16 has sixteen /20");
        let zone = AvailabilityZone::new(format!("{region}{letter}"));
        changes.push(Change::create(default_subnet(region, &vpc, range, zone, ids)));
    }
    let gateway = format!("igw-{}", ids.hex(17));
    let attachment =
        api::InternetGatewayAttachment { state: Some("available".to_owned()), vpc_id: Some(vpc.to_string()) };
    changes.push(object(
        "internet-gateway",
        region,
        &gateway,
        api::InternetGateway {
            internet_gateway_id: Some(gateway.clone()),
            owner_id: Some(ACCOUNT.to_owned()),
            attachments: Some(vec![attachment]),
            tags: Some(vec![]),
        },
    ));
    // The main route table leads out through the gateway.
    for change in &mut changes {
        if let gantry_domain::Action::Put(gantry_domain::Record::Object(object)) = &mut change.action
            && object.class == super::tables::table_class(region)
        {
            super::routes::add_default_route(&mut object.document, &gateway);
        }
    }
    changes
}

fn default_cidr() -> Cidr {
    Cidr::parse("172.31.0.0/16").expect("the default VPC's range is one")
}

/// The ranges that default subnets can have, the first for the first zone.
pub(super) fn default_subnet_ranges(cidr: Cidr) -> impl Iterator<Item = Cidr> {
    let bases = (0..).step_by(1 << 12).map_while(move |offset| cidr.nth(offset));
    bases.filter_map(|base| Cidr::new(base, 20))
}

pub(super) fn default_subnet(
    region: &Region,
    vpc: &VpcId,
    cidr: Cidr,
    availability_zone: AvailabilityZone,
    ids: &mut Ids,
) -> Subnet {
    Subnet {
        region: region.clone(),
        id: SubnetId::new(format!("subnet-{}", ids.hex(17))),
        vpc: vpc.clone(),
        cidr,
        availability_zone,
        is_default: true,
        map_public_ip: true,
        document: Value::map(),
    }
}

pub(super) fn object(kind: &str, region: &Region, name: &str, document: impl IntoValue) -> Change {
    Change::create(Object {
        class: format!("ec2/{kind}/{region}"),
        name: name.to_owned(),
        document: document.into_value(),
    })
}

/// A VPC with the group, route table and access list that every VPC comes with.
pub(super) fn vpc(
    region: &Region,
    cidr: Cidr,
    is_default: bool,
    now: Timestamp,
    ids: &mut Ids,
) -> (VpcId, Vec<Change>) {
    let id = VpcId::new(format!("vpc-{}", ids.hex(17)));
    let mut document = Value::map();
    document.set("EnableDnsSupport", true);
    document.set("EnableDnsHostnames", is_default);
    document.set("AssociationId", format!("vpc-cidr-assoc-{}", ids.hex(17)));
    let record = Vpc { region: region.clone(), id: id.clone(), cidr, is_default, created_at: now, document };
    let group = SecurityGroupId::new(format!("sg-{}", ids.hex(17)));
    let rule = |ids: &mut Ids, peer: Peer| SecurityRule {
        id: format!("sgr-{}", ids.hex(17)),
        protocol: IpProtocol::All,
        from_port: -1,
        to_port: -1,
        peer,
        description: None,
        tags: Value::Null,
    };
    let everywhere = Cidr::parse("0.0.0.0/0").expect("everywhere is a range");
    let security_group = SecurityGroup {
        region: region.clone(),
        id: group.clone(),
        name: "default".to_owned(),
        description: "default VPC security group".to_owned(),
        vpc: id.clone(),
        ingress: vec![rule(ids, Peer::Group(group))],
        egress: vec![rule(ids, Peer::Cidr(everywhere))],
        document: Value::map(),
    };
    let changes = vec![
        Change::create(record),
        Change::create(security_group),
        super::tables::main_table(region, &id, cidr, ids),
        super::acls::default_acl(region, &id, ids),
    ];
    (id, changes)
}
