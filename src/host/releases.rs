//! What a host is asked and told when a release is put in place there.
//!
//! Owns the text of that exchange (`scripts/holdings.sh`, `scripts/stage.sh`). What lies on a host it takes as
//! the host says; that every byte is right the host checks at the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read as _,
};

use super::{
    quote::{assign, word},
    scripts::script,
};
use crate::model::{
    digest::Digest,
    name::FleetName,
    paths,
    release::{Compression, Difference, HeldRelease, Holdings, Listing, Placed, Release},
};

/// More than the listings of a dozen of the largest releases.
const LARGEST_LISTINGS: u64 = 256 << 20;

/// Status of `stage.sh` when what was shared is damaged.
pub(super) const DAMAGED: i32 = 65;

/// A release on its way: how it is put together, and the stream with what is sent of it.
#[derive(Debug, Clone)]
pub struct ReleaseTransfer<'a> {
    pub release: &'a Release,
    pub difference: &'a Difference,
    pub compression: Compression,
    /// What is sent, as a `tar` archive, compressed.
    pub stream: &'a [u8],
}

fn variables(fleet: &FleetName, digest: &Digest) -> String {
    places(fleet) + &assign("digest", &digest.to_string()) + &script!("signature.sh") + &script!("verify.sh")
}

fn places(fleet: &FleetName) -> String {
    let base = paths::base(fleet);
    assign("releases", &format!("{base}/releases")) + &assign("listings", &format!("{base}/listings"))
}

/// Reads releases, and prints those that are not as they were placed.
pub(super) fn verify_script(fleet: &FleetName, releases: &BTreeSet<Digest>) -> String {
    let digests: Vec<_> = releases.iter().map(Digest::to_string).collect();
    places(fleet) + &assign("digests", &digests.join(" ")) + &script!("verify.sh") + &script!("reread.sh")
}

/// Begins the same in a unit of its own, behind everything else that the host has to do. One that reads still
/// goes on.
pub(super) fn reread_script(fleet: &FleetName, releases: &BTreeSet<Digest>) -> String {
    assign("unit", &format!("evenkeel-{fleet}-reread.service"))
        + &assign("reading", &verify_script(fleet, releases))
        + &script!("reread_unit.sh")
}

pub(super) fn question(fleet: &FleetName, digest: &Digest) -> String {
    variables(fleet, digest) + &script!("holdings.sh")
}

/// What the host holds, from its answer to [`question`]. A listing that is not understood is left out: what is
/// not known to be there is sent.
pub(super) fn holdings(answer: &[u8]) -> Result<Holdings, String> {
    let end = answer.iter().position(|byte| *byte == b'\n').ok_or("no line in it")?;
    let line = String::from_utf8_lossy(&answer[..end]);
    let mut words = line.split(' ');
    let mut word = || words.next();
    let (Some(state), Some(compression), Some(free), Some(inodes), None) = (word(), word(), word(), word(), word())
    else {
        return Err(format!("`{line}`"));
    };
    let compression = match compression {
        "zstd" => Compression::Zstd,
        "gzip" => Compression::Gzip,
        other => return Err(format!("`{other}` is no compression")),
    };
    let free: u64 = free.parse().map_err(|_| format!("`{free}` is no number of KiB"))?;
    let whole = state == "whole";
    let listings = if whole { BTreeMap::new() } else { listings(&answer[end + 1..], compression, LARGEST_LISTINGS)? };
    let free_inodes = match inodes {
        "-" => None,
        number => Some(number.parse().map_err(|_| format!("`{number}` is no number of inodes"))?),
    };
    Ok(Holdings { whole, compression, free: free.saturating_mul(1024), free_inodes, listings })
}

/// Few bytes can unpack to very many: no more than `largest` are taken.
fn listings(packed: &[u8], compression: Compression, largest: u64) -> Result<BTreeMap<Digest, Listing>, String> {
    let mut text = String::new();
    let read = match compression {
        Compression::Gzip => flate2::read::GzDecoder::new(packed).take(largest + 1).read_to_string(&mut text),
        Compression::Zstd => zstd::stream::read::Decoder::new(packed)
            .and_then(|decoder| decoder.take(largest + 1).read_to_string(&mut text)),
    };
    read.map_err(|error| format!("its listings: {error}"))?;
    if text.len() as u64 > largest {
        return Err(format!(
            "its listings unpack to more than {} MiB; look at what lies in its folder `listings`, and remove \
             releases that nothing uses with `evenkeel release gc`",
            largest >> 20
        ));
    }
    let text = format!("\n{text}");
    let each = text.split("\n= ").filter_map(|part| {
        let (digest, listing) = part.split_once('\n').unwrap_or((part, ""));
        Some((digest.parse().ok()?, Listing::parse(listing)?))
    });
    Ok(each.collect())
}

