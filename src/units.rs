//! Sizes and durations as people write them.
//!
//! Owns their text forms, both ways. Knows nothing of the compose file.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A size in bytes. `4G`, `4GB` and `4GiB` are all 4 × 2³⁰: memory and disks are counted in powers of two, and
/// Compose reads these suffixes so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

/// Why a text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// Neither a number nor a number with a suffix.
    #[error("`{0}` is not a size; write a number and a unit, such as `512MiB` or `20GiB`")]
    Malformed(String),
    /// More than 2⁶⁴ − 1 bytes.
    #[error("`{0}` is too large")]
    TooLarge(String),
    /// A number that is not a whole number of bytes.
    #[error("`{0}` is not a whole number of bytes")]
    Fraction(String),
}

const UNITS: [(&str, u32); 6] = [("PiB", 50), ("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)];

impl Bytes {
    /// `n` × 2²⁰ bytes.
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }

    /// `n` × 2³⁰ bytes.
    pub const fn gib(n: u64) -> Self {
        Self(n << 30)
    }

    /// Whole KiB, rounded up: the unit libvirt counts memory in.
    pub const fn kib_ceil(self) -> u64 {
        self.0.div_ceil(1 << 10)
    }

    /// The same, rounded up to whole KiB: hypervisors make disks of no other size.
    #[must_use]
    pub const fn whole_kib(self) -> Self {
        Self(self.kib_ceil() << 10)
    }
}

impl FromStr for Bytes {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let malformed = || SizeError::Malformed(text.to_owned());
        let trimmed = text.trim();
        let split = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(split);
        let shift = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            "t" | "tb" | "tib" => 40,
            "p" | "pb" | "pib" => 50,
            _ => return Err(malformed()),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || (number.contains('.') && fraction.is_empty()) || fraction.contains('.') {
            return Err(malformed());
        }
        // Exact, in units of 10^-digits: a float would turn 1.1GiB into something else.
        let scale = 10u128.checked_pow(u32::try_from(fraction.len()).unwrap_or(u32::MAX));
        let digits: Option<u128> = format!("{whole}{fraction}").parse().ok();
        let (Some(scale), Some(digits)) = (scale, digits) else {
            return Err(SizeError::TooLarge(text.to_owned()));
        };
        let scaled = digits.checked_mul(1 << shift).ok_or_else(|| SizeError::TooLarge(text.to_owned()))?;
        if scaled % scale != 0 {
            return Err(SizeError::Fraction(text.to_owned()));
        }
        u64::try_from(scaled / scale).map(Self).map_err(|_| SizeError::TooLarge(text.to_owned()))
    }
}

impl fmt::Display for Bytes {
    /// The largest unit that gives a whole number, so that nothing is lost.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, shift): &&(&str, u32)| self.0 != 0 && self.0.trailing_zeros() >= *shift;
        let (unit, shift) = UNITS.iter().find(fits).unwrap_or(&("B", 0));
        f.pad(&format!("{}{unit}", self.0 >> shift))
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Size;
        impl Visitor<'_> for Size {
            type Value = Bytes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as `512MiB` or `20GiB`")
            }
            fn visit_u64<E: serde::de::Error>(self, bytes: u64) -> Result<Bytes, E> {
                Ok(Bytes(bytes))
            }
            fn visit_i64<E: serde::de::Error>(self, bytes: i64) -> Result<Bytes, E> {
                u64::try_from(bytes).map(Bytes).map_err(|_| E::custom(SizeError::Malformed(bytes.to_string())))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Bytes, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Size)
    }
}

impl JsonSchema for Bytes {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "a number of bytes, or a number with a unit: 512MiB, 20GiB, 4G",
            "type": ["string", "integer"],
            "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*([bB]|[kKmMgGtTpP]([iI]?[bB])?)?\s*$",
            "minimum": 0
        })
    }
}

/// A span of time, written `1s`, `500ms`, `1m30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

impl Span {
    /// `n` seconds.
    pub const fn secs(n: u64) -> Self {
        Self(Duration::from_secs(n))
    }
}

impl FromStr for Span {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text).map(Self).map_err(|_| {
            format!("`{text}` is not a duration; write a number and a unit, such as `500ms`, `5s` or `1m30s`")
        })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&humantime::format_duration(self.0).to_string().replace(' ', ""))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "a number and a unit: 500ms, 5s, 1m30s",
            "type": "string",
            "pattern": r"^\s*([0-9]+\s*[a-zA-Z]+\s*)+$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_two() {
        for (text, bytes) in [
            ("4G", 4 << 30),
            ("4GB", 4 << 30),
            ("4 GiB", 4 << 30),
            ("512m", 512 << 20),
            ("1.5GiB", 3 << 29),
            ("0", 0),
            ("7", 7),
            ("1TiB", 1 << 40),
        ] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
    }

    #[test]
    fn bad_sizes_are_refused() {
        for text in ["", "G", "4X", "-1G", "1.G", ".5G", "1.2.3G", "0.3", "99999999999P", "1e3", "4Gi B"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_survive_a_round_trip() {
        for bytes in [0, 1, 1023, 1024, 1 << 20, 3 << 29, (1 << 40) + 1, u64::MAX] {
            assert_eq!(Bytes(bytes).to_string().parse(), Ok(Bytes(bytes)));
        }
        assert_eq!(Bytes::gib(2).to_string(), "2GiB");
    }

    #[test]
    fn durations_survive_a_round_trip() {
        for text in ["500ms", "5s", "1m30s", "2h"] {
            assert_eq!(text.parse::<Span>().expect("legal").to_string(), text);
        }
        assert!("5".parse::<Span>().is_err());
    }
}
