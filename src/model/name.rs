//! Names: of the fleet, environments, instances, services and sites.
//!
//! Keeps true: a name is safe in a file name, a systemd unit name, an nginx identifier and a git ref,
//! because it is one to 63 lower-case letters, digits, `_` and (but for the fleet's) `-`, and begins
//! with a letter.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not a {kind} name: {rule}")]
pub struct InvalidName {
    pub kind: &'static str,
    pub text: String,
    pub rule: &'static str,
}

const RULE: &str = "use 1 to 63 lower-case letters, digits, `_` and `-`, beginning with a letter";
const FLEET_RULE: &str = "use 1 to 31 lower-case letters, digits and `_`, beginning with a letter (a hyphen would make unit names ambiguous)";

fn is_name(text: &str, longest: usize, hyphen: bool) -> bool {
    let mut bytes = text.bytes();
    text.len() <= longest
        && bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || (hyphen && b == b'-'))
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $longest:literal, $hyphen:literal, $rule:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub const KIND: &'static str = $kind;

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                if is_name(text, $longest, $hyphen) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidName { kind: $kind, text: text.to_owned(), rule: $rule })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// The whole fleet's name: the prefix of everything evenkeel makes on a host.
    FleetName, "fleet", 31, false, FLEET_RULE
);
name!(EnvironmentName, "environment", 63, true, RULE);
name!(InstanceName, "instance", 63, true, RULE);
name!(ServiceName, "service", 63, true, RULE);
name!(SiteName, "site", 63, true, RULE);
name!(
    /// What lets a source in, by the name that the controller's operator gave it.
    CredentialName, "credential", 63, true, RULE
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_everywhere_they_are_used() {
        for good in ["a", "gong_mcp", "ai-core", "h1"] {
            assert!(good.parse::<ServiceName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "1a", "A", "a b", "a/b", "a@1", "a.b", "é", &"a".repeat(64)] {
            assert!(bad.parse::<ServiceName>().is_err(), "{bad}");
        }
        assert!("so-phia".parse::<FleetName>().is_err(), "a fleet has no hyphen");
    }
}
