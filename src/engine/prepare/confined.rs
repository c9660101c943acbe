//! A process of its own, with limits, for work on what nobody trusts: whatever that work runs into ends the process and
//! not the controller.
//!
//! Owns both ends: [`Confined`] starts this very program with a hidden command and talks with it, and [`confine`] is the
//! first thing that the command does. Keeps true: limits hold before anything untrusted is read, and cannot be raised; the
//! process has no variable, no descriptor and no credential of the controller's, writes no file, and ends with its
//! [`Confined`].
//! Source: getrlimit(2), prctl(2), proc(5).

use std::{
    alloc::{GlobalAlloc, Layout, System},
    io::{self, Read, Write},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{ExitStatus, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use thiserror::Error;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStdin, ChildStdout, Command},
    task::JoinHandle,
    time::timeout,
};

use crate::report::words;

/// What a process may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of its own: what it allocates, not the files that it maps.
    pub memory: u64,
    /// Of the processor altogether, and of the clock for each answer.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: 1 << 30, time: Duration::from_secs(60) }
    }
}

/// Why there is no answer, as the end of a sentence that begins with what was done.
#[derive(Debug, Error)]
pub enum ConfinedError {
    #[error("its process cannot be started")]
    Start(#[source] io::Error),
    #[error("it takes more than {} of memory", words::size(*.0))]
    Memory(u64),
    #[error("it takes more than {} s of the processor", .0.as_secs())]
    Processor(Duration),
    #[error("it takes longer than {} s", .0.as_secs())]
    Time(Duration),
    #[error("its answer has more than {}", words::size(*.0))]
    Answer(u64),
    #[error("its process was ended: {how}{}", if said.is_empty() { String::new() } else { format!(" ({said})") })]
    Ended { how: ExitStatus, said: String },
}

/// The process, as who started it has it.
pub struct Confined {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    said: Option<JoinHandle<String>>,
    limits: Limits,
}

/// So much of what it says is kept.
const SAID: usize = 4096;

impl Confined {
    /// Starts `program` with a command that calls [`confine`] with the two numbers that follow.
    pub fn start(program: &Path, command: &str, limits: Limits) -> Result<Self, ConfinedError> {
        let seconds = limits.time.as_secs().max(1);
        let mut child = Command::new(program)
            .args([command, &limits.memory.to_string(), &seconds.to_string()])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(ConfinedError::Start)?;
        let lacking = || ConfinedError::Start(io::ErrorKind::BrokenPipe.into());
        let (input, output) = (child.stdin.take().ok_or_else(lacking)?, child.stdout.take().ok_or_else(lacking)?);
        let mut errors = child.stderr.take().ok_or_else(lacking)?;
        let said = tokio::spawn(async move {
            let (mut said, mut piece) = (Vec::new(), [0; 1024]);
            while let Ok(read @ 1..) = errors.read(&mut piece).await {
                said.extend_from_slice(&piece[..read.min(SAID - said.len().min(SAID))]);
            }
            String::from_utf8_lossy(&said).trim().to_owned()
        });
        Ok(Self { child, input, output, said: Some(said), limits })
    }

    /// Asks, and waits for the answer. After an error there is none any more.
    pub async fn ask(&mut self, question: &[u8], most: u64) -> Result<Vec<u8>, ConfinedError> {
        self.within(most, Some(question)).await
    }

    /// The next answer to a question that has several.
    pub async fn more(&mut self, most: u64) -> Result<Vec<u8>, ConfinedError> {
        self.within(most, None).await
    }

    async fn within(&mut self, most: u64, question: Option<&[u8]>) -> Result<Vec<u8>, ConfinedError> {
        let time = self.limits.time;
        match timeout(time, self.exchange(most, question)).await {
            Ok(Ok(Some(answer))) => Ok(answer),
            Ok(Ok(None)) => Err(ConfinedError::Answer(most)),
            Ok(Err(_)) => Err(self.why().await),
            Err(_) => Err(ConfinedError::Time(time)),
        }
    }

