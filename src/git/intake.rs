//! What a download may bring: bytes, objects, and how large each object and all of them become when they are inflated.
//!
//! libgit2 writes a pack to a file as it comes, and then puts together the objects that are stored as differences, in
//! memory. In between, the file is read here, in pieces of a fixed size, so that an object of a few kilobytes that
//! inflates to gigabytes is refused before anything holds it.
//!
//! Keeps true: nothing of a download that is over the [`Budget`] stays in the mirror.
//! Source: gitformat-pack(5).

use std::{
    cell::RefCell,
    collections::BTreeSet,
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::PathBuf,
};

use flate2::{Decompress, FlushDecompress, Status};
use git2::{AutotagOption, FetchOptions, Progress, Remote, RemoteCallbacks, Repository};

use super::{error::GitError, objects::over, url::RemoteUrl};
use crate::model::budget::{Budget, Exceeded};

/// Watches one download. No other one writes to the mirror meanwhile.
pub(super) struct Intake {
    folder: PathBuf,
    before: BTreeSet<PathBuf>,
    from: String,
    budget: Budget,
    seen: RefCell<SeenObjects>,
}

#[derive(Default)]
struct SeenObjects {
    is_read: bool,
    exceeded: Option<GitError>,
}

impl Intake {
    pub(super) fn new(mirror: &Repository, from: &RemoteUrl, budget: &Budget) -> Self {
        let folder = mirror.path().join("objects/pack");
        for left in unfinished(&folder) {
            // A download that was cut off with its process; a file that cannot be removed is only room that is lost.
            let _ = fs::remove_file(left);
        }
        let before = unfinished(&folder);
        Self { folder, before, from: from.to_string(), budget: *budget, seen: RefCell::default() }
    }

    pub(super) fn download(&self, remote: &mut Remote<'_>, refspecs: &[impl AsRef<str>]) -> Result<(), git2::Error> {
        let refspecs: Vec<&str> = refspecs.iter().map(AsRef::as_ref).collect();
        let mut callbacks = RemoteCallbacks::new();
        callbacks.transfer_progress(|progress| self.goes_on(&progress));
        let mut options = FetchOptions::new();
        options.download_tags(AutotagOption::None).remote_callbacks(callbacks);
        remote.download(&refspecs, Some(&mut options))
    }

    /// What came of the download: the limit that ended it, where one did.
    pub(super) fn outcome<T>(self, done: Result<T, GitError>) -> Result<T, GitError> {
        match self.seen.into_inner().exceeded {
            Some(exceeded) => Err(exceeded),
            None => done,
        }
    }

    fn goes_on(&self, progress: &Progress<'_>) -> bool {
        let mut seen = self.seen.borrow_mut();
        let limit = match progress {
            it if it.received_bytes() as u64 > self.budget.download_bytes => {
                Some(Exceeded::DownloadBytes(self.budget.download_bytes))
            }
            it if it.total_objects() > self.budget.objects => Some(Exceeded::Objects(self.budget.objects)),
            _ => None,
        };
        let is_whole = progress.total_objects() > 0 && progress.received_objects() == progress.total_objects();
        let found = match limit {
            Some(limit) => Err(over(&self.from, "", limit)),
            None if is_whole && !seen.is_read => {
                seen.is_read = true;
                self.read_pack()
            }
            None => Ok(()),
        };
        seen.exceeded = found.err();
        seen.exceeded.is_none()
    }

    /// Reads the pack that has just come.
    fn read_pack(&self) -> Result<(), GitError> {
        let new: Vec<PathBuf> = unfinished(&self.folder).difference(&self.before).cloned().collect();
        let [path] = &new[..] else {
            let source = io::Error::new(io::ErrorKind::NotFound, "the pack that libgit2 is writing is not there");
            return Err(GitError::File { doing: "read", path: self.folder.clone(), source });
        };
        let told = |source| GitError::File { doing: "read", path: path.clone(), source };
        let file = File::open(path).map_err(told)?;
        if file.metadata().map_err(told)?.len() > self.budget.download_bytes {
            return Err(over(&self.from, "", Exceeded::DownloadBytes(self.budget.download_bytes)));
        }
        match check_pack(BufReader::with_capacity(1 << 16, file), &self.budget) {
            Ok(None) => Ok(()),
            Ok(Some(limit)) => Err(over(&self.from, "", limit)),
            Err(error) => Err(told(error)),
        }
    }
}

/// The packs that libgit2 has begun to write and not finished.
fn unfinished(folder: &PathBuf) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"pack_git2_"))
        .map(|it| it.path())
        .collect()
}

/// The limit that a pack exceeds, if it does. What is no pack is left to libgit2, which says so; it is an error only
/// where nothing more can be told of it.
fn check_pack(mut from: impl BufRead, budget: &Budget) -> io::Result<Option<Exceeded>> {
    let mut header = [0; 12];
    from.read_exact(&mut header)?;
    let objects = u32::from_be_bytes([header[8], header[9], header[10], header[11]]) as usize;
    if objects > budget.objects {
        return Ok(Some(Exceeded::Objects(budget.objects)));
    }
    let (mut total, mut inflater) = (0u64, Decompress::new(true));
    for _ in 0..objects {
        let entry = EntryHeader::read(&mut from)?;
        if entry.size > budget.object_bytes {
            return Ok(Some(Exceeded::ObjectBytes(budget.object_bytes)));
        }
        let first = inflate(&mut from, &mut inflater, entry.size)?;
        let size = if entry.is_delta { delta_sizes(&first)? } else { entry.size };
        if size > budget.object_bytes {
            return Ok(Some(Exceeded::ObjectBytes(budget.object_bytes)));
        }
        total = total.saturating_add(size);
        if total > budget.inflated_bytes {
            return Ok(Some(Exceeded::InflatedBytes(budget.inflated_bytes)));
        }
    }
    Ok(None)
}

