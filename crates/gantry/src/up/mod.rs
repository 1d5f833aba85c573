//! `gantry up` and what undoes it: a template becomes a running stack, and whoever waits sees how.
//!
//! Flow: [`source`] finds what shall come up; [`server`] starts the server if none runs; [`images`] builds what the template
//! names and the machine lacks; [`deploy`] asks CloudFormation for a change set, shows it as the plan, executes it and shows each
//! event until the stack is complete; [`reach`] waits for the first answer of its load balancer; [`follow`] goes on with events
//! and logs until Ctrl-C. When the stack fails, [`failure`] looks for the one reason behind it and the container's last words.
//! [`terraform`] runs the user's own `terraform` instead.
//!
//! Everything that is made is made through the AWS APIs, so that other tools see and change the same; only images are built
//! beside them. [`record`] keeps what came up, so that `gantry down` finds it again.

pub(crate) mod deploy;
pub(crate) mod document;
pub(crate) mod down;
pub(crate) mod failure;
pub(crate) mod follow;
pub(crate) mod images;
pub(crate) mod reach;
pub(crate) mod record;
pub(crate) mod screen;
pub(crate) mod server;
pub(crate) mod source;
pub(crate) mod stack;
pub(crate) mod terraform;
