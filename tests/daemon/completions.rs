//! `evenkeel completions`: what is written for shells is of their language, and completes.

use std::{io::Write as _, process::Command};

use crate::daemon::{EVENKEEL, assert_is};

fn said(arguments: &[&str]) -> String {
    let output = Command::new(EVENKEEL).args(arguments).output().expect("evenkeel runs");
    assert!(output.status.success(), "evenkeel {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it is UTF-8")
}

/// Every command, as the help lists them.
fn commands() -> Vec<String> {
    let help = said(&["--help"]);
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // What a command is for may go on in a line of its own, further in.
    let named = listed.filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')));
    named.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn completions_for_each_shell_know_every_command() {
    let commands = commands();
    assert!(commands.len() > 20, "{commands:?}");
    for (shell, has) in
        [("bash", "complete -F _evenkeel"), ("zsh", "#compdef evenkeel"), ("fish", "complete -c evenkeel")]
    {
        let script = said(&["completions", shell]);
        assert!(script.contains(has), "{shell}: {script}");
        for command in &commands {
            assert!(script.contains(command), "{shell} does not know {command}");
        }
    }
}

#[test]
fn bash_completes_a_command_and_its_flag() {
    let script = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    script.as_file().write_all(said(&["completions", "bash"]).as_bytes()).expect("it can be written");
    let checked = Command::new("bash").arg("-n").arg(script.path()).output().expect("bash runs");
    let complaints = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert_is("what bash complains of", (checked.status.success(), complaints.as_str()), (true, ""));

    let completed = |words: &str, word: &str, before: &str| {
        let ask = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _evenkeel evenkeel {word} \
             {before}; echo \"${{COMPREPLY[@]}}\"",
            script.path().display()
        );
        let output = Command::new("bash").args(["-c", &ask]).output().expect("bash runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    assert_is("what `evenkeel pl` becomes", completed("evenkeel pl", "pl", "evenkeel").as_str(), "plan");
    assert_is("a flag of plan", completed("evenkeel plan --det", "--det", "plan").as_str(), "--detailed-exitcode");
}
