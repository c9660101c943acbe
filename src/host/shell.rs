//! The root shell that is kept open on a connection.
//!
//! Owns the framing of `scripts/shell.sh`. Keeps true: one script at a time; a shell that does not
//! answer in time, or answers garbage, is dropped with its connection by whoever holds it.
//!
//! Keeping it open saves the start of sshd's session process and of sudo on each sync.
//!
//! A connection stays open, and on it one root shell (`scripts/shell.sh`). It reads `ID SCRIPT_SIZE
//! INPUT_SIZE`, the script and its input, and answers with the output and `ID STATUS`. The ID is random, so nothing a
//! script prints can pass for the end. This saves the start of sshd's session and of sudo at each sync. A shell that
//! is silent too long is dropped with its connection, because its answer may still come and would be taken for the
//! next one's.

use std::time::Duration;

use rand::RngExt as _;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, client};
use tokio::time::{Instant, timeout_at};

use super::{
    opening::{NUDGE, Opening, STAGE_LIMIT, Stage},
    scripts::script,
    ssh::{SILENCE, Session},
};

/// More than any probe answers; a host that sends more is broken.
const LARGEST_ANSWER: usize = 64 << 20;
/// More than anybody reads of what a script complains of.
const LARGEST_COMPLAINT: usize = 16 << 10;

pub(super) struct Shell {
    reading: ChannelReadHalf,
    writing: ChannelWriteHalf<client::Msg>,
}

/// Why there is no root shell.
#[derive(Debug)]
pub(super) enum OpeningError {
    /// The connection went away.
    Lost(String),
    /// The login shell, or sudo, does not answer in time.
    Late(String),
    /// The host ended it: trying again mends nothing.
    Refused(String),
}

/// Why there is no answer: the shell went away, or is silent; and when it was heard last in this call.
#[derive(Debug)]
pub(super) struct ShellLost {
    pub why: String,
    /// Whether it did not answer in time.
    pub late: bool,
    pub heard: Option<Instant>,
}

/// What a script printed, and its exit status.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: i32,
    pub output: Vec<u8>,
    pub errors: String,
}

impl Shell {
    /// Starts the shell, as root: by `sudo -n` where the login is another user. `stage` is told when what is waited for changes.
    pub async fn open(session: &Session, user: &str, stage: &(dyn Fn(Stage) + Sync)) -> Result<Self, OpeningError> {
        let lost = OpeningError::Lost;
        let mut opening = Opening::new(user);
        let mut deadline = Instant::now() + STAGE_LIMIT;
        // PAM opens the session before sshd answers this.
        let channel = timeout_at(deadline, session.channel_open_session()).await;
        let channel = channel.map_err(|_| OpeningError::Late(opening.late()))?;
        let channel = channel.map_err(|error| lost(format!("no session: {error}")))?;
        channel.exec(true, opening.command()).await.map_err(|error| lost(format!("no shell: {error}")))?;
        let (mut reading, writing) = channel.split();
        let mut status = None;
        loop {
            let before = opening.stage();
            // Cancel-safe: a message is either taken whole or left in the channel's queue.
            let Ok(message) = timeout_at(deadline.min(Instant::now() + NUDGE), reading.wait()).await else {
                if Instant::now() >= deadline {
                    return Err(OpeningError::Late(opening.late()));
                }
                // A start file that waits for a line takes this one; the root shell skips it.
                writing.data(&b"\n"[..]).await.map_err(|error| lost(format!("no shell: {error}")))?;
                continue;
            };
            match message {
                Some(ChannelMsg::Data { data }) => {
                    if opening.hear(&data) {
                        break;
                    }
                    if opening.floods() {
                        return Err(OpeningError::Refused(opening.flood()));
                    }
                    if opening.stage() != before {
                        stage(opening.stage());
                        deadline = Instant::now() + STAGE_LIMIT;
                    }
                }
                Some(ChannelMsg::ExtendedData { data, .. }) => opening.complain(&data),
                // What it printed may still come.
                Some(ChannelMsg::ExitStatus { exit_status }) => status = Some(exit_status),
                Some(ChannelMsg::Failure) => return Err(OpeningError::Refused(opening.runs_nothing())),
                None | Some(ChannelMsg::Close) => {
                    return Err(match status {
                        Some(status) => OpeningError::Refused(opening.ended(status)),
                        None => lost(opening.closed()),
                    });
                }
                Some(_) => {}
            }
        }
        let script = Opening::script(&script!("shell.sh"));
        writing.data(&script[..]).await.map_err(|error| lost(format!("no shell: {error}")))?;
        Ok(Self { reading, writing })
    }