struct EntryHeader {
    is_delta: bool,
    size: u64,
}

impl EntryHeader {
    fn read(from: &mut impl BufRead) -> io::Result<Self> {
        const OFS_DELTA: u8 = 6;
        const REF_DELTA: u8 = 7;
        let first = byte(from)?;
        let kind = (first >> 4) & 7;
        let size = if first & 0x80 == 0 { 0 } else { number(|| byte(from))? };
        let size = size.checked_shl(4).filter(|shifted| shifted >> 4 == size).ok_or_else(too_large)?;
        match kind {
            OFS_DELTA => while byte(from)? & 0x80 != 0 {},
            REF_DELTA => from.read_exact(&mut [0; 20])?,
            _ => {}
        }
        Ok(Self { is_delta: matches!(kind, OFS_DELTA | REF_DELTA), size: size | u64::from(first & 15) })
    }
}

/// Passes over one compressed object of `size` bytes, and answers how it begins.
fn inflate(from: &mut impl BufRead, inflater: &mut Decompress, size: u64) -> io::Result<Vec<u8>> {
    const FIRST: usize = 24;
    inflater.reset(true);
    let (mut first, mut piece) = (Vec::with_capacity(FIRST), vec![0; 1 << 15]);
    loop {
        let input = from.fill_buf()?;
        let is_over = input.is_empty();
        let before = (inflater.total_in(), inflater.total_out());
        let status = inflater.decompress(input, &mut piece, FlushDecompress::None).map_err(io::Error::other)?;
        let (read, made) = (inflater.total_in() - before.0, inflater.total_out() - before.1);
        from.consume(read as usize);
        first.extend_from_slice(&piece[..(made as usize).min(FIRST - first.len())]);
        match status {
            _ if inflater.total_out() > size => return Err(too_large()),
            Status::StreamEnd => return Ok(first),
            Status::Ok | Status::BufError if is_over && made == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            Status::Ok | Status::BufError => {}
        }
    }
}

/// The larger of the two sizes that a difference begins with: of what it starts from, and of what it makes.
fn delta_sizes(first: &[u8]) -> io::Result<u64> {
    let mut bytes = first.iter().copied();
    let mut next = || bytes.next().ok_or_else(|| io::ErrorKind::UnexpectedEof.into());
    Ok(number(&mut next)?.max(number(&mut next)?))
}

/// Seven bits a byte, the lowest first.
fn number(mut next: impl FnMut() -> io::Result<u8>) -> io::Result<u64> {
    let mut number = 0u64;
    for shift in (0..63).step_by(7) {
        let byte = next()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(too_large())
}

fn byte(from: &mut impl BufRead) -> io::Result<u8> {
    let mut byte = [0];
    from.read_exact(&mut byte)?;
    Ok(byte[0])
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an object of the pack says a size that is not its own")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::ZlibEncoder};

    use super::*;

    const BUDGET: Budget = Budget { object_bytes: 1000, objects: 3, inflated_bytes: 1500, ..Budget::STANDARD };
    const BLOB: u8 = 3;
    const OFS_DELTA: u8 = 6;

    /// An entry that says `size` of what it holds.
    fn entry(kind: u8, size: usize, held: &[u8]) -> Vec<u8> {
        let mut entry = vec![kind << 4 | (size & 15) as u8];
        let mut rest = size >> 4;
        while rest > 0 {
            *entry.last_mut().expect("one at least") |= 0x80;
            entry.push((rest & 0x7f) as u8);
            rest >>= 7;
        }
        if kind == OFS_DELTA {
            entry.push(20);
        }
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
        packed.write_all(held).expect("packed");
        [entry, packed.finish().expect("packed")].concat()
    }

    fn check(entries: &[Vec<u8>]) -> io::Result<Option<Exceeded>> {
        let header = [&b"PACK\0\0\0\x02"[..], &(entries.len() as u32).to_be_bytes()].concat();
        check_pack(&[header, entries.concat(), vec![0; 20]].concat()[..], &BUDGET)
    }

    #[test]
    fn an_object_is_refused_by_what_it_inflates_to_and_what_it_is_made_to() {
        let blob = |size| entry(BLOB, size, &vec![0; size]);
        assert_eq!(check(&[blob(1000), blob(0)]).expect("a pack"), None);
        assert_eq!(check(&[blob(1), blob(1001)]).expect("a pack"), Some(Exceeded::ObjectBytes(1000)));
        assert_eq!(check(&[blob(1000), blob(501)]).expect("a pack"), Some(Exceeded::InflatedBytes(1500)));
        assert_eq!(check(&[blob(1), blob(1), blob(1), blob(1)]).expect("a pack"), Some(Exceeded::Objects(3)));
        // A difference from 8 bytes that makes 8, and one that makes 1 << 14.
        let delta = |made: &[u8]| entry(OFS_DELTA, 1 + made.len() + 2, &[&[8], made, &[0x90, 8]].concat());
        assert_eq!(check(&[blob(8), delta(&[8])]).expect("a pack"), None);
        let large = check(&[blob(8), delta(&[0x80, 0x80, 1])]).expect("a pack");
        assert_eq!(large, Some(Exceeded::ObjectBytes(1000)));
    }

    #[test]
    fn a_pack_that_says_less_than_it_holds_is_an_error() {
        assert!(check(&[entry(BLOB, 10, &[0; 5000])]).is_err());
        assert!(check(&[entry(BLOB, 10, &[0; 10])[..6].to_vec()]).is_err());
        assert!(check(&[[vec![0xbf], vec![0xff; 12]].concat()]).is_err(), "a size without end");
    }
}
