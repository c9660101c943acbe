//! `commands` of an environment: who may give which command in a comment.

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::model::rights::{Right, RightError, Rights, Verb};

/// Who may give a command in a comment: a permission of GitHub's, a team, a person, or a list of these, of which one is
/// enough.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Commands {
    /// Plan a pull request anew, or one from a fork for the first time: `write` if not given.
    pub plan: Option<Grant>,
    /// Deploy what is merged at once; `maintain` if not given.
    pub apply: Option<Grant>,
    /// Open a pull request that brings back what was deployed before; `maintain` if not given.
    pub rollback: Option<Grant>,
    /// Try again what failed and is in quarantine; `maintain` if not given.
    pub retry: Option<Grant>,
    /// End the deployment that runs, and undo it; `maintain` if not given.
    pub cancel: Option<Grant>,
    /// Keep the environment as it is; `maintain` if not given.
    pub hold: Option<Grant>,
    /// End a hold; `maintain` if not given.
    pub resume: Option<Grant>,
    /// Tell why a service or a site is as it is; `write` if not given.
    pub why: Option<Grant>,
    /// Tell the commands; `write` if not given.
    pub help: Option<Grant>,
}

impl Commands {
    pub fn rights(&self) -> Rights {
        let grant = |verb| match verb {
            Verb::Plan => &self.plan,
            Verb::Apply => &self.apply,
            Verb::Rollback => &self.rollback,
            Verb::Retry => &self.retry,
            Verb::Cancel => &self.cancel,
            Verb::Hold => &self.hold,
            Verb::Resume => &self.resume,
            Verb::Why => &self.why,
            Verb::Help => &self.help,
        };
        Rights(Verb::ALL.into_iter().filter_map(|verb| Some((verb, grant(verb).as_ref()?.0.clone()))).collect())
    }
}

/// The rights to one command. Any one of them is enough.
#[derive(Debug, Clone)]
pub struct Grant(Vec<Right>);

const DESCRIPTION: &str = "A right: `read`, `triage`, `write`, `maintain` or `admin`, which is the least permission in \
    the repository; `{team: ORGANISATION/TEAM}`; `{person: LOGIN}`; or a list of these, of which one is enough.";

impl JsonSchema for Grant {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Grant".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        // Each keyword is for one of the types alone.
        let one = serde_json::json!({
            "type": ["string", "object"],
            "pattern": "^(read|triage|write|maintain|admin)$",
            "properties": {
                "team": {
                    "type": "string",
                    "pattern": "^[A-Za-z0-9_-]{1,100}/[A-Za-z0-9_-]{1,100}$",
                    "description": "A team of an organisation: ORGANISATION/TEAM, as in its address on GitHub.",
                },
                "person": {
                    "type": "string",
                    "pattern": "^[A-Za-z0-9_-]{1,100}$",
                    "description": "A login on GitHub: letters, digits and `-`.",
                },
            },
            "additionalProperties": false,
            "description": DESCRIPTION,
        });
        let mut all = one.clone();
        all["type"] = serde_json::json!(["string", "object", "array"]);
        all["items"] = one;
        all.try_into().unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for Grant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrSeveral;

        impl<'de> Visitor<'de> for OneOrSeveral {
            type Value = Grant;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a permission, a team, a person, or a list of these")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Grant, E> {
                granted(Right::permission(text))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Grant, A::Error> {
                let mut right = None;
                while let Some(key) = map.next_key::<String>()? {
                    let new = match key.as_str() {
                        "team" => Right::team(&map.next_value::<String>()?),
                        "person" => Right::person(&map.next_value::<String>()?),
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    if right.replace(new).is_some() {
                        return Err(A::Error::custom("a right names a team or a person; write a list for several"));
                    }
                }
                granted(right.ok_or_else(|| A::Error::custom("a right needs `team` or `person`"))?)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Grant, A::Error> {
                let mut rights = Vec::new();
                while let Some(Grant(one)) = list.next_element()? {
                    rights.extend(one);
                }
                match rights.is_empty() {
                    true => Err(A::Error::custom("an empty list lets nobody give the command; name somebody")),
                    false => Ok(Grant(rights)),
                }
            }
        }

        deserializer.deserialize_any(OneOrSeveral)
    }
}

fn granted<E: Error>(right: Result<Right, RightError>) -> Result<Grant, E> {
    right.map(|right| Grant(vec![right])).map_err(E::custom)
}
