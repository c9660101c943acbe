//! What is written is on the disk before anything is built on it: libgit2 syncs nothing unless it is told to.
//!
//! Keeps true: an intent outlives a loss of power, for hosts are touched on the strength of it; what a reference of the
//! mirror names is there after one too. Never does: changing the settings of a repository that is not ours.

use std::{ffi::c_int, sync::Once};

/// From now on this process syncs every object, pack and reference that it writes, and the folder that it is in: here,
/// and in another repository on this machine.
pub(super) fn ensure() {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        libgit2_sys::init();
        let option = libgit2_sys::GIT_OPT_ENABLE_FSYNC_GITDIR as c_int;
        // SAFETY: the option takes one number, and sets one of libgit2's own that is only read elsewhere. It knows the
        // option (git2/common.h), so there is no error to be told.
        unsafe { libgit2_sys::git_libgit2_opts(option, 1 as c_int) };
    });
}