    /// None where the answer is larger than is read.
    async fn exchange(&mut self, most: u64, question: Option<&[u8]>) -> io::Result<Option<Vec<u8>>> {
        if let Some(question) = question {
            self.input.write_all(&(question.len() as u64).to_be_bytes()).await?;
            self.input.write_all(question).await?;
            self.input.flush().await?;
        }
        let length = self.output.read_u64().await?;
        if length > most {
            return Ok(None);
        }
        let mut answer = Vec::new();
        (&mut self.output).take(length).read_to_end(&mut answer).await?;
        if answer.len() as u64 == length { Ok(Some(answer)) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Why the process ended.
    async fn why(&mut self) -> ConfinedError {
        let how = match timeout(self.limits.time, self.child.wait()).await {
            Ok(Ok(how)) => how,
            Ok(Err(error)) => return ConfinedError::Start(error),
            Err(_) => return ConfinedError::Time(self.limits.time),
        };
        let said = match self.said.take() {
            Some(said) => said.await.unwrap_or_default(),
            None => String::new(),
        };
        match how.signal() {
            Some(signal) if signal == Signal::XCPU.as_raw() => ConfinedError::Processor(self.limits.time),
            None if how.code() == Some(OUT_OF_MEMORY) => ConfinedError::Memory(self.limits.memory),
            _ => ConfinedError::Ended { how, said: said.lines().last().unwrap_or_default().to_owned() },
        }
    }
}

/// With which a confined process ends that gets no more memory: 100 and the number of `ENOMEM`. The command itself ends
/// with the statuses of the command line, which are below 10, and a panic with 101.
const OUT_OF_MEMORY: i32 = 112;

static IS_CONFINED: AtomicBool = AtomicBool::new(false);

/// The system's allocator, which ends a confined process at the first piece of memory that it does not get. Rust's own
/// end is an abort, as that of a stack that overflows is, and tells the two apart only in words. The program declares it.
pub struct Allocator;

impl Allocator {
    fn checked(piece: *mut u8) -> *mut u8 {
        if piece.is_null() && IS_CONFINED.load(Ordering::Relaxed) {
            // SAFETY: it ends the process, runs nothing of it, and allocates nothing.
            unsafe { libc::_exit(OUT_OF_MEMORY) }
        }
        piece
    }
}

// SAFETY: each call goes to the system's allocator as it comes, and what that answers is what is answered.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps to what `GlobalAlloc` asks, as for the calls below.
        Self::checked(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        Self::checked(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        Self::checked(unsafe { System.realloc(piece, layout, size) })
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(piece, layout) }
    }
}

/// Puts this process under its limits, for ever.
pub fn confine(memory: u64, seconds: u64) -> io::Result<()> {
    IS_CONFINED.store(true, Ordering::Relaxed);
    // SAFETY: nothing of this process has a descriptor beyond the first three yet: it has just begun.
    unsafe { libc::close_range(3, u32::MAX, 0) };
    // Where memory is short, this process goes before the controller does. A kernel that forbids it loses nothing else.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    let limit = |resource, most| setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)?;
    // A second between the signal that tells the reason and the one that nothing survives.
    setrlimit(Resource::Cpu, Rlimit { current: Some(seconds), maximum: Some(seconds.saturating_add(1)) })?;
    limit(Resource::Data, memory)?;
    rustix::thread::set_no_new_privs(true)?;
    Ok(())
}

/// Reads one question. None: there are no more.
pub fn read(from: &mut impl Read, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 8];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let length = u64::from_be_bytes(length);
    if length > most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a question is longer than is read"));
    }
    let mut question = Vec::new();
    from.take(length).read_to_end(&mut question)?;
    if question.len() as u64 == length { Ok(Some(question)) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Writes one answer.
pub fn write(to: &mut impl Write, answer: &[u8]) -> io::Result<()> {
    to.write_all(&(answer.len() as u64).to_be_bytes())?;
    to.write_all(answer)?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    /// A program that does this, instead of reading what nobody trusts.
    async fn ends(script: &str, limits: Limits) -> ConfinedError {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("program");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("executable");
        let mut confined = Confined::start(&program, "command", limits).expect("it starts");
        confined.ask(b"a question", 100).await.expect_err("no answer")
    }

    #[tokio::test]
    async fn however_the_process_ends_it_is_told() {
        let limits = Limits { memory: 1 << 20, time: Duration::from_secs(2) };
        let ended = ends("echo why >&2; kill -SEGV $$", limits).await;
        assert!(matches!(&ended, ConfinedError::Ended { how, said } if how.signal() == Some(11) && said == "why"));
        assert!(matches!(ends("kill -XCPU $$", limits).await, ConfinedError::Processor(_)));
        assert!(matches!(ends("exit 112", limits).await, ConfinedError::Memory(_)));
        // What it says is not believed: a stack that overflows aborts as well.
        let ended = ends("echo memory allocation of 9 bytes failed >&2; kill -ABRT $$", limits).await;
        assert!(matches!(ended, ConfinedError::Ended { how, .. } if how.signal() == Some(6)), "{ended}");
        assert!(matches!(ends("exec sleep 60", limits).await, ConfinedError::Time(_)));
        let short = ends("printf '\\0\\0\\0\\0\\0\\0\\0\\011short'", limits).await;
        assert!(matches!(short, ConfinedError::Ended { how, .. } if how.success()), "{short}");
        let long = ends("printf '\\0\\0\\0\\0\\0\\0\\1\\0'; exec sleep 60", limits).await;
        assert!(matches!(long, ConfinedError::Answer(100)), "{long}");
        // It sees no variable of ours, and gets its limits as numbers.
        let told = ends("[ $# = 3 ] && [ $2 = 1048576 ] && [ -z \"$HOME$USER\" ] && exit 7", limits).await;
        assert!(matches!(told, ConfinedError::Ended { how, .. } if how.code() == Some(7)), "{told}");
    }

    #[test]
    fn questions_and_answers_are_told_from_one_another_by_their_length() {
        let mut sent = Vec::new();
        write(&mut sent, b"one").and_then(|()| write(&mut sent, b"")).expect("into memory");
        let mut from = &sent[..];
        assert_eq!(read(&mut from, 3).expect("a question").as_deref(), Some(&b"one"[..]));
        assert_eq!(read(&mut from, 3).expect("a question").as_deref(), Some(&b""[..]));
        assert_eq!(read(&mut from, 3).expect("the end"), None);
        assert!(read(&mut &sent[..], 2).is_err() && read(&mut &sent[..9], 3).is_err());
    }
}
