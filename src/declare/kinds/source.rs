//! `source` of services and of sites' frontends: where a release's files come from.

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{Arch, ArchiveUrl, BuildKeys, Credential, GitUrl, RevisionName, Sha256};
use crate::declare::de::At;

/// Where a release's files come from: a folder of this repository (`path` alone), a folder of another one
/// (`git`), or an archive.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Source")]
pub struct SourceKeys {
    /// A folder. Of this repository: relative to the fleet folder, or to the repository's root when it begins
    /// with `/`. With `git` or `archive`: the folder in there, its root if not given.
    pub path: Option<At<String>>,
    /// Another git repository.
    pub git: Option<At<GitUrl>>,
    /// With `git`: a branch, a tag, or all 40 digits of a commit; the default branch if not given.
    pub rev: Option<At<RevisionName>>,
    /// A tree in a file, `tar` compressed with gzip or zstd. Or one for each processor.
    pub archive: Option<At<Archive>>,
    /// With the address of an archive: its digest, as `sha256sum` prints it.
    pub sha256: Option<At<Sha256>>,
    /// What of it does not travel, or with `build` what the build does not see: patterns as in a .gitignore.
    #[serde(default)]
    pub exclude: Vec<At<String>>,
    /// What lets evenkeel in there, by the name that the file given with `--credentials` has for it.
    pub credentials: Option<At<Credential>>,
    /// How what is deployed is made of it; its files are taken as they are if not given.
    pub build: Option<At<BuildKeys>>,
}

/// One archive for all instances, or one for each processor.
#[derive(Debug, Clone)]
pub enum Archive {
    One(ArchiveUrl),
    ByArch(BTreeMap<Arch, ArchiveOfArch>),
}

/// The archive for one processor.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArchiveOfArch {
    /// Its address.
    pub url: ArchiveUrl,
    /// Its digest, as `sha256sum` prints it.
    pub sha256: Sha256,
}

/// The processors by name: what the schema has passed holds no other key but for `x-…`.
#[derive(Deserialize)]
struct ByArch {
    x86_64: Option<ArchiveOfArch>,
    aarch64: Option<ArchiveOfArch>,
}

impl<'de> Deserialize<'de> for Archive {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ArchiveVisitor;

        impl<'de> Visitor<'de> for ArchiveVisitor {
            type Value = Archive;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the address of an archive, or one for each processor")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Archive, E> {
                let url = serde::de::value::StrDeserializer::new(text);
                Ok(Archive::One(ArchiveUrl::deserialize(url)?))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Archive, A::Error> {
                let read = ByArch::deserialize(MapAccessDeserializer::new(map))?;
                let named = [(Arch::X86_64, read.x86_64), (Arch::Aarch64, read.aarch64)];
                Ok(Archive::ByArch(named.into_iter().filter_map(|(arch, of)| Some((arch, of?))).collect()))
            }
        }

        deserializer.deserialize_any(ArchiveVisitor)
    }
}

impl JsonSchema for Archive {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Archive".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let of = generator.subschema_for::<ArchiveOfArch>();
        let mut schema = ArchiveUrl::json_schema(generator);
        // The pattern is about a text, the properties are about a mapping: neither disturbs the other.
        schema.insert("type".to_owned(), serde_json::json!(["string", "object"]));
        schema.insert("properties".to_owned(), serde_json::json!({"x86_64": of, "aarch64": of}));
        schema.insert("additionalProperties".to_owned(), false.into());
        schema
    }
}
