//! Every code a finding about the declared fleet can have. Codes are stable: people grep and silence by
//! them, so one is never renamed or given another meaning.

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal;)+) => {
        $($(#[doc = $doc])+ pub const $name: &str = $code;)+

        /// Each code with what it means.
        pub const ALL: &[(&str, &str)] = &[$(($code, concat!($($doc),+).trim_ascii_start())),+];
    };
}

codes! {
    /// A file is larger than any fleet file needs to be.
    FILE_TOO_LARGE = "file-too-large";
    /// A file is not UTF-8 text.
    NOT_UTF8 = "not-utf8";
    /// A file is not YAML.
    YAML_SYNTAX = "yaml-syntax";
    /// YAML that is valid but not taken: tags, several documents, keys that are not text, deep nesting.
    YAML_UNSUPPORTED = "yaml-unsupported";
    /// Aliases multiply a file beyond measure.
    YAML_ALIASES = "yaml-aliases";
    /// More findings than are shown.
    MORE_FINDINGS = "more-findings";
    /// A fleet folder with more files, or more in them, than is read.
    FLEET_TOO_LARGE = "fleet-too-large";
    /// Services, sites and instances that multiply beyond measure.
    TOO_MUCH_WORK = "too-much-work";
    /// A list with more patterns than are taken.
    TOO_MANY_PATTERNS = "too-many-patterns";
    /// A mapping has one key twice.
    DUPLICATE_KEY = "duplicate-key";
    /// A key that the kind does not have.
    UNKNOWN_KEY = "unknown-key";
    /// A key that the kind needs is not there.
    MISSING_KEY = "missing-key";
    /// A value of another type than its key takes.
    WRONG_TYPE = "wrong-type";
    /// Exactly one of several keys is needed.
    ONE_OF = "one-of";
    /// A value that its key does not take.
    INVALID_VALUE = "invalid-value";
    /// What could not be checked, for a file cannot be read.
    NOT_CHECKED = "not-checked";
    /// There is no fleet.yaml in the fleet folder.
    MISSING_FLEET_FILE = "missing-fleet-file";
    /// A line of `history_writers` that is no public key.
    INVALID_HISTORY_WRITER = "invalid-history-writer";
    /// Whoever may push to the history decides what is deployed of what was merged.
    NO_HISTORY_WRITERS = "no-history-writers";
    /// The fleet has no environment.
    NO_ENVIRONMENT = "no-environment";
    /// A file name that is not a name.
    INVALID_NAME = "invalid-name";
    /// Two files for one name.
    NAME_TWICE = "name-twice";
    /// A file that is not read, where one would expect that it is.
    UNEXPECTED_FILE = "unexpected-file";
    /// A symbolic link that leads out of its folder or nowhere.
    SYMLINK = "symlink";
    /// A git submodule, which is never followed.
    SUBMODULE = "submodule";
    /// A source folder that does not exist.
    MISSING_SOURCE = "missing-source";
    /// Keys of a source that make no source together.
    SOURCE_KEYS = "source-keys";
    /// An archive that depends on the processor, and an instance for which there is none.
    MISSING_ARCH = "missing-arch";
    /// An environment that is not declared.
    UNKNOWN_ENVIRONMENT = "unknown-environment";
    /// An instance that is not declared.
    UNKNOWN_INSTANCE = "unknown-instance";
    /// A service that is not declared.
    UNKNOWN_SERVICE = "unknown-service";
    /// A site that is not declared.
    UNKNOWN_SITE = "unknown-site";
    /// A label, or a value of it, that no instance has.
    UNKNOWN_LABEL = "unknown-label";
    /// A placement that matches no instance in any environment.
    PLACED_NOWHERE = "placed-nowhere";
    /// More replicas than instances that match.
    TOO_FEW_INSTANCES = "too-few-instances";
    /// Something needs a service that runs nowhere in this environment.
    NOT_PLACED = "not-placed";
    /// Two services with one port on one instance.
    PORT_TAKEN = "port-taken";
    /// A port outside the range of its instance.
    PORT_OUTSIDE_RANGE = "port-outside-range";
    /// A port that something other than a service listens on.
    PORT_RESERVED = "port-reserved";
    /// Nothing says which user runs the service.
    MISSING_USER = "missing-user";
    /// A command that cannot be run as it is written.
    INVALID_COMMAND = "invalid-command";
    /// A variable that evenkeel sets itself.
    RESERVED_VARIABLE = "reserved-variable";
    /// A character that has no business where it stands.
    CONTROL_CHARACTER = "control-character";
    /// A `${…}` that is no reference.
    MALFORMED_REFERENCE = "malformed-reference";
    /// A reference to a service with several replicas that names no instance.
    AMBIGUOUS_REFERENCE = "ambiguous-reference";
    /// Services whose references go round in a circle.
    REFERENCE_CYCLE = "reference-cycle";
    /// Services that each wait for another's start.
    AFTER_CYCLE = "after-cycle";
    /// The literal address of a declared instance, where a reference belongs.
    LITERAL_ADDRESS = "literal-address";
    /// A virtual environment cannot be told from its file of requirements.
    REQUIREMENTS = "requirements";
    /// Two things answer for one path of a site.
    ROUTE_TAKEN = "route-taken";
    /// A header that is worked out for each answer.
    RESERVED_HEADER = "reserved-header";
    /// A site with `tls` that answers to any name: plain HTTP would lead to whatever name a request gives.
    CATCH_ALL_TLS = "catch-all-tls";
    /// A route leads to a replica that the site's instance cannot reach.
    UNREACHABLE_UPSTREAM = "unreachable-upstream";
    /// Two sites with one domain on one instance.
    DOMAIN_TAKEN = "domain-taken";
    /// A site that serves nothing.
    EMPTY_SITE = "empty-site";
    /// Two instances with one address, reached the same way.
    DUPLICATE_ADDRESS = "duplicate-address";
    /// An instance without a pinned host key: nothing connects to it.
    MISSING_HOST_KEY = "missing-host-key";
    /// A host key that is not `ALGORITHM BASE64`.
    INVALID_HOST_KEY = "invalid-host-key";
    /// An instance that is to be reached through itself.
    OWN_JUMP_HOST = "own-jump-host";
    /// A key that means nothing without another one.
    WITHOUT_EFFECT = "without-effect";
    /// `replaces` names a unit of evenkeel's own.
    REPLACES_OWN_UNIT = "replaces-own-unit";
    /// `replaces`, or a grant of it, names a unit that keeps a host running or reachable.
    KEPT_UNIT = "kept-unit";
    /// A user, file, unit or package that neither is safe by itself nor stands in `allow`.
    NOT_GRANTED = "not-granted";
}

#[cfg(test)]
mod tests {
    #[test]
    fn codes_are_kebab_case_and_once() {
        let mut codes: Vec<_> = super::ALL.iter().map(|(code, _)| *code).collect();
        assert!(
            codes.iter().all(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'))
        );
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), super::ALL.len());
    }
}