    /// Runs `script` with `input` on its standard input; `line` is handed each whole line as it comes, and `asks` what
    /// the script says that it is about to ask.
    pub async fn run(
        &mut self,
        script: &str,
        input: &[u8],
        limit: Duration,
        line: &mut (dyn FnMut(&str) + Send),
        asks: &(dyn Fn(&str) + Sync),
    ) -> Result<Answer, ShellLost> {
        let id = format!("{:032x}", rand::rng().random::<u128>());
        let asked = Instant::now();
        let deadline = asked + limit;
        let mut message = format!("{id} {} {}\n{script}", script.len(), input.len()).into_bytes();
        message.extend_from_slice(input);
        let mut output = Vec::new();
        let mut errors = Complaints::default();
        let mut lines = AnswerLines::default();
        let mut heard = None;

        // Sending and receiving go on together: a script may answer before it has read all of its input.
        let send = self.writing.data(&message[..]);
        tokio::pin!(send);
        let mut sent = false;
        loop {
            tokio::select! {
                // Cancel-safe: the send is pinned outside of the loop and polled again.
                result = &mut send, if !sent => {
                    result.map_err(|error| lost(format!("could not be asked: {error}"), until_now(asked, heard)))?;
                    sent = true;
                }
                // Cancel-safe: a message is either taken whole or left in the channel's queue.
                message = timeout_at(deadline, self.reading.wait()) => match message.map_err(|_| late(limit, heard))? {
                    Some(ChannelMsg::Data { data }) => {
                        heard = Some(Instant::now());
                        output.extend_from_slice(&data);
                        lines.hand_out(&output, line);
                        if let Some((length, status)) = ended(&output, &id) {
                            output.truncate(length);
                            return Ok(Answer { status, output, errors: errors.text() });
                        }
                        if output.len() > LARGEST_ANSWER {
                            return Err(lost(format!("more than {LARGEST_ANSWER} bytes of answer"), None));
                        }
                    }
                    Some(ChannelMsg::ExtendedData { data, .. }) => errors.hear(&data, asks),
                    Some(ChannelMsg::ExitStatus { exit_status }) => {
                        let ended = format!("the root shell ended with status {exit_status}");
                        return Err(closed(&ended, &errors.text(), until_now(asked, heard)));
                    }
                    // It takes what it is sent.
                    Some(ChannelMsg::WindowAdjusted { .. }) => heard = Some(Instant::now()),
                    None | Some(ChannelMsg::Close) => {
                        return Err(closed("the connection closed", &errors.text(), until_now(asked, heard)));
                    }
                    Some(_) => {}
                },
            }
        }
    }
}

/// Hands whole lines out as they come. Each byte is looked at once, however long its line is: a host that never ends
/// one costs no more than one that does.
#[derive(Default)]
struct AnswerLines {
    /// Where the line begins that has not ended yet.
    begin: usize,
    /// How far its end was looked for.
    searched: usize,
}

impl AnswerLines {
    fn hand_out(&mut self, output: &[u8], line: &mut (dyn FnMut(&str) + Send)) {
        while let Some(length) = output[self.searched..].iter().position(|byte| *byte == b'\n') {
            let end = self.searched + length;
            line(&String::from_utf8_lossy(&output[self.begin..end]));
            (self.begin, self.searched) = (end + 1, end + 1);
        }
        self.searched = output.len();
    }
}

