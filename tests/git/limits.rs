//! How much of a repository is read that others write: what is over the budget is refused by name, before it is held.

use std::{fs, path::Path, process::Command};

use evenkeel::{
    git::{Credentials, GitError, Repository, commit_to_bare, work_tree_within},
    model::budget::{Budget, Exceeded},
};

use crate::{
    bad_server::{BadServer, Manner},
    helpers::{bare, changes, git, local, noon, temporary, told, url, write},
};

/// The place and the limit that an error names.
fn exceeded<T: std::fmt::Debug>(result: Result<T, GitError>) -> (String, Exceeded) {
    match result {
        Err(GitError::OverBudget { place, limit, .. }) => (place, limit),
        other => panic!("not over a limit: {other:?}"),
    }
}

fn mirror(folder: &Path, remote: &Path, budget: Budget) -> Repository {
    let mirror = folder.join(format!("mirror-{}", fs::read_dir(folder).expect("a folder").count()));
    Repository::open(&mirror, &local(remote), Credentials::default()).expect("it opens").with_budget(budget)
}

/// A bare repository whose one commit holds a file in a folder so many folders deep.
fn deep(at: &Path, folders: usize) -> String {
    fs::create_dir(at).expect("a folder");
    git(at, &["init", "-q", "--bare"]);
    let path = "d/".repeat(folders);
    let stream = format!(
        "commit refs/heads/main\ncommitter t <t@localhost> 0 +0000\ndata 4\ndeep\nM 100644 inline {path}file\ndata 4\ndeep\n"
    );
    fs::write(at.join("stream"), stream).expect("written");
    git(at, &["-c", "alias.take=!git fast-import --quiet <stream", "take"]);
    git(at, &["rev-parse", "main"])
}

#[test]
fn an_object_that_inflates_to_more_than_the_budget_is_not_fetched() {
    let folder = temporary();
    let remote = bare(folder.path());
    let budget = Budget { object_bytes: 100_000, ..Budget::STANDARD };
    let repository = mirror(folder.path(), &remote, budget);
    let before = repository.fetch().expect("small objects are fetched").branches;
    // 2 MB of zeros travel as 2 KB.
    let zeros = [("fleet/zeros".to_owned(), Some(vec![0; 2_000_000]))].into();
    evenkeel::git::commit_to_bare(&remote, "main", &zeros, "Zeros", noon()).expect("committed");
    let (_, limit) = exceeded(repository.fetch());
    assert_eq!(limit, Exceeded::ObjectBytes(100_000));
    let after = repository.last_fetched().expect("it reads").expect("it was fetched").branches;
    assert_eq!(after, before, "no reference moves");
    let packs = fs::read_dir(folder.path().join("mirror-2/objects/pack")).expect("packs");
    assert!(packs.flatten().all(|pack| pack.metadata().expect("it is there").len() < 100_000), "nothing of it stays");
}

/// In a process of its own, whose memory is nobody else's.
#[test]
fn an_object_of_a_repository_on_this_machine_is_not_held_before_it_is_measured() {
    const CHILD: &str = "EVENKEEL_TEST_MEASURED_IN";
    const MIB: u64 = 1 << 20;
    let Some(folder) = std::env::var_os(CHILD) else {
        let folder = temporary();
        let remote = bare(folder.path());
        // 400 MiB of zeros, which git packs a piece at a time.
        let script = "{ printf 'commit refs/heads/zeros\\ncommitter t <t@localhost> 0 +0000\\ndata 5\\nzeros\\n'
            printf 'M 100644 inline zeros\\ndata 419430400\\n'; head -c 419430400 /dev/zero; echo
            } | git -c core.bigFileThreshold=1m fast-import --quiet";
        write(&remote, "zeros.sh", script);
        git(&remote, &["-c", "alias.take=!sh zeros.sh", "take"]);
        let name = "deadline::an_object_of_a_repository_on_this_machine_is_not_held_before_it_is_measured";
        let mut child = Command::new(std::env::current_exe().expect("this test"));
        child.args(["--exact", name]).env(CHILD, folder.path());
        assert!(child.status().expect("it runs").success());
        return;
    };
    let folder = Path::new(&folder);
    let repository = mirror(folder, &folder.join("config.git"), Budget::STANDARD);
    let limit = exceeded(repository.fetch()).1;
    assert_eq!(limit, Exceeded::ObjectBytes(256 * MIB));
    let status = fs::read_to_string("/proc/self/status").expect("on Linux");
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse().ok());
    assert!(peak.is_some_and(|peak: u64| peak < 200 << 10), "{peak:?} KiB were held");
}

