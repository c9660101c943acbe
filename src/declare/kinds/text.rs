//! Texts with a rule of their own. The rule is a pattern in the schema, so that editors check it too;
//! a value is only built from a file that the schema has passed.

use serde::Deserialize;

macro_rules! text {
    ($name:ident, $pattern:expr, $description:literal) => {
        #[doc = $description]
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl std::ops::Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "pattern": $pattern, "description": $description})
            }
        }
    };
}

// The part of a description before the first colon names the thing in findings; the whole is the hint.
text!(
    UserName,
    "^[a-z_][a-z0-9_-]{0,31}$",
    "A user name: 1 to 32 lower-case letters, digits, `_` and `-`, beginning with a letter or `_`."
);
text!(
    StateName,
    "^[a-z0-9_-][a-z0-9_.-]*$",
    "The name of a state directory: lower-case letters, digits, `_`, `.` and `-`, not beginning with a dot."
);
text!(
    UnitName,
    "^[A-Za-z0-9:_.-]{1,100}(@[A-Za-z0-9:_.@-]{1,100})?\\.service$",
    "The name of a systemd service unit: as in `gong.service` or `gong@1.service`."
);
text!(
    UnitPattern,
    "^[A-Za-z0-9:_.@*?-]{1,200}$",
    "A pattern of systemd service units: as in `gong.service` or `sophia-*.service`."
);
text!(
    PackageName,
    "^[a-z0-9][a-z0-9+.-]*[a-z0-9+]$",
    "The name of a Debian package: lower-case letters, digits, `+`, `.` and `-`, not ending with `-`, which \
     would remove it."
);
text!(
    PackagePattern,
    "^[a-z0-9*?][a-z0-9+.*?-]{0,100}$",
    "A pattern of Debian packages: as in `nginx-light` or `python3-*`."
);
text!(
    Domain,
    "^(_|[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*)$",
    "A domain: a host name in lower case, or `_` for whatever name is asked for."
);
text!(
    EnvFile,
    "^(/\\.{0,2}[A-Za-z0-9_@+=:,-][A-Za-z0-9_@+=:,.-]*)+$",
    "The path of an environment file on the host: absolute, without `..`, of letters, digits and `_@+=:,.-`."
);
text!(
    HostPath,
    "^(/\\.{0,2}[A-Za-z0-9_@+=:,-][A-Za-z0-9_@+=:,.-]*)+$",
    "A path on the host: absolute, without `..`, of letters, digits and `_@+=:,.-`."
);
text!(
    PathPattern,
    "^(/\\.{0,2}[A-Za-z0-9_@+=:,*?-][A-Za-z0-9_@+=:,.*?-]*)+$",
    "A pattern of paths on the host: as in `/etc/sophia/*.env`; `*` and `?` stand for what is in a name, `**` for folders too."
);
text!(
    SourceFile,
    "^[A-Za-z0-9_][A-Za-z0-9_@+=:,.-]*(/\\.{0,2}[A-Za-z0-9_@+=:,-][A-Za-z0-9_@+=:,.-]*)*$",
    "A file of the source by its path there: without `..`, of letters, digits and `_@+=:,.-`."
);
text!(
    IndexUrl,
    "^(https://[A-Za-z0-9][A-Za-z0-9.-]*|http://(localhost|127\\.0\\.0\\.1))(:[0-9]{1,5})?(/[A-Za-z0-9_.~+=,-]*)*$",
    "The address of a package index: https://…; plain http only to the instance itself. It holds no password: `netrc` does."
);
text!(
    Glob,
    "^[A-Za-z0-9_@+~.,*?-][A-Za-z0-9_@+~.,*?/-]*$",
    "A pattern of files: as in `static/**` or `*.woff2`, of letters, digits and `_@+~.,/-`; `*` and `?` stand for what is in a name, `**` for folders too."
);
text!(
    UrlPath,
    "^/[A-Za-z0-9/._~!$&'()*+,;=:@%?-]*$",
    "The path of a URL: it begins with `/` and has only what a URL may hold as it is; everything else is written as `%20`."
);
text!(
    BodyText,
    "^[^\\x00-\\x1f\\x7f]{1,200}$",
    "A text of an answer's body: 1 to 200 characters of one line, compared as they are."
);
text!(
    Branch,
    "^[A-Za-z0-9_][A-Za-z0-9_+@#-]*([./][A-Za-z0-9_+@#-]+)*$",
    "The name of a git branch: as in `main` or `release/2`."
);

// Addresses hold only what can be shown as it is, and nothing that lets anybody in.
macro_rules! host {
    () => {
        "([A-Za-z0-9][A-Za-z0-9.-]*|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?"
    };
}
macro_rules! path {
    () => {
        "/[A-Za-z0-9_.~!$&'()*+,;=:@%/-]+"
    };
}
macro_rules! user {
    () => {
        "[A-Za-z0-9_][A-Za-z0-9_.-]*@"
    };
}

text!(
    GitUrl,
    concat!(
        "^(https?://",
        host!(),
        path!(),
        "|ssh://(",
        user!(),
        ")?",
        host!(),
        path!(),
        "|",
        user!(),
        "[A-Za-z0-9][A-Za-z0-9.-]*:[A-Za-z0-9_~/.][A-Za-z0-9_.~+@%/-]*",
        "|file://",
        path!(),
        ")$"
    ),
    "The address of a git repository: https://…, ssh://… or git@host:path; http://… and file:///… where the controller's \
     operator lists them. It holds no password: a file is public."
);
text!(
    RevisionName,
    "^[A-Za-z0-9_][A-Za-z0-9_+@#-]*([./][A-Za-z0-9_+@#-]+)*$",
    "A git revision: a branch, a tag, or all 40 digits of a commit."
);
text!(
    ArchiveUrl,
    concat!("^(https?://", host!(), path!(), "|file://", path!(), ")$"),
    "The address of an archive: https://…; http://… and file:///… where the controller's operator lists them. It holds \
     neither a password nor a query: a file is public."
);
text!(Sha256, "^[0-9a-f]{64}$", "A SHA-256 digest: 64 lower-case hexadecimal digits, as `sha256sum` prints them.");
text!(
    Credential,
    "^[a-z][a-z0-9_-]{0,62}$",
    "The name of a credential: the file given with `--credentials` on the controller says what it is, as in \
     `NAME: {token_file: …, for: [\"https://github.com/org/*\"]}`. No file of the controller is named in git."
);
