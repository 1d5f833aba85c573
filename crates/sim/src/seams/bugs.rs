//! The planted bugs, each a few lines at one seam.

use gantry_control::{CommitFailure, Event};
use gantry_domain::network::NetworkInterface;
use gantry_domain::service::Service;
use gantry_domain::task::{StopCode, Task};
use gantry_domain::{Action, Change, Expect, Record, Stored, View};
use gantry_link::{StopOrder, ToNode};
use gantry_node::core::Found;

use crate::happening::Happening;
use crate::planted::Planted;
use crate::world::World;