/// How a script begins the line on standard error by which it says what it is about to ask.
const ASKS: &str = "evenkeel asks ";

/// What comes on standard error. Of what goes on and on the beginning is kept: it says why.
#[derive(Default)]
struct Complaints {
    kept: Vec<u8>,
    more: bool,
}

impl Complaints {
    fn hear(&mut self, data: &[u8], asks: &dyn Fn(&str)) {
        let text = String::from_utf8_lossy(data);
        let asked = text.lines().filter_map(|line| line.strip_prefix(ASKS)).next_back();
        asked.into_iter().for_each(asks);
        let room = LARGEST_COMPLAINT - self.kept.len();
        self.kept.extend_from_slice(&data[..data.len().min(room)]);
        self.more |= data.len() > room;
    }

    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.kept);
        let text = text.lines().filter(|line| !line.starts_with(ASKS)).collect::<Vec<_>>().join("\n");
        if self.more { format!("{} … and more", text.trim()) } else { text.trim().to_owned() }
    }
}

/// Where the output ends and with which status, once the closing line has come. The id is random, so
/// nothing that a script prints can be taken for it.
fn ended(output: &[u8], id: &str) -> Option<(usize, i32)> {
    let text = output.strip_suffix(b"\n")?;
    let start = text.iter().rposition(|byte| *byte == b'\n')?;
    let status = std::str::from_utf8(&text[start + 1..]).ok()?.strip_prefix(id)?.trim().parse().ok()?;
    Some((start, status))
}

fn lost(why: String, heard: Option<Instant>) -> ShellLost {
    ShellLost { why, late: false, heard }
}

fn late(limit: Duration, heard: Option<Instant>) -> ShellLost {
    ShellLost { why: format!("no answer within {} s", limit.as_secs()), late: true, heard }
}

/// When a connection that ends was heard last: one that was asked this long ago has answered until now, if only that
/// it is alive.
fn until_now(asked: Instant, heard: Option<Instant>) -> Option<Instant> {
    if asked.elapsed() > SILENCE { Some(Instant::now()) } else { heard }
}

fn closed(what: &str, errors: &str, heard: Option<Instant>) -> ShellLost {
    lost(if errors.is_empty() { what.to_owned() } else { format!("{what}: {errors}") }, heard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_never_ends_is_searched_once() {
        let (mut lines, mut output, mut told) = (AnswerLines::default(), Vec::new(), Vec::new());
        for part in ["one\ntw", "o\nth", "re", "e"] {
            output.extend_from_slice(part.as_bytes());
            lines.hand_out(&output, &mut |line| told.push(line.to_owned()));
            assert_eq!(lines.searched, output.len(), "what was searched is not searched again");
        }
        assert_eq!(told, ["one", "two"]);
        output.push(b'\n');
        lines.hand_out(&output, &mut |line| told.push(line.to_owned()));
        assert_eq!(told, ["one", "two", "three"]);
    }

    #[test]
    fn of_complaints_without_end_the_beginning_is_kept() {
        let mut complaints = Complaints::default();
        let asked = std::cell::RefCell::new(Vec::new());
        let asks = |what: &str| asked.borrow_mut().push(what.to_owned());
        complaints.hear(b"evenkeel asks stat\nevenkeel asks sed\nsed: no such file\n", &asks);
        assert_eq!(*asked.borrow(), ["sed"]);
        assert_eq!(complaints.text(), "sed: no such file");
        for _ in 0..100 {
            complaints.hear(&[b'x'; 32 << 10], &asks);
        }
        let text = complaints.text();
        assert!(text.starts_with("sed: no such file\nxxx") && text.ends_with("x … and more"), "{text}");
        assert!(text.len() < LARGEST_COMPLAINT + 32, "{} bytes are kept", text.len());
    }
}
