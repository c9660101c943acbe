//! Builds, in a real sandbox: what they see, how they end, what is kept of them.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use evenkeel::{
    model::{
        budget::Budget,
        build::Build,
        digest::Digest,
        quantity::{CpuShare, Span},
        release::{Making, ReleaseFile},
    },
    release::{BuildCache, BuildError, Builds, Job, Made},
};
use insta::assert_snapshot;

use crate::{
    needs::lacks,
    world::{World, one},
};

const EVENKEEL: &str = env!("CARGO_BIN_EXE_evenkeel");

/// A build with limits that no honest test comes near.
pub fn build(run: &str) -> Build {
    Build {
        run: run.to_owned(),
        output: "out".to_owned(),
        env: [("GREETING".to_owned(), "hello \"$HOME\"\nworld".to_owned())].into(),
        network: false,
        timeout: Span(Duration::from_secs(60)),
        memory: 256 << 20,
        cpu: None,
    }
}

pub fn build_cache(world: &World) -> BuildCache {
    BuildCache::new(world.path("state/builds")).with_program(EVENKEEL)
}

/// Carries it out, from a source of one file.
fn make(world: &World, build: &Build) -> Result<Made, BuildError> {
    make_in(&build_cache(world), build)
}

pub fn make_in(build_cache: &BuildCache, build: &Build) -> Result<Made, BuildError> {
    let content: &[u8] = b"from the source\n";
    let file = ReleaseFile::File { content: content.into(), digest: Digest::of(content), executable: false };
    let files = [("in/file".to_owned(), file)].into();
    build_cache.make(Job { key: build.key(&Digest::of("source")), build, files: &files })
}

pub fn text(made: &Made, path: &str) -> String {
    match made.files.get(path) {
        Some(ReleaseFile::File { content, .. }) => String::from_utf8_lossy(content).into_owned(),
        other => panic!("{path}: {other:?}, and it said {}", made.log),
    }
}

/// What a build's shell writes to `out/said`.
fn said(world: &World, run: &str) -> String {
    let made = make(world, &build(&format!("mkdir out && {{ {run}\n}} >out/said 2>&1")));
    text(&made.unwrap_or_else(|error| panic!("{error}")), "said")
}

fn failed(world: &World, build: &Build) -> String {
    let error = make(world, build).expect_err("it fails").to_string();
    let error = world.without_paths(&error);
    match error.split_once("/failed/") {
        Some((before, log)) => format!("{before}/failed/X{}", &log[log.len() - ".log".len()..]),
        None => error,
    }
}

