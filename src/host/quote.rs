//! Values into POSIX shell text. The only place where that happens.

/// One word: single-quoted, so that the shell reads nothing in it. The caller has no NUL in it.
pub(super) fn word(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// An assignment of a constant name.
pub(super) fn assign(name: &'static str, value: &str) -> String {
    format!("{name}={}\n", word(value))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_reads_back_the_same_bytes() {
        for value in ["", "a b", "$HOME `id` $(id)", "it's", "'\\''", "a\nb\t\"c\"", "%s \\n * ? [ ~ #", "é…"] {
            let output = Command::new("sh").arg("-c").arg(format!("printf %s {}", word(value))).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), value);
        }
    }
}
