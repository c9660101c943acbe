//! The lab, and its hosts as a test looks at them: from the inside, as root, beside evenkeel.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    fs::{self, File},
    io::Write as _,
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::atomic::AtomicU16,
    thread,
};

use evenkeel::lab::Lab;

use crate::needs;
pub use crate::waiting::wait_for;

/// The program under test.
pub const EVENKEEL: &str = env!("CARGO_BIN_EXE_evenkeel");

const HOSTS: usize = 5;

/// Locked by the one run of these tests that has the labs.
const TURNS: &str = "/run/evenkeel-itest.lock";

/// Five hosts. Dropping it takes them down.
pub struct World {
    pub lab: Lab,
    pub hosts: Vec<Host>,
    /// How many fleets were made: each gets ports of its own.
    pub fleets: AtomicU16,
}

/// One host of the lab.
#[derive(Clone)]
pub struct Host {
    /// `h1`, which is the instance's name too.
    pub name: String,
    pub address: String,
    pub host_key: String,
    root: PathBuf,
}

impl World {
    /// Why this machine can boot no lab. Nothing is installed here: `tests/run` asks, and does it.
    pub fn lacks() -> Option<String> {
        if !rustix::process::geteuid().is_root() {
            return Some("only root can boot a lab; run `sudo -E tests/run`".to_owned());
        }
        let programs = needs::missing(&["git", "openssl"]);
        let lab = || Lab::open("any").ok().and_then(|lab| lab.missing().into_iter().next());
        programs.or_else(|| lab().map(|missing| format!("a lab needs {}", missing.what)))
    }

    /// With hosts of the release of Debian that LAB_SUITE names.
    pub fn boot(name: &str) -> Result<Self, String> {
        Self::boot_suite(name, &std::env::var("LAB_SUITE").unwrap_or_else(|_| "bookworm".to_owned()), HOSTS)
    }

    pub fn boot_suite(name: &str, suite: &str, hosts: usize) -> Result<Self, String> {
        if let Some(why) = Self::lacks() {
            return Err(why);
        }
        let lab = Lab::open(name).map_err(|error| error.to_string())?;
        let mut world = Self { lab, hosts: Vec::new(), fleets: AtomicU16::new(0) };
        // What an earlier run left is not what these tests expect.
        world.evenkeel_lab(&["down"])?;
        world.evenkeel_lab(&["up", "--suite", suite, "--hosts", &hosts.to_string()])?;
        let hosts = world.lab.hosts().map_err(|error| error.to_string())?;
        let disks = world.lab.override_file();
        let disks = disks.parent().ok_or("the override file lies in no folder")?;
        world.hosts = hosts
            .into_iter()
            .map(|host| Host {
                root: disks.join(&host.lab_name).join("root"),
                address: host.address.to_string(),
                host_key: host.host_key,
                name: host.instance,
            })
            .collect();
        Ok(world)
    }

    /// `evenkeel lab …`.
    pub fn evenkeel_lab(&self, arguments: &[&str]) -> Result<(), String> {
        let output = Command::new(EVENKEEL).args(["lab", "--name", self.lab.name()]).args(arguments).output();
        let output = output.map_err(|error| format!("{EVENKEEL} does not run: {error}"))?;
        let said = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if output.status.success() { Ok(()) } else { Err(format!("evenkeel lab {}: {}", arguments.join(" "), said())) }
    }

