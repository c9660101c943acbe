//! Names of log records that are no events: layers below the broadcast write them into the log themselves.
//!
//! Keeps true: a record at info or above that is no event carries one of these names in its field `event`
//! (`tests/layering.rs`), and none of them is an event's (`tests/report/events.rs`).

use super::Level;

/// Something takes long.
pub const WAITING: &str = "waiting";
/// The connection to an instance broke during a phase. The phase continues on the host.
pub const HOST_CUT_OFF: &str = "host.cut-off";
/// A jump host sent unexpected data; its connection is closed.
pub const JUMP_CUT: &str = "jump.cut";
/// A build lost its network.
pub const BUILD_OFFLINE: &str = "build.offline";
/// The record of what was being prepared at the last crash cannot be read.
pub const ATTEMPTS_UNREAD: &str = "attempts.unread";
/// The record of what is being prepared cannot be written, so a crash could not be attributed.
pub const ATTEMPTS_UNWRITTEN: &str = "attempts.unwritten";
/// The last trusted commit of the history cannot be stored for the next start.
pub const HISTORY_UNREMEMBERED: &str = "history.unremembered";
/// Another controller advanced the history first; its entry stands.
pub const HISTORY_OUTPACED: &str = "history.outpaced";
/// The ref of the last good commit cannot be updated.
pub const HISTORY_UNMARKED: &str = "history.unmarked";

/// Each with its level and the fields that its record has.
pub const ALL: &[(&str, Level, &[&str])] = &[
    (WAITING, Level::Warning, &["instance", "waiting_for", "waited_s"]),
    (HOST_CUT_OFF, Level::Warning, &["instance"]),
    (JUMP_CUT, Level::Warning, &[]),
    (BUILD_OFFLINE, Level::Warning, &[]),
    (ATTEMPTS_UNREAD, Level::Warning, &[]),
    (ATTEMPTS_UNWRITTEN, Level::Warning, &[]),
    (HISTORY_UNREMEMBERED, Level::Warning, &[]),
    (HISTORY_OUTPACED, Level::Warning, &[]),
    (HISTORY_UNMARKED, Level::Warning, &[]),
];
