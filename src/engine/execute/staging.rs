//! Releases on their way to an instance: what it lacks is sent, the rest is shared there.
//!
//! Keeps true: nothing that runs changes by it, so it is begun anew when the connection was cut; a release that
//! does not fit is refused before it is sent; what instances lack alike is packed once.
//!
//! Before a release is put in place the instance says which others it holds, with their listings. The
//! difference is worked out here: a release to begin from, what to take from others by content, and what to send,
//! each content once. There it is put together beside its place, every byte checked against the listing, and renamed,
//! so that what is cut off begins anew and leaves no half. What is shared is a reflink or a hard link; nobody but
//! root can write either. A signature of everything that stat tells is kept with it and compared at each sync: where
//! it differs the release is read whole, and one whose bytes differ is mended and what runs from it restarted. Of
//! many large releases a look of the loop compares some, in turn (`engine/observe/probe.rs`). What was changed under
//! the same size, time and inode only reading tells: once an hour each host reads its live releases when it has
//! nothing better to do, and forgets the signature of what differs, so that the next look finds it
//! (`engine/execute/scrub.rs`).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::{
    host::{HostError, HostWrite, LossTimer, ReleaseTransfer, STAGE_LIMIT},
    model::{
        digest::Digest,
        name::FleetName,
        release::{Compression, Holdings, Listed, Placed, Release, ReleaseFile},
        text,
    },
    release,
};

/// How often what was shared may turn out damaged: each time less is shared.
const TRIES: u32 = 3;
/// What is left free on a disk whatever comes.
const SPARE: u64 = 1 << 20;
const SPARE_INODES: u64 = 64;

/// Of a release, so compressed, these paths.
type Key = (Digest, Compression, Vec<String>);
type Stream = Arc<OnceCell<Arc<Vec<u8>>>>;

/// The releases that a deployment puts in place, and the streams that are made for it.
pub struct Stage<'a> {
    pub fleet: &'a FleetName,
    /// How long a host that is lost is waited for.
    pub loss_timer: Duration,
    packed: Mutex<BTreeMap<Key, Stream>>,
}

impl<'a> Stage<'a> {
    pub fn new(fleet: &'a FleetName, loss_timer: Duration) -> Self {
        Self { fleet, loss_timer, packed: Mutex::default() }
    }

    /// Puts a release in place.
    pub async fn put<H: HostWrite>(&self, host: &H, release: &Release) -> Result<(), HostError> {
        let mut loss_timer = LossTimer::new(self.loss_timer, STAGE_LIMIT);
        loop {
            match self.once(host, release, &mut loss_timer).await {
                Err(error) if loss_timer.outlasts(&error).await => {}
                result => return result,
            }
        }
    }

    async fn once<H: HostWrite>(
        &self,
        host: &H,
        release: &Release,
        loss_timer: &mut LossTimer,
    ) -> Result<(), HostError> {
        let holdings = host.holdings(self.fleet, &release.digest).await?;
        loss_timer.hears();
        if holdings.whole {
            return Ok(());
        }
        let mut damaged = BTreeSet::new();
        let mut paths = Vec::new();
        for _ in 0..TRIES {
            match self.send(host, release, &holdings, &damaged).await? {
                Placed::Done => return Ok(()),
                Placed::Damaged(found) => paths = found,
            }
            damaged.extend(paths.iter().filter_map(|path| content(release, path)));
        }
        Err(HostError::Damaged { release: release.digest.short().to_owned(), paths: text::of_host(&paths.join(", ")) })
    }

    async fn send<H: HostWrite>(
        &self,
        host: &H,
        release: &Release,
        holdings: &Holdings,
        damaged: &BTreeSet<Digest>,
    ) -> Result<Placed, HostError> {
        let difference = release::difference(&release.listed(), &holdings.listings, damaged);
        let needed: u64 = difference.sent.iter().map(|path| size(release, path)).sum();
        if needed.saturating_add(SPARE) > holdings.free {
            let (release, mib) = (release.digest.short().to_owned(), |bytes: u64| bytes.div_ceil(1 << 20));
            return Err(HostError::NoRoom { release, needed: mib(needed + SPARE), free: holdings.free >> 20 });
        }
        let folders: BTreeSet<&str> =
            difference.sent.iter().filter_map(|path| Some(path.rsplit_once('/')?.0)).collect();
        let needed = (difference.sent.len() + folders.len()) as u64 + SPARE_INODES;
        if let Some(free) = holdings.free_inodes.filter(|free| *free < needed) {
            return Err(HostError::NoInodes { release: release.digest.short().to_owned(), needed, free });
        }
        let stream = self.stream(release, &difference.sent, holdings.compression).await?;
        let transfer =
            ReleaseTransfer { release, difference: &difference, compression: holdings.compression, stream: &stream };
        host.stage(self.fleet, &transfer).await
    }

    async fn stream(
        &self,
        release: &Release,
        paths: &[String],
        compression: Compression,
    ) -> Result<Arc<Vec<u8>>, HostError> {
        let key = (release.digest, compression, paths.to_vec());
        let cell = self.packed.lock().entry(key).or_default().clone();
        let pack = || async {
            let (of, paths) = (release.clone(), paths.to_vec());
            // Compressing takes its time; what else goes on must not wait for it.
            let packed = tokio::task::spawn_blocking(move || release::pack(&of, &paths, compression)).await;
            let packed = packed.unwrap_or_else(|error| Err(std::io::Error::other(error)));
            packed.map(Arc::new).map_err(|source| HostError::Pack { release: release.source.to_string(), source })
        };
        cell.get_or_try_init(pack).await.cloned()
    }
}

fn content(release: &Release, path: &str) -> Option<Digest> {
    match release.listed().0.get(path)? {
        Listed::File { digest, .. } => Some(*digest),
        Listed::Symlink { .. } => None,
    }
}

fn size(release: &Release, path: &str) -> u64 {
    match release.files.get(path) {
        Some(ReleaseFile::File { content, .. }) => content.len() as u64,
        Some(ReleaseFile::Symlink { .. }) | None => 0,
    }
}
