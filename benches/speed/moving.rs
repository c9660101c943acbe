//! A large site on its way to hosts: the first time, with one file changed, and where ten of them lie.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use evenkeel::{
    engine::{
        execute::staging::Stage,
        observe::{connections::Connections, probe::Hosts},
    },
    host::{HostRead as _, ProbeRequest, SshHost, Target},
    model::{
        digest::Digest,
        observation::LiveRelease,
        release::{Release, ReleaseFile},
        source::Pinned,
    },
};
use futures_util::future::join_all;

use super::{
    Result,
    lab::{Floor, Scene, ended},
    samples,
    table::{Table, milliseconds},
    timed,
};

const FLEET: &str = "moving";
const FILES: usize = 2_000;
/// So that all are 20 MiB.
const BYTES: usize = 20 * 1024 * 1024 / FILES;
const RELEASES: usize = 10;
const PATIENCE: Duration = Duration::from_secs(5);

/// Text like that of a bundle, which compresses to some three quarters.
fn text(seed: u64) -> Vec<u8> {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/";
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let letter = |_| {
        // xorshift64: Marsaglia, "Xorshift RNGs".
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        LETTERS[(state >> 20) as usize % LETTERS.len()]
    };
    (0..BYTES).map(letter).collect()
}

/// The site; of each number one file is its own.
fn site(number: u64) -> Release {
    let files = (0..FILES).map(|file| {
        let content = text(if file == 7 { 1_000_000 + number } else { file as u64 });
        let digest = Digest::of(&content);
        let path = format!("assets/{:02}/file-{file:04}.js", file % 40);
        (path, ReleaseFile::File { content: content.into(), digest, executable: false })
    });
    Release::new(Pinned::Folder("site".to_owned()), files.collect())
}

pub fn measure(table: &mut Table, scene: &Scene, floor: &Floor<'_>) -> Result {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let prepared = scene.prepared()?;
    let connections = Connections::new(|instance, jumps| SshHost::new(Target::new(instance, None, None), jumps));
    let hosts = connections.hosts(&prepared.fleet);
    first_upload(table, scene, floor, &hosts, &runtime)?;
    let (name, one) = hosts.iter().next().ok_or("no host")?;
    one_file(table, scene, name.as_str(), one, &runtime)?;
    ten_releases(table, one, &runtime)
}

fn put(runtime: &tokio::runtime::Runtime, hosts: &[Arc<SshHost>], release: &Release) -> Result {
    let fleet = FLEET.parse()?;
    runtime.block_on(async {
        let stage = Stage::new(&fleet, PATIENCE);
        let each = hosts.iter().map(|host| stage.put(host.as_ref(), release));
        join_all(each).await.into_iter().collect::<std::result::Result<Vec<()>, _>>()
    })?;
    Ok(())
}

/// To all hosts at once, in turns with what anyone would write.
fn first_upload(
    table: &mut Table,
    scene: &Scene,
    floor: &Floor<'_>,
    hosts: &Hosts<SshHost>,
    runtime: &tokio::runtime::Runtime,
) -> Result {
    let release = site(0);
    let folder = scene.path("site");
    for (path, file) in &release.files {
        let ReleaseFile::File { content, .. } = file else { continue };
        let path = folder.join(path);
        fs::create_dir_all(path.parent().ok_or("a folder")?)?;
        fs::write(path, content)?;
    }
    let all: Vec<Arc<SshHost>> = hosts.values().cloned().collect();
    let forget = format!("rm -rf /var/lib/evenkeel/{FLEET} /var/tmp/site; sync");
    let forget: Vec<(String, String)> = floor.instances().into_iter().map(|name| (name, forget.clone())).collect();
    let forget: Vec<(&str, String)> = forget.iter().map(|(name, script)| (name.as_str(), script.clone())).collect();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // The first opens connections, and does not count.
    for round in 0..6 {
        floor.run_all(&forget)?;
        let a = timed(&mut || put(runtime, &all, &release))?;
        floor.run_all(&forget)?;
        let b = timed(&mut || by_hand(floor, &folder))?;
        if round > 0 {
            ours.push(a);
            theirs.push(b);
        }
    }
    let (ours, theirs) = (super::median(&mut ours), super::median(&mut theirs));
    let name = "20 MiB in 2,000 files to five hosts, the first time";
    table.compare(name, (ours, theirs), "tar | zstd | ssh", 1.5, None);
    Ok(())
}

