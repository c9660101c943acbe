//! What a finding is about: a closed list of codes, each with its name and its meaning.
//!
//! Owns: the one table of codes. Keeps true: a name is stable, because people grep and silence by it; a code is never
//! renamed and never means anything else. Never does: wording a finding; whoever finds it knows what to say.

use std::{borrow::Cow, cmp::Ordering, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

macro_rules! codes {
    ($($(#[$about:meta])+ $part:ident { $(#[doc = $meaning:literal] $code:ident = $name:literal;)+ })+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[doc = $meaning] $code,)+)+
        }

        impl Code {
            pub const ALL: &[Self] = &[$($(Self::$code),+),+];

            $($(#[$about])+ pub const $part: &[Self] = &[$(Self::$code),+];)+

            pub const fn as_str(self) -> &'static str {
                match self {
                    $($(Self::$code => $name,)+)+
                }
            }

            pub const fn meaning(self) -> &'static str {
                match self {
                    $($(Self::$code => $meaning.trim_ascii(),)+)+
                }
            }
        }
    };
}

codes! {
    /// Of the declared fleet.
    FLEET {
        /// A file of the fleet is larger than any needs to be.
        FileTooLarge = "file-too-large";
        /// A file is not UTF-8 text.
        NotUtf8 = "not-utf8";
        /// A file is not YAML.
        YamlSyntax = "yaml-syntax";
        /// YAML is valid but not accepted: tags, several documents, keys that are not text, deep nesting.
        YamlUnsupported = "yaml-unsupported";
        /// YAML aliases multiply a file beyond the limit.
        YamlAliases = "yaml-aliases";
        /// There are more findings than are shown.
        MoreFindings = "more-findings";
        /// The fleet folder has more files, or more in them, than is read.
        FleetTooLarge = "fleet-too-large";
        /// Services, sites and instances multiply beyond the limit.
        TooMuchWork = "too-much-work";
        /// A list has more patterns than are accepted.
        TooManyPatterns = "too-many-patterns";
        /// A mapping has one key twice.
        DuplicateKey = "duplicate-key";
        /// A key does not exist in this kind of file.
        UnknownKey = "unknown-key";
        /// A required key is missing.
        MissingKey = "missing-key";
        /// A value has another type than its key takes.
        WrongType = "wrong-type";
        /// Exactly one of several keys is needed.
        OneOf = "one-of";
        /// A key does not take this value.
        InvalidValue = "invalid-value";
        /// A part of the fleet was not checked, because a file cannot be read.
        NotChecked = "not-checked";
        /// The fleet folder has no fleet.yaml.
        MissingFleetFile = "missing-fleet-file";
        /// A line of `history_writers` is not a public key.
        InvalidHistoryWriter = "invalid-history-writer";
        /// The fleet lists no `history_writers`: whoever may push to the history decides what is deployed of what was merged.
        NoHistoryWriters = "no-history-writers";
        /// The fleet has no environment.
        NoEnvironment = "no-environment";
        /// A file name is not a valid name.
        InvalidName = "invalid-name";
        /// Two files declare one name.
        NameTwice = "name-twice";
        /// A file in the fleet folder is not read.
        UnexpectedFile = "unexpected-file";
        /// A symbolic link leads out of its folder or nowhere.
        Symlink = "symlink";
        /// A git submodule is never followed.
        Submodule = "submodule";
        /// A source folder does not exist.
        MissingSource = "missing-source";
        /// The keys of a source do not make one source together.
        SourceKeys = "source-keys";
        /// An archive depends on the processor, and has none for an instance.
        MissingArch = "missing-arch";
        /// An environment is not declared.
        UnknownEnvironment = "unknown-environment";
        /// An instance is not declared.
        UnknownInstance = "unknown-instance";
        /// A service is not declared.
        UnknownService = "unknown-service";
        /// A site is not declared.
        UnknownSite = "unknown-site";
        /// No instance has this label, or this value of it.
        UnknownLabel = "unknown-label";
        /// A placement matches no instance in any environment.
        PlacedNowhere = "placed-nowhere";
        /// Fewer instances match than replicas are declared.
        TooFewInstances = "too-few-instances";
        /// A service that another needs runs nowhere in this environment.
        NotPlaced = "not-placed";
        /// Two programs have one port on one instance.
        PortTaken = "port-taken";
        /// A port is outside the range of its instance.
        PortOutsideRange = "port-outside-range";
        /// Something other than a service listens on the port.
        PortReserved = "port-reserved";
        /// No user is declared to run the service.
        MissingUser = "missing-user";
        /// A command cannot be run as it is written.
        InvalidCommand = "invalid-command";
        /// evenkeel sets this variable itself.
        ReservedVariable = "reserved-variable";
        /// A control character stands where it must not.
        ControlCharacter = "control-character";
        /// A `${…}` is not a reference.
        MalformedReference = "malformed-reference";
        /// A reference to a service with several replicas names no instance.
        AmbiguousReference = "ambiguous-reference";
        /// Services refer to each other in a circle.
        ReferenceCycle = "reference-cycle";
        /// Services each wait for another to start.
        AfterCycle = "after-cycle";
        /// A value has the literal address of a declared instance, where a reference belongs.
        LiteralAddress = "literal-address";
        /// A file of requirements does not determine a virtual environment.
        Requirements = "requirements";
        /// Two routes answer for one path of a site.
        RouteTaken = "route-taken";
        /// nginx works this header out for each answer.
        ReservedHeader = "reserved-header";
        /// A site with `tls` answers to any name: plain HTTP would redirect to any name that a request gives.
        CatchAllTls = "catch-all-tls";
        /// A route leads to a replica that the instance of the site cannot reach.
        UnreachableUpstream = "unreachable-upstream";
        /// Two sites have one domain on one instance.
        DomainTaken = "domain-taken";
        /// A site serves nothing.
        EmptySite = "empty-site";
        /// Two instances have one address, reached the same way.
        DuplicateAddress = "duplicate-address";
        /// An instance has no pinned host key: nothing connects to it.
        MissingHostKey = "missing-host-key";
        /// A host key is not `ALGORITHM BASE64`.
        InvalidHostKey = "invalid-host-key";
        /// An instance is reached through itself.
        OwnJumpHost = "own-jump-host";
        /// A key means nothing without another one.
        WithoutEffect = "without-effect";
        /// A service with one replica cannot change a few replicas at a time.
        OneReplica = "one-replica";
        /// A rollout may take away all replicas of a service at once.
        NoneLeft = "none-left";
        /// A service with two copies binds a port that is written out, which both of them cannot have.
        LiteralPort = "literal-port";
        /// A service with two copies says nothing of when the new one is healthy.
        NoHealth = "no-health";
        /// Two copies of a service write to one state for a while.
        SharedState = "shared-state";
        /// Two copies of a service have no two ports of their own.
        NoPrivatePorts = "no-private-ports";
        /// A window is too short to deploy in.
        ShortWindow = "short-window";
        /// No deployment may begin for more than a year.
        NeverOpen = "never-open";
        /// `replaces` names a unit of evenkeel's own.
        ReplacesOwnUnit = "replaces-own-unit";
        /// `replaces`, or a grant of it, names a unit that keeps a host running or reachable.
        KeptUnit = "kept-unit";
        /// A user, file, unit or package is neither safe by itself nor listed in `allow`.
        NotGranted = "not-granted";
    }

    /// Of a proposal, beside its base.
    PROPOSAL {
        /// A proposal declares an instance that its base does not: it is not looked at.
        NewInstance = "new-instance";
        /// A proposal reaches an instance in another way than its base: it is looked at as the base reaches it.
        InstanceReachedOtherwise = "instance-reached-otherwise";
        /// A proposal no longer declares an instance: what runs there stays.
        InstanceLetGo = "instance-let-go";
        /// A proposal changes what services may use on hosts: the grants of its base count until it is merged.
        GrantsChanged = "grants-changed";
    }

    /// Of a plan: what is desired, beside what is live.
    PLAN {
        /// A release is built only when it is deployed: its digest is a placeholder.
        NotBuilt = "not-built";
        /// A release lies elsewhere and was not fetched for this plan.
        NotFetched = "not-fetched";
        /// Processes of units are confined on an instance, so that evenkeel sees less than it needs.
        UnitsConfined = "units-confined";
        /// A deployment was begun on the instance, and is neither finished nor undone.
        Unfinished = "unfinished";
        /// Another deployment is running on the instance.
        DeploymentRunning = "deployment-running";
        /// The instance lacks the user as whom a service runs.
        NoUser = "no-user";
        /// A program that a service starts is not on the instance.
        NoProgram = "no-program";
        /// The instance lacks the Python that a virtual environment is made with.
        NoPython = "no-python";
        /// An environment file that a service reads is not on the instance.
        NoEnvFile = "no-env-file";
        /// A symbolic link stands in the place of a state folder: systemd does not start the unit with it.
        StateIsLink = "state-is-link";
        /// A path is taken by a file that evenkeel did not make.
        ForeignFile = "foreign-file";
        /// dpkg was interrupted on the instance: apt installs nothing.
        DpkgInterrupted = "dpkg-interrupted";
        /// dpkg left packages half-way.
        HalfInstalled = "half-installed";
        /// apt cannot install a package from its lists as they are.
        NotInstallable = "not-installable";
        /// A unit is changed by a file that evenkeel did not write.
        UnitChanged = "unit-changed";
        /// The unit that carries deployments out is changed by a file that evenkeel did not write.
        OwnUnitChanged = "own-unit-changed";
        /// A site needs nginx, and the instance lacks it.
        NoNginx = "no-nginx";
        /// nginx's unit is masked.
        NginxMasked = "nginx-masked";
        /// nginx refuses its configuration, for a reason that evenkeel did not write.
        NginxBroken = "nginx-broken";
        /// The folder that nginx logs to is not there.
        NoLogFolder = "no-log-folder";
        /// nginx does not read /etc/nginx/conf.d/*.conf, where evenkeel writes its sites.
        ConfDNotIncluded = "conf.d-not-included";
        /// Another server block has the name of a site.
        SameName = "same-name";
        /// nginx answers for a site with something else.
        SiteNotServed = "site-not-served";
        /// A certificate or its key is not on the instance.
        NoCertificate = "no-certificate";
        /// A certificate or its key cannot be read.
        UnreadableCertificate = "unreadable-certificate";
        /// A certificate could not be checked.
        UncheckedCertificate = "unchecked-certificate";
        /// A key does not belong to its certificate.
        WrongKey = "wrong-key";
        /// A certificate does not name the domain of its site.
        CertificateNames = "certificate-names";
        /// A certificate ends soon.
        CertificateEnds = "certificate-ends";
        /// A certificate has ended.
        EndedCertificate = "ended-certificate";
        /// A live difference that no commit asked for.
        Drift = "drift";
    }
}

impl Code {
    /// Whether it says that a name is not known.
    pub const fn is_unknown_name(self) -> bool {
        matches!(
            self,
            Self::UnknownKey
                | Self::UnknownEnvironment
                | Self::UnknownInstance
                | Self::UnknownService
                | Self::UnknownSite
                | Self::UnknownLabel
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no code `{0}`")]
pub struct UnknownCode(String);

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(name: &str) -> Result<Self, UnknownCode> {
        Self::ALL.iter().copied().find(|code| code.as_str() == name).ok_or_else(|| UnknownCode(name.to_owned()))
    }
}

/// By name, so that findings at one place stay in their order when the table grows.
impl Ord for Code {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl PartialOrd for Code {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Code {
    fn schema_name() -> Cow<'static, str> {
        "Code".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let codes: Vec<Schema> = Self::ALL
            .iter()
            .map(|code| json_schema!({"const": code.as_str(), "description": code.meaning()}))
            .collect();
        json_schema!({"oneOf": codes})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_a_name_of_its_own_that_reads_back() {
        for code in Code::ALL {
            // `conf.d-not-included` has the folder's name in it.
            let name = code.as_str().replacen("conf.d", "confd", 1);
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{name}");
            assert_eq!(code.as_str().parse(), Ok(*code));
            assert_eq!(serde_json::from_value::<Code>(serde_json::json!(code)).ok(), Some(*code));
        }
        assert_eq!("odd".parse::<Code>(), Err(UnknownCode("odd".to_owned())));
    }

    #[test]
    fn each_code_means_one_sentence() {
        for code in Code::ALL {
            assert!(code.meaning().ends_with('.') && code.meaning().len() > 10, "{code}: {}", code.meaning());
        }
    }

    #[test]
    fn a_code_says_that_a_name_is_not_known_if_its_own_name_does() {
        for code in Code::ALL {
            assert_eq!(code.is_unknown_name(), code.as_str().starts_with("unknown-"), "{code}");
        }
    }
}
