//! SIGTERM and SIGINT, waited for by the main thread. The standard library has no signals, so three functions of libc are
//! declared here.

use std::ffi::c_int;
use std::mem::MaybeUninit;

const SIGINT: c_int = 2;
const SIGTERM: c_int = 15;
const SIG_BLOCK: c_int = 0;

/// As large as any libc's on Linux.
#[repr(C, align(8))]
struct SignalSet([u8; 128]);

unsafe extern "C" {
    fn sigemptyset(set: *mut SignalSet) -> c_int;
    fn sigaddset(set: *mut SignalSet, signal: c_int) -> c_int;
    fn pthread_sigmask(how: c_int, set: *const SignalSet, old: *mut SignalSet) -> c_int;
    fn sigwait(set: *const SignalSet, signal: *mut c_int) -> c_int;
}

fn stop_signals() -> SignalSet {
    let mut set = MaybeUninit::<SignalSet>::uninit();
    // SAFETY: sigemptyset initialises the set that it is given, which is as large and aligned as libc's; sigaddset then changes
    // an initialised one. With valid signal numbers neither fails.
    unsafe {
        sigemptyset(set.as_mut_ptr());
        sigaddset(set.as_mut_ptr(), SIGINT);
        sigaddset(set.as_mut_ptr(), SIGTERM);
        set.assume_init()
    }
}

/// Keeps the signals for [`wait_for_stop`]; threads that are made later inherit that.
pub(crate) fn block() {
    let set = stop_signals();
    // SAFETY: the set is initialised, and no old one is asked for.
    unsafe {
        pthread_sigmask(SIG_BLOCK, &raw const set, std::ptr::null_mut());
    }
}

/// Returns when the process shall stop.
pub(crate) fn wait_for_stop() {
    let set = stop_signals();
    let mut signal = 0;
    // SAFETY: the set is initialised and the number is ours to write.
    while unsafe { sigwait(&raw const set, &raw mut signal) } != 0 {}
}