    /// Takes a host's power until the value is dropped.
    pub fn off(&self, host: &'static str) -> Trouble<'_> {
        self.trouble("kill", "boot", host)
    }

    /// Unplugs a host's network until the value is dropped.
    pub fn cut(&self, host: &'static str) -> Trouble<'_> {
        self.trouble("cut", "mend", host)
    }

    fn trouble(&self, now: &str, mended_by: &'static str, host: &'static str) -> Trouble<'_> {
        self.evenkeel_lab(&[now, host]).unwrap_or_else(|why| panic!("{why}"));
        Trouble { world: self, mended_by, host }
    }

    pub fn host(&self, name: &str) -> &Host {
        self.hosts.iter().find(|host| host.name == name).unwrap_or_else(|| panic!("there is no host {name}"))
    }

    /// Every trace that a write or a restart would leave, by host: inodes and times of files,
    /// invocations of units, the workers of nginx.
    pub fn traces(&self) -> Seen {
        self.all(
            r"find /etc/systemd/system /etc/evenkeel /etc/nginx /var/lib/evenkeel /etc/apt \
                -printf '%p inode %i mode %m %U:%G modified %T@ changed %C@ -> %l\n' 2>/dev/null
              systemctl show -p Id,InvocationID,LoadState,ActiveState,UnitFileState -- '*.service' |
                sed -n ':a; N; $!{/\n$/!ba}; s/\n/ /g; /Id=systemd-/d; /Id=run-/d; /LoadState=not-found ActiveState=inactive/d; p'
              main=$(systemctl show --value -p MainPID nginx.service)
              echo nginx workers $(cat /proc/$main/task/$main/children)",
        )
    }

    /// What is there and what runs, by host, however it came to be: contents of files, manifests, states
    /// of units. A unit that systemd only remembers (it has no file and does not run) is not there: systemd
    /// forgets it when it likes.
    pub fn contents(&self) -> Seen {
        self.all(
            r"folders='/etc/systemd/system /etc/nginx'
              [ -d /etc/evenkeel ] && folders='/etc/systemd/system /etc/nginx /etc/evenkeel'
              find $folders ! -type d -printf '%p %y %m %U:%G -> %l\n'
              find $folders -type f -exec sha256sum {} +
              for manifest in /var/lib/evenkeel/*/manifest; do [ -e $manifest ] && sed s=^=$manifest: $manifest; done
              systemctl show -p Id,ActiveState,UnitFileState,LoadState -- '*.service' |
                sed -n ':a; N; $!{/\n$/!ba}; s/\n/ /g; /Id=systemd-/d; /Id=run-/d; /LoadState=not-found ActiveState=inactive/d; p'",
        )
    }

    fn all(&self, script: &str) -> Seen {
        let lines = |host: &Host| host.run(script).lines().map(|line| line.trim_end().to_owned()).collect();
        thread::scope(|scope| {
            let asked: Vec<_> =
                self.hosts.iter().map(|host| (host.name.clone(), scope.spawn(move || lines(host)))).collect();
            asked.into_iter().map(|(name, answer)| (name, answer.join().expect("the host answers"))).collect()
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::env::var_os("KEEP_LAB").is_none()
            && let Err(why) = self.evenkeel_lab(&["down"])
        {
            eprintln!("the lab {} is still there: {why}", self.lab.name());
        }
    }
}

/// Two runs at once would take each other's labs down: the later one waits. To be held until they are down.
pub fn take_turns() -> Result<File, String> {
    let taken = File::create(TURNS).and_then(|file| {
        if file.try_lock().is_err() {
            eprintln!("another run of these tests has the labs; waiting for it");
            file.lock()?;
        }
        Ok(file)
    });
    taken.map_err(|error| format!("{TURNS}: {error}"))
}

/// Lines by host.
pub type Seen = BTreeMap<String, BTreeSet<String>>;

/// Fails with the lines that are on one side only.
#[track_caller]
pub fn assert_same(before: &Seen, after: &Seen) {
    let mut differences = String::new();
    for (host, before) in before {
        let after = &after[host];
        before.difference(after).for_each(|line| differences += &format!("\n{host} - {line}"));
        after.difference(before).for_each(|line| differences += &format!("\n{host} + {line}"));
    }
    assert!(differences.is_empty(), "hosts are not as before:{differences}");
}

/// Fails when two values differ, with what they are about.
#[track_caller]
pub fn assert_is<T: PartialEq<U> + Debug, U: Debug>(what: &str, found: T, expected: U) {
    assert!(found == expected, "{what} is {found:?}, expected {expected:?}");
}

impl Host {
    /// Runs a shell script on the host as root.
    pub fn output(&self, script: &str, input: &[u8]) -> Output {
        let leader = self.leader().unwrap_or_else(|| panic!("{} is off", self.name));
        let mut child = Command::new("nsenter")
            .args(["--target", &leader.to_string(), "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd"])
            .args(["/bin/sh", "-c", script])
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("nsenter runs");
        child.stdin.take().expect("it is piped").write_all(input).expect("the script takes its input");
        child.wait_with_output().expect("nsenter ends")
    }

    /// What the script prints; it must end with 0.
    #[track_caller]
    pub fn run(&self, script: &str) -> String {
        let output = self.output(script, b"");
        let said = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: `{script}` ended with {}: {said}\n{errors}", self.name, output.status);
        said
    }

    pub fn succeeds(&self, script: &str) -> bool {
        self.output(script, b"").status.success()
    }

    pub fn write(&self, path: &str, content: &str) {
        let script = format!("mkdir -p $(dirname {path}) && cat >{path}");
        assert!(self.output(&script, content.as_bytes()).status.success(), "{}: {path} is not written", self.name);
    }

    pub fn exists(&self, path: &str) -> bool {
        self.succeeds(&format!("[ -e {path} ] || [ -L {path} ]"))
    }

    /// One property of a unit.
    pub fn unit(&self, unit: &str, property: &str) -> String {
        self.run(&format!("systemctl show --value -p {property} -- '{unit}'"))
    }

    /// Whether a unit is `active` and `enabled`, or what else it is.
    pub fn state(&self, unit: &str) -> String {
        format!("{} {}", self.unit(unit, "ActiveState"), self.unit(unit, "UnitFileState")).trim_end().to_owned()
    }

    /// A file of the unit's main process in /proc, to the byte.
    pub fn of_process(&self, unit: &str, file: &str) -> Vec<Vec<u8>> {
        let process = self.unit(unit, "MainPID");
        let bytes = self.output(&format!("cat /proc/{process}/{file}"), b"").stdout;
        bytes.strip_suffix(b"\0").unwrap_or(&bytes).split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
    }

    /// What a service answers on its port, once it answers.
    pub fn asks(&self, port: u16, path: &str) -> String {
        let url = format!("http://127.0.0.1:{port}{path}");
        wait_for(&format!("{}: an answer of {url}", self.name), || {
            let output = self.output(&format!("curl -s --max-time 5 '{url}'"), b"");
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
        })
    }

    /// Status and body that nginx answers to a browser that asks for a domain.
    pub fn browse(&self, domain: &str, path: &str) -> (u16, String) {
        let script =
            format!("curl -s --max-time 5 -w '\\n%{{http_code}}' -H 'Host: {domain}' 'http://127.0.0.1{path}'");
        let answer = self.run(&script);
        let (body, status) = answer.rsplit_once('\n').expect("curl prints the status last");
        (status.parse().expect("it is a number"), body.trim_end().to_owned())
    }

    /// Status and headers that nginx answers, asked with more arguments for curl.
    pub fn head(&self, domain: &str, path: &str, arguments: &str) -> Head {
        let asked =
            format!("curl -s --max-time 5 -D - -o /dev/null -H 'Host: {domain}' {arguments} 'http://127.0.0.1{path}'");
        let answer = self.run(&asked);
        let mut lines = answer.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let headers = lines.filter_map(|line| line.trim_end().split_once(": "));
        Head {
            status: status.unwrap_or_else(|| panic!("`{asked}`: {answer}")),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        }
    }

    /// Runs a script now, and another one when the value is dropped.
    pub fn until_dropped(&self, now: &str, at_last: impl Into<String>) -> AtLast<'_> {
        self.run(now);
        AtLast { host: self, script: at_last.into() }
    }

    /// Until the value is dropped, who calls a program by its name runs this script, in which `$real` is the program.
    pub fn wraps(&self, program: &str, script: &str) -> AtLast<'_> {
        let now = format!(
            "real=$(command -v {program}) && {{ echo '#!/bin/sh'; echo \"real=$real\"; cat <<'END'
{script}
END
}} >/usr/local/sbin/{program} && chmod +x /usr/local/sbin/{program}"
        );
        self.until_dropped(&now, format!("rm /usr/local/sbin/{program}"))
    }

    /// Until the value is dropped nginx refuses its files, with these words, where it is about to be reloaded; while
    /// evenkeel plans it takes them.
    pub fn nginx_refuses(&self, words: &str) -> AtLast<'_> {
        self.wraps(
            "nginx",
            &format!("[ \"$1\" != -t ] || {{ echo 'nginx: [emerg] {words}'; exit 1; }}\nexec \"$real\" \"$@\""),
        )
    }

    /// The host's first process: the child of the program that keeps the container.
    pub fn leader(&self) -> Option<u32> {
        let directory = format!("--directory={}", self.root.display());
        let is_keeper = |pid: &u32| {
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.contains("systemd-nspawn") && line.split('\0').any(|word| word == directory)
        };
        let entries = fs::read_dir("/proc").ok()?;
        let keeper = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(is_keeper)?;
        fs::read_to_string(format!("/proc/{keeper}/task/{keeper}/children")).ok()?.split(' ').next()?.parse().ok()
    }
}

/// What an answer begins with.
pub struct Head {
    pub status: u16,
    headers: Vec<(String, String)>,
}

impl Head {
    /// The values of a header, in the order in which they came.
    pub fn all(&self, name: &str) -> Vec<String> {
        let named = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.clone()).collect()
    }

    pub fn get(&self, name: &str) -> Option<String> {
        self.all(name).into_iter().next()
    }
}

/// See [`Host::until_dropped`].
pub struct AtLast<'a> {
    host: &'a Host,
    script: String,
}

impl Drop for AtLast<'_> {
    fn drop(&mut self) {
        if !self.host.succeeds(&self.script) {
            eprintln!("{}: `{}` failed", self.host.name, self.script);
        }
    }
}

/// A host in trouble. Dropping it mends the host, also when the test fails.
pub struct Trouble<'a> {
    world: &'a World,
    mended_by: &'static str,
    host: &'static str,
}

impl Drop for Trouble<'_> {
    fn drop(&mut self) {
        if let Err(why) = self.world.evenkeel_lab(&[self.mended_by, self.host]) {
            eprintln!("{why}");
        }
    }
}
