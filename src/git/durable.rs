//! What is written is on the disk before anything is built on it: libgit2 syncs nothing unless it is told to.
//!
//! Keeps true: an intent outlives a loss of power, for hosts are touched on the strength of it; what a reference of the
//! mirror names is there after one too. Never does: changing the settings of a repository that is not ours.

use std::{ffi::c_int, sync::Once};

use crate::model::budget::Budget;

/// From now on this process refuses larger packs and objects than the budget has, and syncs every object, pack and reference that it writes, and the folder that it is in: here,
/// and in another repository on this machine.
pub(super) fn ensure() {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        libgit2_sys::init();
        let option = libgit2_sys::GIT_OPT_ENABLE_FSYNC_GITDIR as c_int;
        // SAFETY: the option takes one number, and sets one of libgit2's own that is only read elsewhere. It knows the
        // option (git2/common.h), so there is no error to be told.
        unsafe { libgit2_sys::git_libgit2_opts(option, 1 as c_int) };
        let limits = [
            (libgit2_sys::GIT_OPT_SET_PACK_MAX_OBJECTS, Budget::STANDARD.objects),
            (libgit2_sys::GIT_OPT_SET_PACK_MAX_OBJECT_SIZE, Budget::STANDARD.object_bytes as usize),
        ];
        for (option, most) in limits {
            // SAFETY: as above; these two take a size.
            unsafe { libgit2_sys::git_libgit2_opts(option as c_int, most) };
        }
    });
}