pub(super) fn script(fleet: &FleetName, transfer: &ReleaseTransfer<'_>) -> String {
    let ReleaseTransfer { release, difference, compression, .. } = transfer;
    let listing = release.listed();
    let mut sorted: Vec<String> = listing.lines(listing.0.keys()).lines().map(|line| format!("{line}\n")).collect();
    sorted.sort();
    let listed = Digest::of(sorted.concat());
    let shared = difference.shared.iter().map(|shared| {
        let release = shared.release.map_or("-".to_owned(), |release| release.to_string());
        format!("{release}\t{}\t{}", shared.from, shared.to)
    });
    let decompress = match compression {
        Compression::Gzip => "gzip -dc",
        Compression::Zstd => "zstd -dcq",
    };
    variables(fleet, &release.digest)
        + &assign("decompress", decompress)
        + &assign("listed", &listed.to_string())
        + &assign("base", &difference.base.map(|base| base.to_string()).unwrap_or_default())
        + &format!("removed={}\n", word(&difference.removed.join("\n")))
        + &format!("added={}\n", word(listing.lines(&difference.added).trim_end_matches('\n')))
        + &format!("shared={}\n", word(&shared.collect::<Vec<_>>().join("\n")))
        + &script!("stage.sh")
}

/// How it ended, from the status and the output of [`script`]; none when it failed.
pub(super) fn placed(status: i32, output: &str) -> Option<Placed> {
    match status {
        0 => Some(Placed::Done),
        DAMAGED => {
            let paths = output.lines().map(|line| line.strip_prefix("+ ").unwrap_or(line).to_owned());
            Some(Placed::Damaged(paths.collect()))
        }
        _ => None,
    }
}

pub(super) fn held_script(fleet: &FleetName) -> String {
    assign("base", &paths::base(fleet)) + &script!("held.sh")
}

/// What [`held_script`] said; none when that is not understood.
pub(super) fn held(text: &str) -> Option<Vec<HeldRelease>> {
    let mut releases: Vec<(HeldRelease, String)> = Vec::new();
    for line in text.lines() {
        if let Some(listed) = line.strip_prefix('\t') {
            let (_, listing) = releases.last_mut()?;
            *listing += listed;
            listing.push('\n');
            continue;
        }
        let [digest, state, since, bytes] = line.split(' ').collect::<Vec<_>>()[..] else { return None };
        let (digest, in_use) = (digest.parse().ok()?, state == "in-use");
        let (since, bytes) = (since.parse().ok()?, bytes.parse().ok()?);
        releases.push((HeldRelease { digest, in_use, since, bytes, listing: None }, String::new()));
    }
    let listed = |(release, listing): (HeldRelease, String)| HeldRelease {
        listing: Listing::parse(&listing).filter(|listing| !listing.0.is_empty()),
        ..release
    };
    Some(releases.into_iter().map(listed).collect())
}

/// Removes what nothing uses but the `keep` newest, unless a deployment is under way; prints each.
pub(super) fn collect_script(fleet: &FleetName, unit: &str, keep: u32) -> String {
    assign("base", &paths::base(fleet))
        + &assign("unit", unit)
        + &assign("keep", &keep.to_string())
        + &script!("collect.sh")
        + &script!("collect_now.sh")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::model::release::Listed;

    #[test]
    fn what_lies_on_a_host_is_read_back() {
        let digest = Digest::of("x");
        let text = format!("{digest} in-use 1700000000 12\n\t0444 {digest} a b\n{digest} kept 0 0\n");
        let held = held(&text).expect("it is understood");
        assert_eq!((held[0].in_use, held[0].since, held[0].bytes), (true, 1_700_000_000, 12));
        assert_eq!(held[0].listing.as_ref().map(|listing| listing.0.len()), Some(1));
        assert_eq!((held[1].in_use, &held[1].listing), (false, &None));
        assert_eq!(super::held("\t0444 x y\n"), None);
        assert_eq!(super::held("garbage\n"), None);
    }

    #[test]
    fn what_a_host_holds_is_read_back() {
        let content = Digest::of("x");
        let text = format!("= {content}\n0444 {content} a = b\nlink to -> a = b\n= torn\n0444\n");
        let packed = zstd::encode_all(text.as_bytes(), 3).expect("it is compressed");
        let answer = [b"lacking zstd 2048 77\n", &packed[..]].concat();
        let holdings = holdings(&answer).expect("it is understood");
        assert_eq!((holdings.whole, holdings.free, holdings.free_inodes), (false, 2 << 20, Some(77)));
        let endless = super::holdings(b"whole gzip 2048 -\n").expect("it is understood");
        assert_eq!(endless.free_inodes, None, "a disk without a limit");
        let listed = [
            ("a = b".to_owned(), Listed::File { digest: content, executable: false }),
            ("to".to_owned(), Listed::Symlink { target: "a = b".to_owned() }),
        ];
        assert_eq!(holdings.listings, [(content, Listing(listed.into()))].into());
        assert!(super::holdings(b"lacking\n").is_err());
        assert!(super::holdings(b"lacking zstd 2048\n").is_err());
        assert!(super::holdings(b"").is_err());
    }

    #[test]
    fn what_unpacks_to_far_more_than_it_is_is_refused() {
        let text = vec![b'x'; 8 << 20];
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text).expect("it is compressed");
        let zstd = zstd::encode_all(&text[..], 3).expect("it is compressed");
        for (packed, compression) in [(gzip.finish().expect("it ends"), Compression::Gzip), (zstd, Compression::Zstd)] {
            assert!(packed.len() < 64 << 10, "it is small on its way");
            let refused = listings(&packed, compression, 1 << 20).expect_err("it is too much");
            assert!(refused.contains("more than 1 MiB") && refused.contains("release gc"), "{refused}");
            assert!(listings(&packed, compression, 8 << 20).is_ok(), "as much as is allowed");
        }
    }
}
