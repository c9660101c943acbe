//! Names of log records that are no events: layers below the broadcast write them into the log themselves.
//!
//! Keeps true: a record at info or above that is no event carries one of these names in its field `event`
//! (`tests/layering.rs`), and none of them is an event's (`tests/report/events.rs`).

use super::Level;

/// Something takes long.
pub const WAITING: &str = "waiting";
/// The connection to an instance was cut while the instance carries out a phase, which goes on.
pub const HOST_CUT_OFF: &str = "host.cut-off";
/// A jump host sends what is not read, and its connection is cut.
pub const JUMP_CUT: &str = "jump.cut";
/// A build has no network any more.
pub const BUILD_OFFLINE: &str = "build.offline";
/// What was being prepared when the process before this one ended is not known.
pub const ATTEMPTS_UNREAD: &str = "attempts.unread";
/// What is being prepared cannot be written down, so a process that dies of it is not told from any other.
pub const ATTEMPTS_UNWRITTEN: &str = "attempts.unwritten";
/// How far the history is believed cannot be kept for the next start.
pub const HISTORY_UNREMEMBERED: &str = "history.unremembered";
/// The history has gone on, and what it says stands.
pub const HISTORY_OUTPACED: &str = "history.outpaced";
/// What is live is not marked as the last good commit.
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
