//! Releases on their way: what an instance holds is shared there, what is damaged is mended, and a release is
//! whole or not there.

use std::{fmt::Write as _, fs, os::unix::fs::symlink, thread};

use evenkeel::{
    declare,
    engine::prepare::prepare,
    git,
    host::{HostWrite as _, Jumps, SshHost, Target},
    model::plan::Commits,
    release::Unfetched,
};

use crate::{
    fleet::{Fleet, restarted, set},
    world::{Host, World, assert_is, wait_for},
};

/// Text that no compression makes much smaller.
pub fn noise(seed: u64, bytes: usize) -> String {
    let mut state = seed | 1;
    let mut text = String::with_capacity(bytes + 16);
    while text.len() < bytes {
        // xorshift64*: Marsaglia, "Xorshift RNGs".
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let _ = write!(text, "{:016x}", state.wrapping_mul(0x2545_f491_4f6c_dd1d));
    }
    text
}

/// The folder of the release that a service runs in.
fn release(host: &Host, fleet: &Fleet<'_>, service: &str, port: u16) -> String {
    host.run(&format!("systemctl show --value -p WorkingDirectory '{}'", fleet.unit(service, port)))
}

fn inode(host: &Host, path: &str) -> String {
    host.run(&format!("stat -c %i '{path}'"))
}

pub fn what_an_instance_holds_is_shared_and_not_sent_again(world: &World) {
    let fleet = Fleet::new(world, "moving");
    let (h1, h2, port) = (world.host("h1"), world.host("h2"), fleet.port(0));
    // One has zstd, the other has not.
    let _without = h2.until_dropped(
        "[ ! -e /usr/bin/zstd ] || mv /usr/bin/zstd /usr/bin/zstd.away",
        "[ ! -e /usr/bin/zstd.away ] || mv /usr/bin/zstd.away /usr/bin/zstd",
    );
    fleet.write("program/data/large.txt", &noise(1, 1 << 20));
    fleet.write("program/data/moves.txt", &noise(2, 1 << 16));
    fleet.write("program/data/goes.txt", "only in the first");
    fleet.service("alpha", port, &["h1", "h2"], "");
    fleet.deploy().ends_with(0);
    let first = release(h1, &fleet, "alpha", port);

    fleet.write("program/new.txt", "only in the second");
    fleet.write("program/elsewhere/moved.txt", &noise(2, 1 << 16));
    fleet.remove("program/data/moves.txt");
    fleet.remove("program/data/goes.txt");
    fleet.deploy().ends_with(0);
    let second = release(h1, &fleet, "alpha", port);
    assert!(first != second, "another release runs");
    for host in [h1, h2] {
        let same = |from: &str, to: &str| {
            let (from, to) = (format!("{first}/{from}"), format!("{second}/{to}"));
            assert_is(&format!("the inode of {to}"), inode(host, &to), inode(host, &from));
        };
        same("data/large.txt", "data/large.txt");
        same("data/moves.txt", "elsewhere/moved.txt");
        let listed = host.run(&format!("cd '{second}' && find . ! -type d | LC_ALL=C sort | tr '\\n' ' '"));
        assert_is("what is there", listed.trim(), "./data/large.txt ./elsewhere/moved.txt ./new.txt ./server.py");
        assert_is("the modes", host.run(&format!("find '{second}' -type f ! -perm 0444 | wc -l")).as_str(), "0");
    }
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}

