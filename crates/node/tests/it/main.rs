//! Real tasks, as root: a scripted `control` on the other side of a socket, real images, networks, containers and spools. Each
//! test has a network and a mount namespace of its own. This binary is the tests, the shim, the exec supervisor, and a node that
//! is killed.
#![expect(clippy::unwrap_used, reason = "a test ends at whatever it did not expect")]

mod control;
mod definition;
mod failures;
mod harness;
mod image;
mod lifecycle;
mod logs;
mod network;
mod restart;
mod speed;
mod world;

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().as_ref().and_then(|word| word.to_str()) {
        Some("shim") => gantry_runtime::shim_main(arguments, gantry_node::output::open),
        Some("exec-shim") => gantry_runtime::exec_main(arguments),
        Some("node") => world::node_process(arguments),
        word => {
            let first = word.map(std::ffi::OsString::from);
            let tests = [
                failures::TESTS,
                lifecycle::TESTS,
                logs::TESTS,
                network::TESTS,
                restart::TESTS,
                speed::TESTS,
            ];
            harness::run(&tests.concat(), first.into_iter().chain(arguments));
        }
    }
}
