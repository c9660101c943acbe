//! The scripts that hosts run, as they travel: without their comments, which stay for who reads them here.

/// The text of `scripts/NAME`.
macro_rules! script {
    ($name:literal) => {
        $crate::host::scripts::lean(include_str!(concat!("scripts/", $name)))
    };
}
pub(super) use script;

/// A line that is a comment is one wherever it stands: no text in our scripts has such a line.
pub(super) fn lean(script: &str) -> String {
    let lines = script.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.flat_map(|line| [line, "\n"]).collect()
}