#[test]
fn what_a_repository_on_this_machine_would_send_is_counted_first() {
    let folder = temporary();
    let remote = bare(folder.path());
    let of = |budget: Budget| exceeded(mirror(folder.path(), &remote, budget).fetch()).1;
    assert_eq!(of(Budget { inflated_bytes: 50, ..Budget::STANDARD }), Exceeded::InflatedBytes(50));
    assert_eq!(of(Budget { objects: 3, ..Budget::STANDARD }), Exceeded::Objects(3));
    let resolved = mirror(folder.path(), &remote, Budget { objects: 3, ..Budget::STANDARD }).resolve(Some("main"));
    assert_eq!(exceeded(resolved).1, Exceeded::Objects(3));
    // What is here already is not counted again.
    let here = mirror(folder.path(), &remote, Budget { objects: 6, ..Budget::STANDARD });
    here.fetch().expect("it is small enough");
    let more = changes(&[("fleet/a", Some("a")), ("fleet/b", Some("b"))]);
    commit_to_bare(&remote, "main", &more, "More", noon()).expect("committed");
    assert!(here.fetch().expect("four objects are new").changed);
}

#[test]
fn a_download_of_too_many_objects_is_refused() {
    let folder = temporary();
    let remote = bare(folder.path());
    let repository = mirror(folder.path(), &remote, Budget { objects: 3, ..Budget::STANDARD });
    assert_eq!(exceeded(repository.fetch()).1, Exceeded::Objects(3));
    let repository = mirror(folder.path(), &remote, Budget { download_bytes: 50, ..Budget::STANDARD });
    assert_eq!(exceeded(repository.fetch()).1, Exceeded::DownloadBytes(50));
    let repository = mirror(folder.path(), &remote, Budget { inflated_bytes: 50, ..Budget::STANDARD });
    assert_eq!(exceeded(repository.fetch()).1, Exceeded::InflatedBytes(50));
}

#[test]
fn a_server_that_lists_references_without_end_is_hung_up_on() {
    let folder = temporary();
    let mut says =
        b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\nConnection: close\r\n\r\n\
        001e# service=git-upload-pack\n0000"
            .to_vec();
    for number in 0..1_100_000 {
        says.extend(format!("0041{number:040x} refs/heads/{number:08}\n").into_bytes());
    }
    let server = BadServer::start(Manner::Says(says));
    let url = url(format!("http://127.0.0.1:{}/config.git", server.port));
    let repository = Repository::open(&folder.path().join("mirror"), &url, Credentials::default()).expect("it opens");
    let refused = told(&repository.fetch().expect_err("it never ends"));
    let limit = "sends more than 64 MiB of references and messages, which is more than evenkeel reads";
    assert!(refused.contains(limit), "{refused}");
    assert!(server.was_let_go());
}

#[test]
fn a_git_source_that_is_6000_folders_deep_is_refused_by_its_depth() {
    let folder = temporary();
    let remote = folder.path().join("deep.git");
    let commit = deep(&remote, 6_000);
    let repository = mirror(folder.path(), &remote, Budget::STANDARD);
    assert_eq!(repository.resolve(None).expect("it is fetched"), commit);
    // A small stack shows that no folder costs any.
    let read = std::thread::Builder::new().stack_size(256 << 10).spawn(move || {
        let (place, limit) = exceeded(repository.folder(&commit.as_str().into(), ""));
        assert_eq!((place.len(), limit), (2 * 65 + 1, Exceeded::Depth(64)));
        assert_eq!(exceeded(repository.tree(&commit)).1, Exceeded::Depth(64));
        assert_eq!(
            exceeded(repository.merged(&commit.as_str().into(), &commit.as_str().into())).1,
            Exceeded::Depth(64)
        );
    });
    read.expect("it starts").join().expect("it ends");
}