pub fn a_file_of_a_release_that_somebody_changed_is_mended(world: &World) {
    let fleet = Fleet::new(world, "mended");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    fleet.write("other/server.py", include_str!("server.py"));
    fleet.service("alpha", port, &["h1"], "");
    fleet.service("beta", fleet.port(1), &["h1"], "source: {path: other}");
    fleet.write("other/beta.txt", "beta's own");
    std::os::unix::fs::symlink("server.py", fleet.path().join("program/link")).expect("it can be made");
    fleet.deploy().ends_with(0);
    let (live, before) = (release(h1, &fleet, "alpha", port), fleet.invocations());

    // As long as before, and of the same second: nothing but its content tells.
    h1.run(&format!(
        "cd '{live}' && touch -r server.py /run/time && sed -i '1s/./#/2' server.py && touch -r /run/time server.py"
    ));
    let plan = fleet.plan().json.to_string();
    assert!(plan.contains("drift: files of it were changed on the instance"), "{plan}");
    fleet.apply().ends_with(0);
    let mended = h1.run(&format!("cat '{live}/server.py'"));
    assert_is("the program", mended.trim(), include_str!("server.py").trim());
    assert_is("what was restarted", restarted(&before, &fleet.invocations()), set(&["h1/alpha"]));
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());

    // Neither does its time, nor its inode: only reading it does.
    h1.run(&format!(
        "cd '{live}' && touch -r server.py /run/time && printf X | dd of=server.py conv=notrunc status=none && \
         touch -r /run/time server.py"
    ));
    assert_is("a plan before", fleet.plan().changes(), Vec::<String>::new());
    let verified = fleet.run("release", &["verify"]).ends_with(1);
    assert!(verified.said.contains("h1: not as placed: "), "{}", verified.said);
    let plan = fleet.plan().json.to_string();
    assert!(plan.contains("drift: files of it were changed on the instance"), "{plan}");
    fleet.apply().ends_with(0);
    assert_is("the program", h1.run(&format!("cat '{live}/server.py'")).trim(), include_str!("server.py").trim());
    fleet.run("release", &["verify"]).ends_with(0);

    // What is only touched restarts nothing.
    let before = fleet.invocations();
    h1.run(&format!("touch '{live}/server.py'"));
    fleet.apply().ends_with(0);
    assert_is("what was restarted", restarted(&before, &fleet.invocations()), set(&[]));
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());

    for harm in ["rm link", "ln -sfn /etc/passwd link"] {
        h1.run(&format!("cd '{live}' && {harm}"));
        let plan = fleet.plan().json.to_string();
        assert!(plan.contains("drift: files of it were changed on the instance"), "{harm}: {plan}");
        fleet.apply().ends_with(0);
        assert_is("the link", h1.run(&format!("readlink '{live}/link'")).trim(), "server.py");
    }

    // What a file is shared from may be damaged itself.
    h1.run(&format!("cd '{live}' && echo more >>server.py && rm link"));
    fleet.write("program/new.txt", "another release");
    fleet.deploy().ends_with(0);
    let shared = h1.run(&format!("cat '{}/server.py'", release(h1, &fleet, "alpha", port)));
    assert_is("the program", shared.trim(), include_str!("server.py").trim());
    let link = h1.run(&format!("readlink '{}/link'", release(h1, &fleet, "alpha", port)));
    assert_is("the link", link.trim(), "server.py");
}

/// As the controller has it do every hour.
pub fn a_host_reads_releases_again_when_it_has_time(world: &World) {
    let fleet = Fleet::new(world, "reread");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    fleet.service("alpha", port, &["h1"], "");
    fleet.deploy().ends_with(0);
    let live = release(h1, &fleet, "alpha", port);
    h1.run(&format!(
        "cd '{live}' && touch -r server.py /run/time && printf X | dd of=server.py conv=notrunc status=none && \
         touch -r /run/time server.py"
    ));
    let tree = git::work_tree(&fleet.path()).expect("it is read");
    let overrides = fs::read_to_string(&fleet.overrides).expect("it is read");
    let overrides = declare::read_overrides(&overrides, "the lab's").expect("they are valid");
    let environment = "test".parse().expect("a name");
    let prepared = prepare(&tree.tree, &tree.fleet, &environment, &overrides, Commits::default(), &Unfetched);
    let prepared = prepared.unwrap_or_else(|error| panic!("{error}"));
    let lab = world.lab.clone();
    let asked = thread::spawn(move || {
        lab.enter().expect("the lab is up");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let instance = prepared.fleet.instances.values().find(|instance| instance.name.as_str() == "h1").expect("h1");
        let host = SshHost::new(Target::new(instance, None, None), &Jumps::default());
        runtime.block_on(host.reread(&prepared.fleet.name, &prepared.desired[&instance.name].releases))
    });
    asked.join().expect("it does not panic").unwrap_or_else(|error| panic!("{error}"));
    let changed = || fleet.plan().json.to_string().contains("drift: files of it were changed on the instance");
    wait_for("the next look that finds it", || changed().then_some(()));
    fleet.apply().ends_with(0);
    assert_is("the program", h1.run(&format!("cat '{live}/server.py'")).trim(), include_str!("server.py").trim());
}

pub fn neither_what_somebody_left_in_a_release_nor_its_folders_are_in_the_way_of_the_next(world: &World) {
    let fleet = Fleet::new(world, "leftovers");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    let lies = || {
        let live = release(h1, &fleet, "alpha", port);
        h1.run(&format!("cd '{live}' && find . -mindepth 1 | LC_ALL=C sort | tr '\\n' ' '"))
    };
    fleet.write("program/kept/large.txt", &noise(5, 1 << 16));
    fleet.write("program/static/img/logo.txt", "a logo");
    fleet.service("alpha", port, &["h1"], "");
    fleet.deploy().ends_with(0);

    // As root's `./manage.py migrate` leaves it, and where a file is to come.
    let live = release(h1, &fleet, "alpha", port);
    h1.run(&format!("cd '{live}' && mkdir -p __pycache__ next && echo 1 | tee __pycache__/app.pyc >next/left"));
    fleet.write("program/next", "a file");
    fleet.deploy().ends_with(0);
    let at_first = "./kept ./kept/large.txt ./next ./server.py ./static ./static/img ./static/img/logo.txt";
    assert_is("what is there", lies().trim(), at_first);

    // A folder with a folder becomes a link.
    let link = fleet.path().join("program/static");
    fs::remove_dir_all(&link).expect("it is there");
    symlink("kept", &link).expect("it is made");
    fleet.deploy().ends_with(0);
    assert_is("what is there", lies().trim(), "./kept ./kept/large.txt ./next ./server.py ./static");
    let live = release(h1, &fleet, "alpha", port);
    assert_is("the link", h1.run(&format!("readlink '{live}/static'")).as_str(), "kept");

    // And a folder again.
    fs::remove_file(&link).expect("it is there");
    fleet.write("program/static/img/logo.txt", "a logo");
    fleet.deploy().ends_with(0);
    assert_is("what is there", lies().trim(), at_first);
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}