#[test]
fn a_build_has_its_source_a_home_and_a_cleared_environment() {
    if lacks(&["bwrap"]) {
        return;
    }
    let world = World::new();
    assert_snapshot!(said(&world, "pwd; cat in/file; id -un; id -u; hostname; echo \"$GREETING\"; ls -A ~ /tmp"), @r#"
    /build
    from the source
    build
    1000
    build
    hello "$HOME"
    world
    /home/build:
    .started

    /tmp:
    "#);
    // Of the shell that runs it, and of the sandbox's first process, which was out here once.
    let names =
        said(&world, "unset PWD OLDPWD NODE_EXTRA_CA_CERTS; env -u GREETING | cut -d= -f1 | grep -v '^_$' | sort");
    assert_eq!(names, "CI\nHOME\nLANG\nPATH\nTMPDIR\nUSER\n");
    let first = said(&world, "tr '\\0' '\\n' </proc/1/environ | cut -d= -f1 | sort");
    assert_eq!(first, "PATH\n");
}

#[test]
fn nothing_of_this_machine_is_there_that_could_let_anybody_in() {
    if lacks(&["bwrap"]) {
        return;
    }
    let world = World::new();
    let token = world.write("token", b"secret");
    for path in [token.as_str(), "/root", "/home/ubuntu", "/etc/shadow", "/etc/ssh", "/etc/ssl/private", "/run/systemd"]
    {
        assert_eq!(said(&world, &format!("test -e '{path}' && echo there || echo not there")), "not there\n", "{path}");
    }
    assert_eq!(said(&world, "ls /etc/npmrc /usr/local/etc/* 2>/dev/null | wc -l"), "0\n");
    let processes: u32 = said(&world, "ls /proc | grep -c '^[0-9]'").trim().parse().expect("a number");
    assert!(processes < 10, "{processes} processes are seen");
    // The fourth is the folder that is listed.
    assert_eq!(said(&world, "echo $(ls /proc/self/fd)"), "0 1 2 3\n", "no descriptor is left open");
}

#[test]
fn nothing_outside_its_own_folders_can_be_written() {
    if lacks(&["bwrap"]) {
        return;
    }
    let world = World::new();
    for path in ["/x", "/usr/x", "/usr/local/etc/x", "/etc/x", "/dev/x", "/home/x", "/var/x", "/run/x"] {
        let said = said(&world, &format!("(echo x >'{path}') 2>/dev/null && echo written || echo refused"));
        assert_eq!(said, "refused\n", "{path}");
    }
    // What the whole machine goes by: written as it is, should it be written all the same.
    let setting = "/proc/sys/vm/swappiness";
    let said_of_setting =
        said(&world, &format!("now=$(cat {setting}); (echo $now >{setting}) 2>/dev/null || echo refused $now"));
    let now = fs::read_to_string(setting).expect("it can be read");
    assert_eq!(said_of_setting, format!("refused {now}"));
    let more = said(&world, "unshare --user --map-root-user true 2>/dev/null && echo made || echo refused");
    assert_eq!(more, "refused\n", "a namespace of its own, to be root in");
    assert_eq!(said(&world, "touch ~/x /tmp/x /build/x /var/tmp/y /dev/shm/x && echo written"), "written\n");
}

#[test]
fn without_a_network_there_is_none() {
    if lacks(&["bwrap"]) {
        return;
    }
    let world = World::new();
    let devices = "grep -o '^ *[a-z0-9]*:' /proc/net/dev | tr -d ' :' | sort";
    assert_eq!(said(&world, devices), "lo\n");
}

#[test]
fn what_does_not_end_is_ended_with_all_its_processes() {
    if lacks(&["bwrap"]) {
        return;
    }
    let world = World::new();
    let number = format!("98765.{}", std::process::id());
    let run = format!(
        "sleep {number} & setsid sleep {number} & trap '' TERM INT HUP; echo waiting; sleep {number}; sleep {number}"
    );
    let endless = Build { timeout: Span(Duration::from_secs(1)), ..build(&run) };
    let began = std::time::Instant::now();
    let error = failed(&world, &endless).replace(&number, "NUMBER");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_snapshot!(error.lines().skip_while(|line| !line.starts_with("    ")).collect::<Vec<_>>().join("\n"), @r"
        waiting
    all of what it said is in DIR/state/builds/failed/X.log
    ");
    assert!(error.contains("took longer than 1s; make it faster, or allow it more with build.timeout"), "{error}");
    assert_eq!(running(&number), 0, "processes are left");
    // What a build leaves behind when it ends by itself goes too.
    assert_eq!(said(&world, &format!("setsid sleep {number} & echo done")), "done\n");
    assert_eq!(running(&number), 0, "processes are left");
}

/// How many processes of this machine have the word among their arguments.
fn running(word: &str) -> usize {
    let entries = fs::read_dir("/proc").expect("it can be read").flatten();
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes())).count()
}

#[test]
fn what_babbles_is_heard_to_the_end_but_not_kept() {
    if lacks(&["bwrap"]) {
        return;
    }
    let world = World::new();
    let error = failed(&world, &build("yes babble | head -c 50000000; echo; echo 'the last word' >&2; exit 3"));
    assert!(error.contains("failed (exit status: 3); correct it and commit; its last lines:\n"), "{error}");
    assert!(error.contains("    babble\n    b\n    the last word\n"), "{error}");
    let log = fs::read_dir(world.path("state/builds/failed")).expect("it is there").next().expect("one").expect("it");
    let log = fs::read_to_string(log.path()).expect("it is text");
    assert!(log.len() < 300_000 && log.contains("bytes before this are left out"), "{} bytes", log.len());
}

