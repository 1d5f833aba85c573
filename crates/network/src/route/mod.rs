//! Links, addresses, routes and neighbours over rtnetlink. Each function appends one message to a batch, or asks one
//! question; nothing here knows what a VPC is.

mod address;
mod link;
mod routes;

pub(crate) use address::{Address, add_address, addresses, delete_address};
pub(crate) use link::{
    InterfaceSettings, Link, VethEnd, add_veth, becomes_operational, configure, delete_configured_links,
    delete_link, delete_links, link_by_name, links, name_link, set_up,
};
pub use link::{MacAddress, MacAddressError};
pub(crate) use routes::{Destination, Route, add_neighbour, add_route, delete_route, put_route, routes};
