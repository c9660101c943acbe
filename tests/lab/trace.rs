//! What strace wrote of a host's processes, read as changes of files: a pure function of its text.
//!
//! Source: strace(1), for lines as `-f -yy -o FILE` gives them: `PID call(arguments) = result`, with
//! descriptors as `3</path>`, and a call that another one came between in two lines.

use std::{collections::BTreeMap, fmt};

/// What to ask strace for. Opening for writing counts as writing.
pub const CALLS: &str = "creat,open,openat,write,pwrite64,copy_file_range,ftruncate,truncate,\
                         chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat,\
                         fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,\
                         link,linkat,symlink,symlinkat";

/// A call that succeeded, by what it means for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Content or rights changed, with what was written where it is known.
    Wrote {
        path: String,
        content: String,
    },
    Synced(String),
    Renamed {
        from: String,
        to: String,
    },
    Removed(String),
    /// A link was made at the path.
    Linked(String),
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Call::Wrote { path, content } if content.is_empty() => write!(f, "write   {path}"),
            Call::Wrote { path, content } => write!(f, "write   {path} {content:?}"),
            Call::Synced(path) => write!(f, "sync    {path}"),
            Call::Renamed { from, to } => write!(f, "rename  {from} -> {to}"),
            Call::Removed(path) => write!(f, "remove  {path}"),
            Call::Linked(path) => write!(f, "link    {path}"),
        }
    }
}

/// The calls in the order in which they ended.
pub fn calls(trace: &str) -> Vec<Call> {
    let mut unfinished: BTreeMap<&str, &str> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let Some((process, rest)) = line.trim_start().split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(begun) = rest.strip_suffix("<unfinished ...>") {
            unfinished.insert(process, begun.trim_end());
        } else if let Some(resumed) = rest.strip_prefix("<... ") {
            let end = resumed.split_once(" resumed>").map_or("", |(_, end)| end);
            calls.extend(unfinished.remove(process).and_then(|begun| call(&format!("{begun}{end}"))));
        } else {
            calls.extend(call(rest));
        }
    }
    calls
}

/// One whole line. None where it failed, or means nothing for a file.
fn call(line: &str) -> Option<Call> {
    let (line, result) = line.rsplit_once(" = ")?;
    if result.starts_with(['-', '?']) {
        return None;
    }
    let (name, arguments) = line.trim_end().strip_suffix(')')?.split_once('(')?;
    let arguments = split(arguments);
    let argument = |number: usize| arguments.get(number).copied().unwrap_or_default();
    // A path that is given, below the folder that is given before it.
    let at = |number: usize| Some(below(described(argument(number)), &text(argument(number + 1))?));
    let plain = |number: usize| Some(below(None, &text(argument(number))?));
    let wrote = |path: String| Call::Wrote { path, content: String::new() };
    let opens = |flags: &str| flags.contains("O_WRONLY") || flags.contains("O_RDWR") || flags.contains("O_TRUNC");
    Some(match name {
        "creat" | "truncate" | "chmod" | "chown" | "lchown" => wrote(plain(0)?),
        "open" if opens(argument(1)) => wrote(plain(0)?),
        "openat" if opens(argument(2)) => wrote(at(0)?),
        "fchmodat" | "fchownat" => wrote(at(0)?),
        "ftruncate" | "fchmod" | "fchown" => wrote(described(argument(0))?.to_owned()),
        "copy_file_range" => wrote(described(argument(2))?.to_owned()),
        "write" | "pwrite64" => {
            Call::Wrote { path: described(argument(0))?.to_owned(), content: text(argument(1)).unwrap_or_default() }
        }
        "fsync" | "fdatasync" => Call::Synced(described(argument(0))?.to_owned()),
        "rename" => Call::Renamed { from: plain(0)?, to: plain(1)? },
        "renameat" | "renameat2" => Call::Renamed { from: at(0)?, to: at(2)? },
        "unlink" => Call::Removed(plain(0)?),
        "unlinkat" => Call::Removed(at(0)?),
        "link" | "symlink" => Call::Linked(plain(1)?),
        "linkat" => Call::Linked(at(2)?),
        "symlinkat" => Call::Linked(at(1)?),
        _ => return None,
    })
}

/// Arguments; a comma within quotes is none between them.
fn split(arguments: &str) -> Vec<&str> {
    let (mut parts, mut from, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, byte) in arguments.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                parts.push(arguments[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(arguments[from..].trim());
    parts
}

/// The path of a descriptor: `3</etc/hosts>`.
fn described(argument: &str) -> Option<&str> {
    let path = &argument[argument.find('<')? + 1..argument.rfind('>')?];
    path.starts_with('/').then_some(path)
}

fn below(folder: Option<&str>, path: &str) -> String {
    match folder {
        Some(folder) if !path.starts_with('/') => format!("{}/{path}", folder.trim_end_matches('/')),
        _ => path.to_owned(),
    }
}

/// A string as C writes it. What is not UTF-8 is no path or line of ours.
fn text(argument: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = argument[..argument.rfind('"')?].strip_prefix('"')?.bytes().peekable();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let mut octal = None;
        while let Some(digit) = rest.next_if(|byte| octal.is_none_or(|o: u32| o < 0o40) && matches!(byte, b'0'..=b'7'))
        {
            octal = Some(octal.unwrap_or(0) * 8 + u32::from(digit - b'0'));
        }
        bytes.push(match octal {
            Some(octal) => octal as u8,
            None => match rest.next()? {
                b'n' => b'\n',
                b't' => b'\t',
                b'r' => b'\r',
                b'v' => 11,
                b'f' => 12,
                other => other,
            },
        });
    }
    String::from_utf8(bytes).ok()
}

/// Fails unless lines of each form are read for what they say.
pub fn reads_what_strace_writes() {
    let trace = r#"
12    openat(AT_FDCWD</>, "/etc/a.new", O_WRONLY|O_CREAT|O_EXCL, 0600) = 4</etc/a.new>
12    write(4</etc/a.new>, "one, \"two\"\n\303\251\t", 14 <unfinished ...>
7     openat(AT_FDCWD</>, "/etc/a", O_RDONLY) = 3</etc/a>
12    <... write resumed>)              = 14
13    fsync(3</etc/a.new>)              = 0
13    renameat2(AT_FDCWD</>, "/etc/a.new", AT_FDCWD</>, "/etc/a", RENAME_NOREPLACE) = -1 EEXIST (File exists)
13    renameat(AT_FDCWD</etc>, "a.new", AT_FDCWD</>, "/etc/a") = 0
14    unlinkat(5</etc>, "b", 0)         = 0
14    symlinkat("/target", AT_FDCWD</>, "/etc/c") = 0
14    write(2<pipe:[77]>, "x", 1)       = 1
14    +++ exited with 0 +++
"#;
    let read: Vec<String> = calls(trace).iter().map(ToString::to_string).collect();
    let expected = [
        "write   /etc/a.new",
        "write   /etc/a.new \"one, \\\"two\\\"\\né\\t\"",
        "sync    /etc/a.new",
        "rename  /etc/a.new -> /etc/a",
        "remove  /etc/b",
        "link    /etc/c",
    ];
    assert_eq!(read, expected);
}