#[test]
fn memory_is_bounded_for_one_process_and_for_all_together() {
    if lacks(&["bwrap"]) {
        return;
    }
    let world = World::new();
    let one = failed(&world, &build("head -c 400000000 /dev/zero | tail | wc -c; exit 1"));
    assert!(one.contains("memory exhausted"), "{one}");
    let hoard = "(head -c 100000000 /dev/zero; sleep 60) | tail >/dev/null &";
    let all = failed(&world, &build(&format!("{hoard} {hoard} {hoard} {hoard} wait")));
    assert!(
        all.contains("took more than 256 MiB of memory; let it take less, or allow it more with build.memory"),
        "{all}"
    );
    let many = failed(&world, &build("i=0; while [ $i -lt 700 ]; do i=$((i+1)); sleep 60 & done"));
    assert!(many.contains("processes at once") || many.contains("annot fork"), "{many}");
}

#[test]
fn memory_that_no_process_maps_cannot_be_had() {
    let world = World::new();
    let python = "import os, ctypes\n\
                  try: print('memfd', os.memfd_create('x'))\n\
                  except OSError as error: print('memfd', error.errno)\n\
                  libc = ctypes.CDLL(None, use_errno=True)\n\
                  print('shm', libc.shmget(0, 1 << 20, 0o1600), ctypes.get_errno())\n\
                  print('keys', libc.syscall(250, 0, 0, 0), ctypes.get_errno())";
    let said = said(&world, &format!("/usr/bin/python3 -c \"{python}\""));
    let absent = libc_enosys();
    assert_eq!(said, format!("memfd {absent}\nshm -1 {absent}\nkeys -1 {absent}\n"));
}

/// What a kernel answers that does not have a system call.
fn libc_enosys() -> i32 {
    rustix::io::Errno::NOSYS.raw_os_error()
}

#[test]
fn memory_that_processes_share_counts() {
    let world = World::new();
    let python = "import mmap, time; held = mmap.mmap(-1, 400 << 20)\n\
                  for at in range(0, 400 << 20, 4096): held[at] = 1\n\
                  time.sleep(60)";
    let error = failed(&world, &build(&format!("/usr/bin/python3 -c \"{python}\"")));
    assert!(error.contains("took more than 256 MiB of memory"), "{error}");
}

#[test]
fn what_a_build_writes_is_bounded() {
    let world = World::new();
    let budget = Budget { build_bytes: 32 << 20, build_entries: 1000, ..Budget::STANDARD };
    let build_cache = build_cache(&world).with_budget(budget);
    let fault = |run: &str| make_in(&build_cache, &build(run)).expect_err("it fails").to_string();
    let bytes = fault("head -c 64000000 /dev/zero >/tmp/large; sleep 60");
    assert!(bytes.contains("left more than") && bytes.contains("let it write less"), "{bytes}");
    let files = fault("i=0; while [ $i -lt 2000 ]; do i=$((i+1)); : >$HOME/$i; done; sleep 60");
    assert!(files.contains("or 1000 files"), "{files}");
    let full = Budget { disk_reserve: u64::MAX, ..Budget::STANDARD };
    let build_cache = build_cache.with_budget(full);
    let error = make_in(&build_cache, &build("sleep 60")).expect_err("the disk is full");
    assert!(!error.is_of_the_build() && error.to_string().contains("make room"), "{error}");
}

