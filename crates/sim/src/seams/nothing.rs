//! No bug is planted.

use gantry_control::Event;
use gantry_domain::{Change, View};
use gantry_link::ToNode;
use gantry_node::core::Found;

use crate::planted::Planted;
use crate::world::World;

#[derive(Debug)]
pub(crate) struct Bugs;

impl Bugs {
    pub(crate) fn new(_: Option<Planted>) -> Self {
        Self
    }
    pub(crate) fn forgets_syncs(&self) -> bool {
        false
    }
}

impl World {
    pub(crate) fn planted_swallows(&mut self, _: &Event) -> bool {
        false
    }
    pub(crate) fn planted_view(&mut self) -> Option<View> {
        None
    }
    pub(crate) fn planted_commit(&mut self, changes: Vec<Change>) -> Vec<Change> {
        changes
    }
    pub(crate) fn planted_after(&mut self, _: &[Change]) {}
    pub(crate) fn planted_found(&mut self, found: Found) -> Found {
        found
    }
    pub(crate) fn planted_drops(&mut self, _: &ToNode) -> bool {
        false
    }
    pub(crate) fn planted_drains_early(&self) -> bool {
        false
    }
    pub(crate) fn planted_stops(&mut self, _: usize) {}
}
