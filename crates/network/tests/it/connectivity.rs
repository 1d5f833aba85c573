//! Who reaches whom.

use std::net::SocketAddrV4;

use crate::world::*;

#[test]
fn two_tasks_talk_through_the_vpc() {
    world(|| {
        let vpcs = vpcs();
        vpcs.ensure_vpc(&vpc_config(VPC)).unwrap();
        let (one, two) = (add(&vpcs, 10), add(&vpcs, 11));
        vpcs.set_security(&VPC.into(), open_security(&[10, 11])).unwrap();
        let server = Server::start(&two.path, address(11), 80);
        let client = connect(&one.path, server.address, PATIENCE).unwrap();
        assert_eq!(server.accept(), address(10));
        assert!(talks(&client, &server.connection()));
    });
}
