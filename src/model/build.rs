//! Builds: how what is deployed is made of a source that is not taken as it is.
//!
//! Keeps true: a build's key covers what can change what comes out of it, and nothing else; so a longer
//! time limit builds nothing anew.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::{
    digest::Digest,
    quantity::{CpuShare, Span},
};

/// What is declared of a build.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Build {
    /// A line for the shell.
    pub run: String,
    /// The folder that it leaves what is deployed in, from the source's; empty is the source's folder itself.
    pub output: String,
    pub env: BTreeMap<String, String>,
    /// Whether it reaches other machines, through a proxy.
    pub network: bool,
    pub timeout: Span,
    /// In bytes.
    pub memory: u64,
    /// Of the processors; none: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuShare>,
}

/// The release that was made of each build, by the build's key.
pub type BuiltReleases = BTreeMap<Digest, BuiltRelease>;

/// What a deployment's record says of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct BuiltRelease {
    pub release: Digest,
    /// The source, in words.
    pub from: String,
    /// What the files that say what a virtual environment holds said, by their path in the release.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requirements: BTreeMap<String, Digest>,
}

impl Build {
    /// What it is kept by, given the digest of the files that it starts from. A change of what builds do at all
    /// changes the number.
    pub fn key(&self, source: &Digest) -> Digest {
        let network = if self.network { "network" } else { "no network" };
        let mut fields =
            vec!["build 1".to_owned(), source.to_string(), self.run.clone(), self.output.clone(), network.to_owned()];
        fields.extend(self.env.iter().flat_map(|(name, value)| [name.clone(), value.clone()]));
        Digest::of_fields(fields)
    }
}

impl Build {
    /// The output as people name it.
    pub fn output_name(&self) -> &str {
        if self.output.is_empty() { "." } else { &self.output }
    }
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.run.lines().next().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_build_is_another_when_anything_that_makes_it_is() {
        let source = Digest::of("source");
        let build = Build {
            run: "make".to_owned(),
            output: "out".to_owned(),
            env: BTreeMap::new(),
            network: true,
            timeout: Span(Duration::from_secs(60)),
            memory: 1 << 30,
            cpu: None,
        };
        let key = build.key(&source);
        let env = BTreeMap::from([("MODE".to_owned(), "fast".to_owned())]);
        for other in [
            Build { run: "make all".to_owned(), ..build.clone() },
            Build { output: "dist".to_owned(), ..build.clone() },
            Build { env, ..build.clone() },
            Build { network: false, ..build.clone() },
        ] {
            assert_ne!(other.key(&source), key, "{other:?}");
        }
        assert_ne!(build.key(&Digest::of("changed")), key);
        let patient =
            Build { timeout: Span(Duration::from_secs(600)), memory: 2 << 30, cpu: Some(CpuShare(50)), ..build };
        assert_eq!(patient.key(&source), key, "limits do not change what comes out");
    }
}
