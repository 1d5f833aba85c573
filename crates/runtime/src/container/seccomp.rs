//! Which system calls a container may make: Docker's default profile, read the other way round.
//!
//! Docker allows a list and refuses the rest; here what that list leaves out is refused by name, so that a call newer
//! than this list is left to the kernel's own checks. A capability that the task adds gives back the calls that
//! Docker gives with it.

use std::collections::BTreeMap;
use std::io;

use nix::libc;
use rustix::thread::CapabilitySet;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

/// Refused whatever the capabilities: nothing in a container has a use for them, or they reach beyond it.
const NEVER: &[i64] = &[
    libc::SYS_add_key,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    libc::SYS_nfsservctl,
    libc::SYS_pivot_root,
    libc::SYS_request_key,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_userfaultfd,
    #[cfg(target_arch = "x86_64")]
    libc::SYS__sysctl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_sysfs,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ustat,
];

/// Refused without the capability.
const WITH_CAPABILITY: &[(CapabilitySet, &[i64])] = &[
    (
        CapabilitySet::SYS_ADMIN,
        &[
            libc::SYS_bpf,
            libc::SYS_fanotify_init,
            libc::SYS_fsconfig,
            libc::SYS_fsmount,
            libc::SYS_fsopen,
            libc::SYS_fspick,
            libc::SYS_lookup_dcookie,
            libc::SYS_mount,
            libc::SYS_mount_setattr,
            libc::SYS_move_mount,
            libc::SYS_open_tree,
            libc::SYS_perf_event_open,
            libc::SYS_quotactl,
            libc::SYS_quotactl_fd,
            libc::SYS_setdomainname,
            libc::SYS_sethostname,
            libc::SYS_setns,
            libc::SYS_syslog,
            libc::SYS_umount2,
            libc::SYS_unshare,
        ],
    ),
    (CapabilitySet::BPF, &[libc::SYS_bpf]),
    (CapabilitySet::PERFMON, &[libc::SYS_perf_event_open]),
    (CapabilitySet::SYSLOG, &[libc::SYS_syslog]),
    (CapabilitySet::DAC_READ_SEARCH, &[libc::SYS_open_by_handle_at]),
    (CapabilitySet::SYS_BOOT, &[libc::SYS_reboot]),
    (CapabilitySet::SYS_MODULE, &[libc::SYS_delete_module, libc::SYS_finit_module, libc::SYS_init_module]),
    (CapabilitySet::SYS_NICE, &[libc::SYS_get_mempolicy, libc::SYS_mbind, libc::SYS_set_mempolicy]),
    (CapabilitySet::SYS_PACCT, &[libc::SYS_acct]),
    (CapabilitySet::SYS_PTRACE, &[libc::SYS_kcmp, libc::SYS_pidfd_getfd, libc::SYS_process_madvise]),
    #[cfg(target_arch = "x86_64")]
    (CapabilitySet::SYS_RAWIO, &[libc::SYS_ioperm, libc::SYS_iopl]),
    (CapabilitySet::SYS_TIME, &[libc::SYS_clock_settime, libc::SYS_settimeofday]),
    (CapabilitySet::SYS_TTY_CONFIG, &[libc::SYS_vhangup]),
];

/// Flags of clone(2) that make namespaces.
const NAMESPACE_FLAGS: [i32; 7] = [
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWUTS,
];

/// The execution domains that Docker allows: Linux, 32-bit Linux, each also with the old uname, and the question.
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// The filters for a container with these capabilities. All of them apply.
pub(crate) fn filters(capabilities: CapabilitySet) -> Result<Vec<BpfProgram>, seccompiler::BackendError> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    let mut refused: BTreeMap<i64, Vec<SeccompRule>> = NEVER.iter().map(|call| (*call, Vec::new())).collect();
    for (capability, calls) in WITH_CAPABILITY {
        if !capabilities.contains(*capability) {
            refused.extend(calls.iter().map(|call| (*call, Vec::new())));
        }
    }
    // What two capabilities give, either gives.
    for (capability, calls) in WITH_CAPABILITY {
        if capabilities.contains(*capability) {
            for call in *calls {
                refused.remove(call);
            }
        }
    }
    refused.insert(libc::SYS_personality, vec![other_personality()?]);
    let vsock = condition(0, SeccompCmpOp::Eq, libc::AF_VSOCK.unsigned_abs().into())?;
    refused.insert(libc::SYS_socket, vec![SeccompRule::new(vec![vsock])?]);
    let admin = capabilities.contains(CapabilitySet::SYS_ADMIN);
    if !admin {
        refused.insert(libc::SYS_clone, namespace_clones()?);
    }
    let denied = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let mut programs =
        vec![SeccompFilter::new(refused, SeccompAction::Allow, denied, architecture)?.try_into()?];
    if !admin {
        // The flags of clone3 are in memory, where a filter cannot look: told that it is missing, libraries use clone.
        let missing = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
        let calls = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
        programs.push(SeccompFilter::new(calls, SeccompAction::Allow, missing, architecture)?.try_into()?);
    }
    #[cfg(target_arch = "x86_64")]
    programs.push(no_x32());
    Ok(programs)
}

fn condition(
    argument: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
}

fn other_personality() -> Result<SeccompRule, seccompiler::BackendError> {
    let others = PERSONALITIES.iter().map(|allowed| condition(0, SeccompCmpOp::Ne, *allowed));
    SeccompRule::new(others.collect::<Result<_, _>>()?)
}

