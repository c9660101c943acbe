//! The fleets that are measured: the example, and a large one that exists nowhere.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use evenkeel::model::tree::{Entry, Tree};
use tempfile::TempDir;

use super::{Result, read};

/// The example fleet. Its frontend is taken as it is: what building takes is npm's time, and a lab's network leads
/// nowhere.
pub fn example() -> PathBuf {
    static COPY: LazyLock<TempDir> = LazyLock::new(|| copy().expect("the example can be copied"));
    COPY.path().join("fleet")
}

fn copy() -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("fleet");
    let copied = Command::new("cp").arg("-a").arg(from).arg(folder.path()).status()?;
    if !copied.success() {
        return Err("cp does not copy the example".into());
    }
    for site in fs::read_dir(folder.path().join("fleet/sites"))? {
        let path = site?.path();
        let text = read(&path)?;
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("build:"));
        fs::write(&path, lines.flat_map(|line| [line, "\n"]).collect::<String>())?;
    }
    Ok(folder)
}

/// A hundred instances with ten services each, written as people write them: environment, references,
/// limits, health, order; and a site on every tenth.
pub fn thousand_services() -> Tree {
    let mut tree = Tree::default();
    let mut add = |path: String, text: String| {
        let entry = Entry::File { content: text.into_bytes().into(), executable: false };
        tree.insert(&format!("fleet/{path}"), entry).expect("a plain path");
    };
    let fleet = "name: large\nssh: {user: ubuntu}\ndefaults: {user: ubuntu, health: {interval: 1s, retries: 5}}\n";
    add("fleet.yaml".to_owned(), fleet.to_owned());
    add("environments/production.yaml".to_owned(), "branch: main\n".to_owned());
    for source in 0..20 {
        add(format!("code/s{source}/server.py"), format!("print({source})\n"));
    }
    add("web/index.html".to_owned(), "<!doctype html>\n".to_owned());
    for instance in 0..100 {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
        let text = format!(
            "environment: production\naddress: 10.1.0.{instance}\nhost_key: {key}\nports: 8100-8199\n\
             labels: {{role: r{}}}\npackages: [nginx-light]\n",
            instance % 7
        );
        add(format!("instances/host-{instance}.yaml"), text);
        for k in 0..10 {
            let number = instance * 10 + k;
            let mut text = format!(
                "description: Service {number}\nsource: {{path: code/s{}}}\n\
                 run: {{exec: /usr/bin/python3 server.py --number {number}}}\nplace: {{on: [host-{instance}]}}\n\
                 port: {}\nresources: {{memory: 512M, cpu: 100%}}\nhealth: {{http: /health}}\n\
                 env:\n  ENVIRONMENT: production\n  LOG_LEVEL: info\n  WORKERS: \"4\"\n",
                number % 20,
                8100 + k
            );
            if number > 0 {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "  PEER_URL: \"${{service.service-{}.url}}\"", number - 1);
                let _ = writeln!(text, "after: [service-{}]", number - 1);
            }
            add(format!("services/service-{number}.yaml"), text);
        }
        if instance % 10 == 0 {
            let text = format!(
                "domain: site{instance}.example.org\non: [host-{instance}]\nfrontend: {{source: {{path: web}}}}\n\
                 routes:\n  /api/: {{service: service-{}}}\n",
                instance * 10
            );
            add(format!("sites/site-{instance}.yaml"), text);
        }
    }
    tree
}
