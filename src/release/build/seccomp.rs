//! The system calls that a build does without: what no compiler, bundler or package manager needs, and what reaches
//! further into the kernel than a build has any business.
//!
//! Keeps true: a call on the list is answered as by a kernel that does not have it, so programs fall back; memory that
//! no process of the build maps (memfd, System V) cannot be had, for nothing would count it.
//! Source: seccomp(2), bwrap(1) `--seccomp`.

use std::{
    collections::BTreeMap,
    env::consts::ARCH,
    fs::File,
    io::{self, Seek as _, Write as _},
};

use rustix::fs::{MemfdFlags, memfd_create};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, SeccompRule};

const REFUSED: &[libc::c_long] = &[
    // Memory that belongs to no process.
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    libc::SYS_shmget,
    libc::SYS_shmat,
    // Keys, programs and queues inside the kernel.
    libc::SYS_add_key,
    libc::SYS_keyctl,
    libc::SYS_request_key,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Namespaces and mounts: the sandbox is made before the filter holds.
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_fsconfig,
    libc::SYS_fspick,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    // The machine as a whole.
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_vhangup,
];

/// The filter as bubblewrap reads it, in a file that is closed when another program is run; None on a processor that it cannot be made for.
pub fn filter() -> io::Result<Option<File>> {
    let Ok(arch) = ARCH.try_into() else { return Ok(None) };
    let rules: BTreeMap<i64, Vec<SeccompRule>> = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let absent = SeccompAction::Errno(libc::ENOSYS as u32);
    let program = SeccompFilter::new(rules, SeccompAction::Allow, absent, arch).and_then(BpfProgram::try_from);
    let program = program.map_err(io::Error::other)?;
    let mut file = File::from(memfd_create("evenkeel-seccomp", MemfdFlags::CLOEXEC)?);
    for step in program {
        file.write_all(&step.code.to_ne_bytes())?;
        file.write_all(&[step.jt, step.jf])?;
        file.write_all(&step.k.to_ne_bytes())?;
    }
    file.rewind()?;
    Ok(Some(file))
}
