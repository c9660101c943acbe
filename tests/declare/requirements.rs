//! Files of requirements against the pip of this machine: what is read of them is what pip reads.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use evenkeel::model::{
    budget::Budget,
    requirements::{self, Line, Unreadable},
};

use crate::dice::Dice;

/// What pip keeps of a value as it is written; of the others it makes sets or checks them.
const COMPARED: [&str; 11] = [
    "--requirement",
    "--constraint",
    "--editable",
    "--index-url",
    "--extra-index-url",
    "--find-links",
    "--no-index",
    "--prefer-binary",
    "--require-hashes",
    "--pre",
    "--trusted-host",
];

const PIECES: [&str; 44] = [
    "a",
    "b",
    "a==1",
    "b[x]>=2",
    "./a",
    ".",
    "/etc/passwd",
    "a.whl",
    "a.tgz",
    " ",
    " ",
    " ",
    "\n",
    "\n",
    "\n",
    "\\\n",
    "\\\n",
    "\\",
    "#",
    " # ",
    "-r ",
    "-r",
    "-c ",
    "--requirement=",
    "--req ",
    "-e ",
    "--editable ",
    "-i ",
    "--index-url=",
    "-f ",
    "--pre",
    "--hash=sha256:00",
    "file:",
    "file:///srv/a",
    "https://h/a.whl",
    " @ ",
    "git+",
    ";",
    "'",
    "\"",
    "\t",
    "\u{2028}",
    "${HOME}",
    "b.txt",
];

fn texts() -> Vec<String> {
    let mut dice = Dice::new(12);
    let random = (0..3_000).map(|_| (0..dice.below(9)).map(|_| *dice.pick(&PIECES)).collect::<String>());
    let mut texts: Vec<String> = random.collect();
    let given = [
        "-r fi\\\nle:///etc/a",
        "./\\\na",
        "a \\\n  # c\nb",
        "# \\\na",
        "a\\ \nb",
        "-i file:///srv/simple",
        "--pypi-url x",
        "a @ https://h/a-1-py3-none-any.whl",
        "a@ file:///srv/a",
        "-e git+https://h/a#egg=a",
        "-e a",
        "-e a @ git+https://h/a",
        "A.WHL",
        "C:a",
        "a.tar.xz[x]",
        "a; python_version > '3'",
        "git+https://git@h/a.git@v1",
        "-r b.txt -r c.txt",
        "--find-links simple",
        "-- -r b.txt",
        "a\r\nb\rc",
        "a\u{b}b\u{1c}c\u{85}d",
        "\u{1f}a\u{1f}#b",
        "-r\u{a0}b.txt",
        "-r \"a\\b\\\"\\\\\"",
        "--trusted-host h --no-index",
        "-rb.txt",
        "-r=b.txt",
        "--requirement",
        "--pre=1",
        "- a -r b.txt",
    ];
    texts.extend(given.map(str::to_owned));
    texts
}

/// What pip makes of each text; None where this machine has none.
fn pip(texts: &[String]) -> Option<Vec<serde_json::Value>> {
    let asked = Command::new("python3")
        .args(["-c", "from pip._internal.req.req_file import get_line_parser, preprocess"])
        .stderr(Stdio::null())
        .status();
    asked.ok().filter(|status| status.success())?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/declare/read_by_pip.py");
    let mut started = Command::new("python3");
    let mut child = started
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("python3");
    let input = serde_json::to_vec(texts).expect("JSON");
    child.stdin.take().expect("a pipe").write_all(&input).expect("it reads all");
    let output = child.wait_with_output().expect("it ends").stdout;
    Some(serde_json::from_slice(&output).expect("JSON"))
}

/// A line as `read_by_pip.py` tells one.
fn told(line: &Line) -> serde_json::Value {
    let mut options = serde_json::Map::new();
    for (name, value) in line.options.iter().filter(|(name, _)| COMPARED.contains(name)) {
        let is_single =
            matches!(*name, "--index-url" | "--no-index" | "--prefer-binary" | "--require-hashes" | "--pre");
        match options.get_mut(*name).and_then(|values| values.as_array_mut()).filter(|_| !is_single) {
            Some(values) => values.push(value.as_str().into()),
            None if value.is_empty() && *name == "--index-url" => drop(options.remove(*name)),
            None => drop(options.insert((*name).to_owned(), vec![value.as_str()].into())),
        }
    }
    serde_json::json!([line.number, line.requirement, options])
}

#[test]
fn what_is_read_of_requirements_is_what_pip_reads() {
    let texts = texts();
    let Some(by_pip) = pip(&texts) else {
        return println!("not compared: python3 with pip is not on this machine");
    };
    assert_eq!(by_pip.len(), texts.len());
    let (mut compared, mut taken) = (0, 0);
    for (text, by_pip) in texts.iter().zip(&by_pip) {
        let read: Result<Vec<Line>, Unreadable> = requirements::lines(text).collect();
        // What is refused here may be read by pip: what a shortened option stands for depends on its version.
        let Ok(read) = read else { continue };
        compared += 1;
        let ours: Vec<_> = read.iter().map(told).collect();
        assert_eq!(serde_json::Value::from(ours), by_pip[0], "{text:?}");
        // Nothing that is taken leads pip to what lies on the host.
        let source = |path: &str| match path {
            "requirements.txt" => Some(text.as_bytes()),
            "b.txt" => Some(&b""[..]),
            _ => None,
        };
        let is_taken = requirements::digest("requirements.txt", &source, &Budget::STANDARD).is_ok();
        if let (true, Some(links)) = (is_taken, by_pip[1].as_array()) {
            taken += 1;
            let is_local = |link: &&str| link.split("://").next().is_some_and(|scheme| scheme.ends_with("file"));
            let local = links.iter().filter_map(|link| link.as_str()).find(is_local);
            assert_eq!(local, None, "{text:?}");
        }
    }
    assert!(compared > 1_000 && taken > 100, "{compared} compared, {taken} taken");
}