/// `tar | zstd | ssh` to each host, all at the same time.
fn by_hand(floor: &Floor<'_>, folder: &Path) -> Result {
    let mut running = Vec::new();
    for instance in floor.instances() {
        let pack = "tar -c -C \"$0\" . | zstd -q -c";
        let mut packs = Command::new("sh").args(["-c", pack]).arg(folder).stdout(Stdio::piped()).spawn()?;
        let mut ssh = floor.ssh(&instance, &floor.control(&instance))?;
        ssh.arg(
            "sudo -n sh -c 'mkdir -p /var/tmp/site && zstd -dqc | tar -x -C /var/tmp/site && sync -f /var/tmp/site'",
        );
        let stream = packs.stdout.take().ok_or("no standard output")?;
        let child = ssh.stdin(stream).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        running.push((packs, child));
    }
    for (mut packs, child) in running {
        ended(child)?;
        packs.wait()?;
    }
    Ok(())
}

/// Bytes on the wire, packets and encryption included, when one of the files is another.
fn one_file(
    table: &mut Table,
    scene: &Scene,
    name: &str,
    host: &Arc<SshHost>,
    runtime: &tokio::runtime::Runtime,
) -> Result {
    let hosts = [host.clone()];
    put(runtime, &hosts, &site(0))?;
    let next = site(1);
    let before = scene.sent_to(name)?;
    let took = timed(&mut || put(runtime, &hosts, &next))?;
    let sent = scene.sent_to(name)? - before;
    // One line of the listing goes, and one comes.
    let lines = 2 * next.listing().lines().next().map_or(0, str::len);
    let limit = (BYTES + lines + 8 * 1024) as u64;
    let beside = format!("the file has {BYTES} bytes; {}", milliseconds(took));
    let held = sent < limit;
    table.row("one of 2,000 files changed, to one host", format!("{sent} B"), &beside, ("file + 8 KiB", held));
    Ok(())
}

/// What it adds to a look at a host that ten such releases lie there.
fn ten_releases(table: &mut Table, host: &Arc<SshHost>, runtime: &tokio::runtime::Runtime) -> Result {
    let hosts = [host.clone()];
    let releases: Vec<Release> = (0..RELEASES as u64).map(site).collect();
    releases.iter().try_for_each(|release| put(runtime, &hosts, release))?;
    // As the loop asks: each time of one of them whether it is as it was.
    let question = |releases: BTreeSet<Digest>| {
        let spared = releases.iter().skip(1).copied().collect();
        ProbeRequest { base: format!("/var/lib/evenkeel/{FLEET}"), releases, spared, ..ProbeRequest::default() }
    };
    let none = question(Default::default());
    let all = question(releases.iter().map(|release| release.digest).collect());
    let look = |question: &ProbeRequest, number: usize| -> Result {
        let seen = runtime.block_on(host.probe(question))?;
        let fine = [LiveRelease::Whole, LiveRelease::There];
        let fine = seen.releases.values().filter(|seen| seen.known().is_some_and(|seen| fine.contains(seen)));
        if fine.count() == number { Ok(()) } else { Err(format!("not whole: {:?}", seen.releases).into()) }
    };
    let without = samples(21, || look(&none, 0))?;
    let with = samples(21, || look(&all, RELEASES))?;
    let added = with.saturating_sub(without);
    let beside = format!("{} without", milliseconds(without));
    let name = "what ten releases of 2,000 files add to a look";
    table.row(name, milliseconds(added), &beside, ("30 ms", added < Duration::from_millis(30)));
    Ok(())
}