fn namespace_clones() -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let rule = |flag: &i32| {
        let flag = u64::from(flag.unsigned_abs());
        SeccompRule::new(vec![condition(0, SeccompCmpOp::MaskedEq(flag), flag)?])
    };
    NAMESPACE_FLAGS.iter().map(rule).collect()
}

/// The x32 interface has the same calls under other numbers, which a list of names does not see.
#[cfg(target_arch = "x86_64")]
fn no_x32() -> BpfProgram {
    let statement = |code: u32, jt, jf, k| seccompiler::sock_filter {
        code: u16::try_from(code).expect("operation codes have 16 bits"),
        jt,
        jf,
        k,
    };
    vec![
        // The call's number is the first word.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, 0x4000_0000),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs()),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

/// Puts the calling thread under a filter, for good. Needs CAP_SYS_ADMIN; unlike `seccompiler::apply_filter` it
/// leaves no_new_privs as it is, so that set-user-id programs of the image keep working.
pub(crate) fn install(program: &BpfProgram) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let filter = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: `filter` points to `length` instructions that live through the call; `sock_filter` of both crates is
    // the kernel's structure, and the kernel copies it and writes nothing.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const filter) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a filter as the kernel would, for the instructions that are used here.
    fn verdict(programs: &[BpfProgram], call: i64, arguments: [u64; 6]) -> u32 {
        let mut data = Vec::new();
        data.extend_from_slice(&u32::try_from(call).unwrap().to_ne_bytes());
        #[cfg(target_arch = "x86_64")]
        data.extend_from_slice(&0xc000_003e_u32.to_ne_bytes());
        #[cfg(target_arch = "aarch64")]
        data.extend_from_slice(&0xc000_00b7_u32.to_ne_bytes());
        data.extend_from_slice(&0_u64.to_ne_bytes());
        for argument in arguments {
            data.extend_from_slice(&argument.to_ne_bytes());
        }
        let mut lowest = libc::SECCOMP_RET_ALLOW;
        for program in programs {
            let (mut accumulator, mut at) = (0_u32, 0_usize);
            let result = loop {
                let instruction = &program[at];
                let (jt, jf) = (usize::from(instruction.jt), usize::from(instruction.jf));
                at += 1;
                let jump = |taken: bool| if taken { jt } else { jf };
                match u32::from(instruction.code) {
                    0x20 => {
                        let offset = instruction.k as usize;
                        accumulator = u32::from_ne_bytes(data[offset..offset + 4].try_into().unwrap());
                    }
                    0x54 => accumulator &= instruction.k,
                    0x05 => at += instruction.k as usize,
                    0x15 => at += jump(accumulator == instruction.k),
                    0x25 => at += jump(accumulator > instruction.k),
                    0x35 => at += jump(accumulator >= instruction.k),
                    0x06 => break instruction.k,
                    other => panic!("unknown instruction {other:#x}"),
                }
            };
            lowest = lowest.min(result);
        }
        lowest
    }

    #[test]
    fn calls_are_refused_as_docker_refuses_them() {
        let allow = libc::SECCOMP_RET_ALLOW;
        let refuse = libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();
        let missing = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();
        let none = CapabilitySet::empty();
        let cases = [
            (none, libc::SYS_read, 0, allow),
            (none, libc::SYS_execve, 0, allow),
            (none, libc::SYS_mount, 0, refuse),
            (CapabilitySet::SYS_ADMIN, libc::SYS_mount, 0, allow),
            (none, libc::SYS_keyctl, 0, refuse),
            (CapabilitySet::SYS_ADMIN, libc::SYS_keyctl, 0, refuse),
            (none, libc::SYS_bpf, 0, refuse),
            (CapabilitySet::BPF, libc::SYS_bpf, 0, allow),
            (CapabilitySet::SYS_ADMIN, libc::SYS_bpf, 0, allow),
            (none, libc::SYS_clone, u64::from(libc::SIGCHLD.unsigned_abs()), allow),
            (none, libc::SYS_clone, u64::from(libc::CLONE_NEWUSER.unsigned_abs()), refuse),
            (none, libc::SYS_clone, u64::from((libc::CLONE_NEWNS | libc::CLONE_VM).unsigned_abs()), refuse),
            (CapabilitySet::SYS_ADMIN, libc::SYS_clone, u64::from(libc::CLONE_NEWNS.unsigned_abs()), allow),
            (none, libc::SYS_clone3, 0, missing),
            (CapabilitySet::SYS_ADMIN, libc::SYS_clone3, 0, allow),
            (none, libc::SYS_personality, 0xffff_ffff, allow),
            (none, libc::SYS_personality, 0x004_0000, refuse),
            (none, libc::SYS_socket, 1, allow),
            (none, libc::SYS_socket, 40, refuse),
            #[cfg(target_arch = "x86_64")]
            (none, 0x4000_0000 | libc::SYS_mount, 0, missing),
        ];
        for (capabilities, call, argument, expected) in cases {
            let programs = filters(capabilities).unwrap();
            let found = verdict(&programs, call, [argument, 0, 0, 0, 0, 0]);
            assert_eq!(found, expected, "call {call} with {argument:#x} and {capabilities:?}");
        }
    }
}
