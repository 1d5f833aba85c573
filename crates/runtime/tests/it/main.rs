//! Real containers, as root. This binary is the tests, the shim, the exec supervisor, and a node that is killed.
#![expect(clippy::unwrap_used, reason = "a test ends at whatever it did not expect")]

mod adoption;
mod execs;
mod harness;
mod isolation;
mod lifecycle;
mod limits;
mod machine;
mod output;
mod sessions;
mod sink;
mod speed;
mod version2;

use std::ffi::OsString;

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().as_deref().and_then(|word| word.to_str()) {
        Some("shim") => gantry_runtime::shim_main(arguments, sink::open),
        Some("exec-shim") => gantry_runtime::exec_main(arguments),
        Some("hold") => machine::hold(arguments),
        word => {
            let first: Option<OsString> = word.map(OsString::from);
            let tests = [
                adoption::TESTS,
                execs::TESTS,
                sessions::TESTS,
                isolation::TESTS,
                lifecycle::TESTS,
                limits::TESTS,
                output::TESTS,
                speed::TESTS,
                version2::TESTS,
            ];
            harness::run(&tests.concat(), first.into_iter().chain(arguments));
        }
    }
}