#[test]
fn a_tree_is_counted_before_it_is_read() {
    let folder = temporary();
    let remote = bare(folder.path());
    let changed = changes(&[("fleet/large", Some(&"x".repeat(5_000))), ("fleet/other", Some(&"y".repeat(5_000)))]);
    let commit = evenkeel::git::commit_to_bare(&remote, "main", &changed, "Large", noon()).expect("committed");
    let read = |budget| {
        let repository = mirror(folder.path(), &remote, budget);
        repository.fetch().expect("it is fetched");
        exceeded(repository.tree(&commit))
    };
    assert_eq!(read(Budget { entries: 3, ..Budget::STANDARD }).1, Exceeded::Entries(3));
    let (place, limit) = read(Budget { tree_bytes: 9_000, ..Budget::STANDARD });
    assert_eq!((place.starts_with("fleet/"), limit), (true, Exceeded::TreeBytes(9_000)));
}

#[test]
fn a_file_of_3_gigabytes_in_the_work_tree_is_refused_by_name_unless_git_ignores_it() {
    let folder = temporary();
    git(folder.path(), &["init", "-q"]);
    write(folder.path(), "fleet/fleet.yaml", "name: demo\n");
    // It takes no room: it is one hole.
    fs::File::create(folder.path().join("model.bin")).and_then(|file| file.set_len(3 << 30)).expect("it is made");
    let read = || work_tree_within(&folder.path().join("fleet"), &Budget::STANDARD);
    assert_eq!(exceeded(read()), ("model.bin".to_owned(), Exceeded::ObjectBytes(256 << 20)));
    write(folder.path(), ".gitignore", "*.bin\n");
    assert!(read().expect("it reads").tree.get("fleet/fleet.yaml").is_some());
    let narrow = Budget { tree_bytes: 8, ..Budget::STANDARD };
    let (_, limit) = exceeded(work_tree_within(&folder.path().join("fleet"), &narrow));
    assert_eq!(limit, Exceeded::TreeBytes(8));
    let below: String = ["d/"; 66].concat();
    write(folder.path(), &format!("fleet/{below}file"), "deep");
    assert_eq!(exceeded(read()).1, Exceeded::Depth(64));
}

#[test]
fn patterns_of_more_than_the_budget_are_not_read_wherever_they_stand() {
    for place in ["", "fleet/code/"] {
        let folder = temporary();
        git(folder.path(), &["init", "-q"]);
        write(folder.path(), "fleet/code/main.py", "");
        write(folder.path(), &format!("{place}.gitignore"), &"#\n".repeat(50));
        let read =
            |file_bytes| work_tree_within(&folder.path().join("fleet"), &Budget { file_bytes, ..Budget::STANDARD });
        assert!(read(100).expect("it reads").tree.get("fleet/code/main.py").is_some());
        assert_eq!(exceeded(read(99)), (format!("{place}.gitignore"), Exceeded::FileBytes(99)));
    }
}

#[test]
fn a_list_of_references_of_more_than_the_budget_is_not_read() {
    let folder = temporary();
    let remote = bare(folder.path());
    // It takes no room: it is one hole.
    let list = fs::File::create(remote.join("packed-refs")).expect("it is made");
    list.set_len((64 << 20) + 1).expect("it grows");
    let refused = mirror(folder.path(), &remote, Budget::STANDARD).fetch();
    assert_eq!(exceeded(refused), ("packed-refs".to_owned(), Exceeded::SpokenBytes(64 << 20)));
}
