//! Process 1 of a container that asked for an init: it reaps orphans, forwards signals to the program and ends with
//! it.
//!
//! It is this process image, forked, and not a program in the container: so nothing has to be put into the image. A
//! process that did not execute anything since `libcontainer` made it undumpable stays undumpable, so the container's
//! processes cannot reach this binary through `/proc/1/exe`.

use std::io;

use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::unistd::{ForkResult, Pid, fork};
use rustix::process::WaitOptions;

/// Becomes process 1 and comes back in its child, which is to execute the program.
pub(crate) fn split_off() -> io::Result<()> {
    let all = SigSet::all();
    let mut before = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&all), Some(&mut before))?;
    // SAFETY: the process has one thread, so the child may do whatever the parent might.
    match unsafe { fork() }? {
        ForkResult::Child => {
            sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
            Ok(())
        }
        ForkResult::Parent { child } => {
            close_inherited();
            let code = serve(child, &all);
            // SAFETY: _exit has no preconditions; nothing of this copy of the shim's memory may be cleaned up here.
            unsafe { libc::_exit(code) }
        }
    }
}

/// The program's start is reported by the end of a pipe, so that process 1 may hold nothing but the standard streams.
fn close_inherited() {
    // SAFETY: this process executes nothing but `serve`, which uses no descriptor.
    unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32) };
}

fn serve(program: Pid, all: &SigSet) -> i32 {
    loop {
        // SAFETY: `all` is a whole signal set, and a null pointer asks for no details. Real-time signals, which
        // nix's own wrapper cannot name, are returned as numbers.
        let signal = unsafe { libc::sigwaitinfo(all.as_ref(), std::ptr::null_mut()) };
        match signal {
            libc::SIGCHLD => {
                if let Some(code) = reap(program) {
                    return code;
                }
            }
            // An interrupted wait, and the terminal's signals, which are not meant for the program.
            ..=0 | libc::SIGTTIN | libc::SIGTTOU => {}
            signal => {
                // SAFETY: sending a signal touches no memory. A program that has just ended is reaped next.
                unsafe { libc::kill(program.as_raw(), signal) };
            }
        }
    }
}

/// Reaps all that ended; the program's own exit code if it was among them.
fn reap(program: Pid) -> Option<i32> {
    // Ends when nobody else has ended.
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if pid.as_raw_nonzero().get() == program.as_raw() {
            return status.exit_status().or_else(|| Some(128 + status.terminating_signal()?));
        }
    }
    None
}