pub fn a_release_that_does_not_fit_is_refused_with_figures(world: &World) {
    let fleet = Fleet::new(world, "fits");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    let _small = h1.until_dropped(
        "mkdir -p /var/lib/evenkeel/fits && mount -t tmpfs -o size=4m tmpfs /var/lib/evenkeel/fits",
        "umount --lazy /var/lib/evenkeel/fits",
    );
    fleet.write("program/large.txt", &noise(3, 8 << 20));
    fleet.service("alpha", port, &["h1", "h2"], "");
    let refused = fleet.deploy().ends_with(3);
    for words in ["h1", "needs 10 MiB", "4 MiB are free"] {
        assert!(refused.said.contains(words), "`{words}` is not said in: {}", refused.said);
    }
    assert_is("what is begun", h1.run("ls -A /var/lib/evenkeel/fits/releases").as_str(), "");
}

pub fn an_upload_that_is_cut_off_leaves_no_half_release(world: &World) {
    let fleet = Fleet::new(world, "halves");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    fleet.write("program/large.txt", &noise(4, 24 << 20));
    fleet.service("alpha", port, &["h1"], "");
    fleet.commit();
    let apply = fleet.begin("apply", &["--yes"]);
    let begun = "ls -d /var/lib/evenkeel/halves/releases/.*.new/large.txt";
    wait_for("the upload", || h1.succeeds(begun).then_some(()));
    apply.kill();
    let whole = "find /var/lib/evenkeel/halves/releases -mindepth 1 -maxdepth 1 ! -name '.*' | wc -l";
    assert_is("the releases in place", h1.run(whole).as_str(), "0");
    fleet.apply().ends_with(0);
    assert_is("the releases in place", h1.run(whole).as_str(), "1");
    assert_is("the answer", h1.asks(port, "/"), "alpha h1 / None");
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}

pub fn releases_that_nothing_uses_any_more_are_collected(world: &World) {
    let fleet = Fleet::new(world, "collected");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    fleet.write("environments/test.yaml", "branch: main\nkeep_releases: 2\n");
    fleet.write("other/server.py", include_str!("server.py"));
    fleet.service("beta", fleet.port(1), &["h1"], "source: {path: other}");
    fleet.write("other/beta.txt", "never changes");
    let held = || h1.run("ls /var/lib/evenkeel/collected/releases /var/lib/evenkeel/collected/listings");
    let mut seen = Vec::new();
    for number in 0..6 {
        fleet.write("program/number.txt", &number.to_string());
        fleet.service("alpha", port, &["h1"], "");
        fleet.deploy().ends_with(0);
        seen.push(release(h1, &fleet, "alpha", port).rsplit('/').next().expect("a digest").to_owned());
    }
    let beta = release(h1, &fleet, "beta", fleet.port(1)).rsplit('/').next().expect("a digest").to_owned();
    // The last is live, the one before it would be brought back by an undo, and two more stay.
    for (number, digest) in seen.iter().enumerate() {
        assert_is(&format!("whether release {number} is held"), held().contains(digest), number >= 2);
    }
    assert!(held().contains(&beta), "what is live is never collected");

    let list = fleet.run("release", &["list", "-i", "h1"]).ends_with(0).said;
    assert_is("what is listed", list.lines().filter(|line| line.contains(" in use ")).count(), 2);
    assert_is("what is listed", list.lines().filter(|line| line.contains(" kept ")).count(), 3);
    assert!(list.contains("program") && list.contains("other"), "where they come from is not told: {list}");
    let shown = fleet.run("release", &["show", &seen[5][..8], "-i", "h1"]).ends_with(0).said;
    assert!(shown.contains("in use on h1") && shown.contains("number.txt"), "{shown}");
    let diff = fleet.run("release", &["diff", &seen[4], &seen[5]]).ends_with(0).said;
    let changed: Vec<&str> = diff.lines().filter(|line| line.starts_with("~ ")).collect();
    assert!(changed.len() == 1 && changed[0].contains("number.txt"), "{diff}");
    fleet.run("release", &["gc", "--keep", "0", "-i", "h1"]).ends_with(0);
    for (number, digest) in seen.iter().enumerate() {
        assert_is(&format!("whether release {number} is held"), held().contains(digest), number >= 4);
    }
    assert!(held().contains(&beta), "what is live is never collected");

    fleet.write("program/number.txt", "4");
    fleet.commit();
    let plan = fleet.plan().json.to_string();
    assert!(!plan.contains("the instance does not hold it yet"), "going back sends nothing: {plan}");
}
