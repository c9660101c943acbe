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

    use proptest::prelude::*;

    use super::*;

    fn read_back(value: &str) -> String {
        let script = format!("{}printf %s. \"$x\"; printf %s {}", assign("x", value), word(value));
        String::from_utf8(Command::new("sh").arg("-c").arg(script).output().unwrap().stdout).unwrap()
    }

    #[test]
    fn a_shell_reads_back_the_same_bytes() {
        for value in ["", "a b", "$HOME `id` $(id)", "it's", "'\\''", "a\nb\t\"c\"", "%s \\n * ? [ ~ #", "é…"] {
            assert_eq!(read_back(value), format!("{value}.{value}"));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_shell_reads_back_whatever_it_is(value in "[^\0]{0,24}|['\"\\\\$`\n !#-]{0,12}") {
            prop_assert_eq!(read_back(&value), format!("{value}.{value}"));
        }
    }
}
