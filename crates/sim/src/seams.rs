//! Where planted bugs are let in. Without them each of these passes on what it is given.

#[cfg(not(any(test, feature = "planted")))]
mod nothing {
    use gantry_control::Event;
    use gantry_domain::{Change, View};
    use gantry_link::ToNode;
    use gantry_node::core::Found;

    use crate::world::World;

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
}

#[cfg(any(test, feature = "planted"))]
mod bugs;
