//! What evenkeel said: a command that has ended, and a plan.

use std::process::{Child, Output};

use serde_json::Value;

/// A command that has ended.
pub struct Ran {
    command: String,
    pub code: Option<i32>,
    pub said: String,
    pub errors: String,
}

/// A command that runs beside the test.
pub struct Begun {
    pub command: String,
    pub child: Child,
}

impl Begun {
    /// As by SIGKILL, and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("it can be killed");
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is ours").is_none()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn ends_with(self, code: i32) -> Ran {
        Ran::of(&self.command, self.child.wait_with_output().expect("it can be waited for")).ends_with(code)
    }
}

impl Ran {
    pub fn of(command: &str, output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (said, errors) = (text(output.stdout), text(output.stderr));
        if std::env::var_os("SHOW").is_some() {
            eprintln!("$ evenkeel {command}\n{said}{errors}");
        }
        Self { command: command.to_owned(), code: output.status.code(), said, errors }
    }

    /// Fails, with all that was said, when it exited with another code.
    #[track_caller]
    pub fn ends_with(self, code: i32) -> Self {
        let (command, found) = (&self.command, self.code);
        let (said, errors) = (last_lines(&self.said), last_lines(&self.errors));
        assert!(found == Some(code), "{command}: exit {found:?}, expected {code}\n{said}\n{errors}");
        self
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(25)..].join("\n")
}

/// A plan as JSON.
pub struct Plan {
    pub code: i32,
    pub json: Value,
}

impl Plan {
    /// `INSTANCE ACTION SUBJECT`, in order.
    pub fn changes(&self) -> Vec<String> {
        self.steps()
            .iter()
            .map(|step| format!("{} {} {}", text(step, "instance"), text(step, "action"), text(step, "subject")))
            .collect()
    }

    pub fn steps(&self) -> &[Value] {
        self.json["steps"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// The phase of a change.
    #[track_caller]
    pub fn phase(&self, change: &str) -> u64 {
        let at = self.changes().iter().position(|other| other == change);
        let at = at.unwrap_or_else(|| panic!("`{change}` is not planned; planned is {:#?}", self.changes()));
        self.steps()[at]["phase"].as_u64().expect("a phase is a number")
    }

    /// What the findings of a kind say, each with its instance in front.
    pub fn findings(&self, code: &str) -> Vec<String> {
        let findings = self.json["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
        let of_kind = findings.iter().filter(|finding| finding["code"] == code);
        of_kind.map(|finding| format!("{}: {}", text(finding, "instance"), text(finding, "message"))).collect()
    }

    /// What is known of an instance, and why nothing is.
    pub fn instance(&self, name: &str) -> (String, String) {
        let instances = self.json["instances"].as_array().map(Vec::as_slice).unwrap_or_default();
        let found = instances.iter().find(|instance| instance["name"] == name).expect("it is in the plan");
        (text(found, "state").to_owned(), text(found, "why").to_owned())
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}
