//! The controller's own file of credentials: what lets sources in, and what they may reach.

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

use crate::{declare::de::At, model::name::CredentialName};

/// The key that is no credential's name.
const REACH: &str = "reach";

/// What lets sources in, by name, and what they may reach. Kept on the machine that runs evenkeel, never in git.
#[derive(Debug, Clone, Default)]
pub struct CredentialsFile {
    pub credentials: BTreeMap<CredentialName, CredentialKeys>,
    pub reach: Vec<At<String>>,
}

/// A file that lets a source in (exactly one of `token_file`, `ssh_key` and `netrc`), and the addresses it is for.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Credential")]
#[schemars(extend("oneOf" = [{"required": ["token_file"]}, {"required": ["ssh_key"]}, {"required": ["netrc"]}]))]
pub struct CredentialKeys {
    /// For https: a file that holds a token, on one line. A path that is not absolute begins beside this file.
    pub token_file: Option<At<String>>,
    /// For ssh: a private key, of any kind but RSA.
    pub ssh_key: Option<At<String>>,
    /// For https: a file with logins by host, in the format of `.netrc`.
    pub netrc: Option<At<String>>,
    /// The addresses that it goes to, and to no other: each one address, or with `/*` at its end all below it.
    #[serde(rename = "for")]
    pub addresses: Vec<At<String>>,
}

impl<'de> Deserialize<'de> for CredentialsFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FileVisitor;

        impl<'de> Visitor<'de> for FileVisitor {
            type Value = CredentialsFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("credentials by name, and `reach`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<CredentialsFile, A::Error> {
                let mut read = CredentialsFile::default();
                while let Some(key) = map.next_key::<String>()? {
                    if key == REACH {
                        read.reach = map.next_value()?;
                    } else if key.starts_with("x-") {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        let name = key.parse().map_err(serde::de::Error::custom)?;
                        read.credentials.insert(name, map.next_value()?);
                    }
                }
                Ok(read)
            }
        }

        deserializer.deserialize_map(FileVisitor)
    }
}

impl JsonSchema for CredentialsFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Credentials".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let credential = generator.subschema_for::<CredentialKeys>();
        schemars::json_schema!({
            "type": "object",
            "description": "What lets sources in, by name, and what they may reach. Kept on the machine that runs \
                            evenkeel, never in git.",
            "properties": {
                REACH: {
                    "type": "array",
                    "items": {"type": "string"},
                    "description": "What any source may reach besides public addresses over https and ssh: files \
                                    (`file:///srv/mirrors/*`), plain http, private networks. Each one address, or \
                                    with `/*` at its end all below it."
                }
            },
            "patternProperties": {"^x-": true},
            "propertyNames": {
                "pattern": "^[a-z][a-z0-9_-]{0,62}$",
                "description": "A name: 1 to 63 lower-case letters, digits, `_` and `-`, beginning with a letter."
            },
            "additionalProperties": credential
        })
    }
}