#[test]
fn what_cannot_be_deployed_is_refused_by_name() {
    if lacks(&["bwrap"]) {
        return;
    }
    let world = World::new();
    let fault = |run: &str| {
        let error = failed(&world, &build(run));
        let first = error.lines().next().unwrap_or_default();
        first.replace("; it said nothing; all of what it said is in DIR/state/builds/failed/X.log", "")
    };
    let runs = [
        "true",
        "mkdir out",
        "echo a >out",
        "ln -s /etc out",
        "ln -s in out",
        "mkdir out; mkfifo out/pipe",
        "mkdir out; ln -s ../../passwd out/link",
        "mkdir out; ln -s /etc/passwd out/link",
        "mkdir out; echo a >out/$(printf 'a\\tb')",
        "mkdir out; echo a >out/$(printf '\\377')",
    ];
    assert_snapshot!(runs.map(fault).join("\n"), @r#"
    `true` left no folder out; correct build.output
    `mkdir out` left something that cannot be deployed: there is no file in out
    `echo a >out` left no folder out; correct build.output
    `ln -s /etc out` left something that cannot be deployed: out is reached by a link
    `ln -s in out` left something that cannot be deployed: out is reached by a link
    `mkdir out; mkfifo out/pipe` left something that cannot be deployed: pipe is neither file, folder nor link
    `mkdir out; ln -s ../../passwd out/link` left something that cannot be deployed: link: the link to ../../passwd leaves its release out; copy what it points at, or remove it
    `mkdir out; ln -s /etc/passwd out/link` left something that cannot be deployed: link: the link to /etc/passwd leaves its release out; copy what it points at, or remove it
    `mkdir out; echo a >out/$(printf 'a\tb')` left something that cannot be deployed: "a\tb" in out has a line break or tab in its name; rename it
    `mkdir out; echo a >out/$(printf '\377')` left something that cannot be deployed: a name in it is not UTF-8: \xff
    "#);
    let narrow = build_cache(&world).with_budget(Budget { entries: 5, tree_bytes: 1000, ..Budget::STANDARD });
    for run in ["mkdir out; head -c 2000 /dev/zero >out/a", "mkdir out; touch out/1 out/2 out/3 out/4 out/5 out/6"] {
        let error = make_in(&narrow, &build(run)).expect_err("too much").to_string();
        assert!(error.contains("more than evenkeel reads"), "{error}");
    }
    // Whatever it has closed to everybody is removed all the same.
    assert!(failed(&world, &build("mkdir -p a/b; chmod 0 a/b a; exit 1")).contains("failed"));
    assert!(make(&world, &build("mkdir out; echo ok >out/a")).is_ok());
    assert!(!world.path("state/builds/work").exists(), "the folders of a build are removed");
}

#[test]
fn a_build_that_leaves_a_folder_15000_deep_fails_and_is_removed() {
    let world = World::new();
    let dig = r#"perl -e 'mkdir "out"; chdir "out"; for (1..15000) { mkdir "d" or die; chdir "d" or die }'"#;
    let small = std::thread::Builder::new().stack_size(256 << 10);
    let failed = small.spawn(move || {
        let error = make(&world, &build(dig)).expect_err("too deep").to_string();
        let mut folders: Vec<_> = fs::read_dir("/var/tmp").expect("a folder").flatten().map(|it| it.path()).collect();
        folders.push(world.path("state/builds/work"));
        assert!(!folders.iter().any(|at| at.join("source/out/d/d").exists()), "the folders of a build are removed");
        error
    });
    let failed = failed.expect("it starts").join().expect("it ends");
    assert!(failed.contains("more than 64 folders"), "{failed}");
}

#[test]
fn a_build_is_made_once() {
    if lacks(&["bwrap"]) {
        return;
    }
    let world = World::new();
    let random =
        build("mkdir out; head -c 8 /dev/urandom | od >out/number; ln -s number out/link; chmod +x out/number");
    let first = make(&world, &random).expect("it is built");
    assert!(matches!(first.files["number"], ReleaseFile::File { executable: true, .. }));
    assert_eq!(make(&world, &random).expect("it is kept"), first);
    let patient = Build { timeout: Span(Duration::from_secs(90)), ..random.clone() };
    assert_eq!(make(&world, &patient).expect("it is kept"), first, "a limit makes nothing else of it");
    let other = Build { env: Default::default(), ..random.clone() };
    assert_ne!(make(&world, &other).expect("it is built").files, first.files);
    // What is kept counts only as long as it is what was put there.
    let key = random.key(&Digest::of("source"));
    let archive = world.path(&format!("state/builds/made/{key}/output.tar.gz"));
    let other_key = other.key(&Digest::of("source"));
    fs::copy(world.path(&format!("state/builds/made/{other_key}/output.tar.gz")), archive).expect("it can be written");
    assert_eq!(build_cache(&world).kept(&key), None);
    assert_ne!(make(&world, &random).expect("it is built anew").files, first.files);
}

#[test]
fn without_bubblewrap_nothing_is_built() {
    let world = World::new();
    let lacking = build_cache(&world).with_bubblewrap(Path::new("/nonexistent/bwrap"));
    assert_snapshot!(make_in(&lacking, &build("true")).expect_err("refused"), @"nothing is built without bubblewrap, which is not installed; run `apt-get install bubblewrap`");
    let broken = build_cache(&world).with_bubblewrap(Path::new("/bin/false"));
    assert!(matches!(make_in(&broken, &build("true")), Err(BuildError::Sandbox { .. })));
}

#[test]
fn a_sandbox_that_fails_halfway_leaves_no_process() {
    let world = World::new();
    let number = format!("98764.{}", std::process::id());
    // As bwrap, where it may not take its capabilities away: its first process in the sandbox waits for it for ever.
    let halfway = world.write(
        "halfway",
        format!("#!/bin/sh\n[ \"$1\" = --help ] && exit\nsleep {number} &\necho capset failed; exit 1\n").as_bytes(),
    );
    fs::set_permissions(&halfway, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let error = make_in(&build_cache(&world).with_bubblewrap(&halfway), &build("true")).expect_err("refused");
    assert!(matches!(&error, BuildError::Sandbox { said } if said == "capset failed"), "{error}");
    assert_eq!(running(&number), 0, "processes are left");
}

#[test]
fn a_build_says_which_of_its_limits_were_not_kept() {
    if lacks(&["bwrap"]) {
        return;
    }
    let world = World::new();
    let build_cache = build_cache(&world);
    let half = Build { cpu: Some(CpuShare(50)), ..build("mkdir out; echo ok >out/a") };
    let log = make_in(&build_cache, &half).expect("it is built").log;
    match build_cache.cgroups() {
        // The kernel keeps them; `.ci/machine` sees to it that there is such a machine.
        Ok(_) => assert!(!log.contains("not kept"), "{log}"),
        Err(why) => assert!(log.contains(&why.to_string()) && log.contains("build.cpu was not kept"), "{log}"),
    }
    let whole = make_in(&build_cache, &Build { cpu: None, run: "mkdir out; echo all >out/a".to_owned(), ..half });
    assert!(!whole.expect("it is built").log.contains("build.cpu"), "nothing was asked for");
}

/// A build in a cgroup, as a controller has it that runs as packaged.
#[test]
fn in_a_cgroup_of_its_own_the_kernel_bounds_a_build() {
    let world = World::new();
    let build_cache = build_cache(&world);
    if let Err(why) = build_cache.cgroups() {
        eprintln!("not run: builds get no cgroup here ({why}); `.ci/machine` runs it");
        return;
    }
    // Files in memory belong to no process.
    let files = Build { memory: 48 << 20, ..build("head -c 60000000 /dev/zero >/dev/shm/a; sleep 60") };
    let error = make_in(&build_cache, &files).expect_err("too much").to_string();
    assert!(error.contains("took more than 48 MiB of memory"), "{error}");
    let bomb = "bomb() { bomb | bomb & }; bomb; sleep 5; exit 7";
    let error = make_in(&build_cache, &build(bomb)).expect_err("it fails").to_string();
    assert!(error.contains("refused more than 500 processes and threads"), "{error}");
    // Two that would take four seconds of a processor each, and have half a one together.
    let busy = "busy() { end=$(($(date +%s) + 4)); while [ $(date +%s) -lt $end ]; do :; done; }; \
                mkdir out; busy & busy & wait; times >out/said";
    let half = Build { cpu: Some(CpuShare(50)), ..build(busy) };
    let times = text(&make_in(&build_cache, &half).expect("it is built"), "said");
    let seconds = |text: &str| {
        let (minutes, seconds) = text.trim_end_matches('s').split_once('m')?;
        Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
    };
    let taken: f64 = times.split_whitespace().filter_map(seconds).sum();
    assert!(taken > 0.5 && taken < 3.5, "{taken} s of a processor in about 4 s: {times}");
}

#[test]
fn a_plan_builds_nothing_and_uses_what_was_built() {
    if lacks(&["bwrap"]) {
        return;
    }
    let world = World::new();
    let build_cache = build_cache(&world);
    let source = "{path: /app, exclude: [tests], build: {run: \"mkdir out && cp serve out/ && ls | sort >out/seen\", output: out, network: false}}";
    let prepare = |builds: Builds<'_>| world.prepare_with(source, builds).unwrap_or_else(|error| panic!("{error}"));
    let plan = Builds { build_cache: Some(&build_cache), recorded: None, run: false };
    let due = one(prepare(plan));
    assert!(matches!(due.making, Making::Due { .. }) && due.files.is_empty());
    assert_eq!(due.origin(), "app, to be built");
    assert!(!world.path("state/builds").exists(), "nothing was run, and nothing was made");

    let prepared = prepare(Builds { run: true, ..plan });
    assert!(prepared.is_built());
    let recorded = prepared.builds();
    let made = one(prepared);
    assert_eq!(made.files.keys().collect::<Vec<_>>(), ["seen", "serve"]);
    assert_ne!(made.digest, due.digest);
    assert_eq!(Some(made.build_key().expect("it is built")), due.build_key());
    let again = one(prepare(plan));
    assert_eq!((&again, again.origin().as_str()), (&made, "app, built"));

    // Elsewhere nothing is kept, but the history says what is live of it.
    let elsewhere = BuildCache::new(world.path("elsewhere"));
    let known = one(prepare(Builds { build_cache: Some(&elsewhere), recorded: Some(&recorded), run: false }));
    assert_eq!((known.digest, known.is_at_hand()), (made.digest, false));
}

#[test]
fn a_build_that_fails_is_told_with_who_needs_it() {
    if lacks(&["bwrap"]) {
        return;
    }
    let world = World::new();
    let build_cache = build_cache(&world);
    let source = "{path: /app, build: {run: \"echo one; echo two >&2; false\", output: out}}";
    let builds = Builds { build_cache: Some(&build_cache), recorded: None, run: true };
    let error = world.prepare_with(source, builds).expect_err("it fails");
    let refused = error.failed_build("somebody").expect("it is the build's own fault");
    assert_snapshot!(refused.why, @"the build of service/a failed: `echo one; echo two >&2; false` failed (exit status: 1); correct it and commit");
    assert_eq!(refused.log, ["one", "two"]);
    let lacking = BuildCache::new(world.path("state/builds")).with_bubblewrap(Path::new("/nonexistent/bwrap"));
    let error =
        world.prepare_with(source, Builds { build_cache: Some(&lacking), ..builds }).expect_err("it cannot be built");
    assert!(error.failed_build("somebody").is_none(), "what is missing here says nothing of the commit");
}

#[test]
fn the_example_frontend_is_built_for_real() {
    if lacks(&["bwrap", "node", "npm"]) {
        return;
    }
    let world = World::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fleet");
    let read = evenkeel::git::work_tree(&folder).expect("it can be read");
    let (declaration, _) = evenkeel::declare::read(&read.tree, &read.fleet);
    let declaration = declaration.expect("it is declared");
    let environment = "production".parse().expect("a name");
    let fleet = declaration.resolve(&environment, &Default::default()).expect("it validates");
    let build_cache = build_cache(&world);
    let builds = Builds { build_cache: Some(&build_cache), recorded: None, run: true };
    let made =
        evenkeel::release::gather(&fleet, &read.tree, &Default::default(), &evenkeel::release::Unfetched, builds);
    let made = made.unwrap_or_else(|error| panic!("{error}"));
    let site = fleet.sites.values().next().expect("there is a site");
    let release = &made[site.frontend.values().next().expect("it has a frontend")];
    let files: Vec<&String> = release.files.keys().collect();
    let asset = |end: &str| files.iter().find(|file| file.starts_with("assets/index-") && file.ends_with(end));
    let script = asset(".js").unwrap_or_else(|| panic!("{files:?}"));
    assert!(asset(".css").is_some() && !files.iter().any(|file| file.contains("node_modules")), "{files:?}");
    let ReleaseFile::File { content, .. } = &release.files["index.html"] else { panic!("{files:?}") };
    assert!(String::from_utf8_lossy(content).contains(&format!("/{script}")), "the page loads what was bundled");
    assert!(matches!(&release.making, Making::Built { log, .. } if log.contains("vite")), "{:?}", release.making);
}
