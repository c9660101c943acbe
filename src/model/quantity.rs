//! Quantities people write: durations, memory, CPU shares, port ranges. Each is built only by checked
//! parsing and is written back as it was meant.

use std::{fmt, str::FromStr, time::Duration};

use thiserror::Error;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not {what}: {rule}")]
pub struct InvalidQuantity {
    pub text: String,
    pub what: &'static str,
    pub rule: &'static str,
}

macro_rules! text_serde {
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

macro_rules! text_quantity {
    ($name:ident, $pattern:literal, $description:literal) => {
        $crate::model::quantity::text_serde!($name);

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

pub(super) use text_quantity;
pub(super) use text_serde;

/// A span of time: `500ms`, `5s`, `2m`, `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

text_quantity!(Span, "^[0-9]+(ms|s|m|h)$", "A span of time: a whole number and ms, s, m or h.");

impl FromStr for Span {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let invalid = || InvalidQuantity {
            text: text.to_owned(),
            what: "a span of time",
            rule: "write a whole number and ms, s, m or h, as in 500ms or 5s",
        };
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = text[..digits].parse().map_err(|_| invalid())?;
        let milliseconds = match &text[digits..] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(invalid()),
        };
        number.checked_mul(milliseconds).map(|ms| Span(Duration::from_millis(ms))).ok_or_else(invalid)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        match ms {
            0 => write!(f, "0s"),
            _ if ms.is_multiple_of(3_600_000) => write!(f, "{}h", ms / 3_600_000),
            _ if ms.is_multiple_of(60_000) => write!(f, "{}m", ms / 60_000),
            _ if ms.is_multiple_of(1_000) => write!(f, "{}s", ms / 1_000),
            _ => write!(f, "{ms}ms"),
        }
    }
}

/// An amount of memory as systemd's `MemoryMax=` takes it: `512M`, `2G`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Memory(String);

text_quantity!(Memory, "^[1-9][0-9]*[KMGT]$", "An amount of memory: a whole number and K, M, G or T (powers of 1024).");

impl FromStr for Memory {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let number = text.strip_suffix(['K', 'M', 'G', 'T']).unwrap_or_default();
        let power = "KMGT".find(|unit| text.ends_with(unit)).unwrap_or_default();
        // systemd ignores a limit that it cannot count in bytes.
        let bytes = number.parse().ok().and_then(|number: u64| number.checked_mul(1024 << (10 * power)));
        let is_written = !number.starts_with('0') && number.bytes().all(|b| b.is_ascii_digit());
        if !is_written || bytes.is_none_or(|bytes| bytes > i64::MAX as u64) {
            return Err(InvalidQuantity {
                text: text.to_owned(),
                what: "an amount of memory",
                rule: if is_written && !number.is_empty() {
                    "it is more bytes than can be counted"
                } else {
                    "write a whole number and K, M, G or T, as in 512M or 2G"
                },
            });
        }
        Ok(Self(text.to_owned()))
    }
}

impl Memory {
    pub fn bytes(&self) -> u64 {
        let (number, unit) = self.0.split_at(self.0.len() - 1);
        let power = "KMGT".find(unit).unwrap_or_default();
        // Parsing has made sure of both.
        number.parse().map_or(u64::MAX, |number: u64| number.saturating_mul(1024 << (10 * power)))
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How much a request may carry, as nginx's `client_max_body_size` takes it: `10M`, `1G`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BodySize(String);

text_quantity!(BodySize, "^[1-9][0-9]*[KMG]$", "An amount of data: a whole number and K, M or G (powers of 1024).");

impl FromStr for BodySize {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let number = text.strip_suffix(['K', 'M', 'G']).filter(|number| !number.starts_with(['0', '+']));
        let power = "KMG".find(|unit| text.ends_with(unit)).unwrap_or_default();
        let bytes = number.and_then(|number| number.parse::<u64>().ok()?.checked_mul(1024 << (10 * power)));
        // nginx does not start with an amount that it cannot count in bytes.
        bytes.filter(|bytes| *bytes <= i64::MAX as u64).map(|_| Self(text.to_owned())).ok_or_else(|| InvalidQuantity {
            text: text.to_owned(),
            what: "an amount of data",
            rule: "write a whole number and K, M or G, as in 10M, of fewer bytes than can be counted",
        })
    }
}

impl fmt::Display for BodySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A share of CPU time as systemd's `CPUQuota=` takes it: `50%`, `200%` (two processors).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuShare(pub u32);

text_quantity!(CpuShare, "^[1-9][0-9]{0,6}%$", "A share of CPU time in percent; 200% is two processors.");

impl FromStr for CpuShare {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        text.strip_suffix('%').and_then(|number| number.parse().ok()).filter(|share| *share > 0).map(Self).ok_or_else(
            || InvalidQuantity {
                text: text.to_owned(),
                what: "a share of CPU time",
                rule: "write a whole number of percent, as in 200%",
            },
        )
    }
}

impl fmt::Display for CpuShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// A number of replicas, or a share of all that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Portion {
    Number(u32),
    Percent(u32),
}

text_serde!(Portion);

impl Portion {
    /// How many of `all` that is, but at least one: a share of a few would be none.
    pub fn of(self, all: usize) -> usize {
        let number = match self {
            Portion::Number(number) => number as usize,
            Portion::Percent(percent) => all.saturating_mul(percent as usize) / 100,
        };
        number.max(1)
    }
}

impl FromStr for Portion {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let invalid = || InvalidQuantity {
            text: text.to_owned(),
            what: "a number of replicas",
            rule: "write a whole number or a share, as in 2 or 25%",
        };
        let digits = text.strip_suffix('%').unwrap_or(text);
        if digits.starts_with('0') || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(invalid());
        }
        let number = digits.parse().map_err(|_| invalid())?;
        match digits.len() == text.len() {
            true => Ok(Portion::Number(number)),
            false if number <= 100 => Ok(Portion::Percent(number)),
            false => Err(invalid()),
        }
    }
}

impl fmt::Display for Portion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Portion::Number(number) => write!(f, "{number}"),
            Portion::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl schemars::JsonSchema for Portion {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Portion".into()
    }

    // A plain number is one to editors, and text to whoever reads the file here.
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["integer", "string"],
            "minimum": 1,
            "pattern": "^([1-9][0-9]{0,8}|([1-9][0-9]?|100)%)$",
            "description": "A whole number of replicas, or a share of them in percent, as in 2 or 25%."
        })
    }
}

/// The ports of an instance that evenkeel may use: `8100-8199`, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PortRange {
    pub first: u16,
    pub last: u16,
}

text_quantity!(PortRange, "^[0-9]{1,5}-[0-9]{1,5}$", "A range of ports, both ends included, as in 8100-8199.");

impl PortRange {
    pub fn contains(&self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

impl FromStr for PortRange {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let parse = || {
            let (first, last) = text.split_once('-')?;
            let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
            (1 <= first && first <= last).then_some(Self { first, last })
        };
        parse().ok_or_else(|| InvalidQuantity {
            text: text.to_owned(),
            what: "a range of ports",
            rule: "write two ports, the lower first, as in 8100-8199",
        })
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}
