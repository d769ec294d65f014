//! Quantities: memory and CPU as Kubernetes writes them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An amount of memory in bytes, written `512Mi`, `1Gi`, `500M` or plain bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("format" = "memory", "type" = ["string", "number"]))]
pub struct Memory(pub u64);

/// Suffixes, longest first so that `Mi` is not read as `i`.
const MEMORY_UNITS: [(&str, u64); 9] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("", 1),
];

impl Memory {
    /// For people: whole Mi, or Gi with a decimal from 10Gi on. Never more than it is.
    pub fn rounded(self) -> String {
        match self.0 {
            bytes if bytes >= 10 << 30 => format!("{}.{}Gi", bytes >> 30, ((bytes % (1 << 30)) * 10) >> 30),
            bytes => format!("{}Mi", bytes >> 20),
        }
    }
}

impl TryFrom<String> for Memory {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let meant = text.strip_suffix(['B', 'b']).filter(|rest| rest.ends_with(|c: char| c.is_ascii_alphabetic()));
        let meant = meant.map(|rest| format!(": without the B it is {rest}")).unwrap_or_default();
        let wrong = || format!("'{text}' is not an amount of memory such as 512Mi or 1Gi{meant}");
        let (number, unit) = MEMORY_UNITS
            .iter()
            .find_map(|(suffix, unit)| text.strip_suffix(suffix).map(|number| (number, *unit)))
            .expect("the empty suffix always matches");
        let bytes = decimal(number, unit).ok_or_else(wrong)?;
        if bytes > 1 << 60 {
            return Err(format!("'{text}' is more memory than any machine has"));
        }
        Ok(Self(bytes))
    }
}

impl From<Memory> for String {
    fn from(memory: Memory) -> Self {
        memory.to_string()
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = [("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)]
            .into_iter()
            .find(|(_, shift)| self.0 != 0 && self.0.is_multiple_of(1 << shift));
        match unit {
            Some((suffix, shift)) => write!(f, "{}{suffix}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A share of CPU time in thousandths of a core, written `0.5`, `2` or `500m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("format" = "cpu", "type" = ["string", "number"]))]
pub struct Cpu(pub u64);

impl Cpu {
    /// The unit that Docker's `NanoCpus` counts in.
    pub fn nano(self) -> i64 {
        i64::try_from(self.0.saturating_mul(1_000_000)).unwrap_or(i64::MAX)
    }
}

impl TryFrom<String> for Cpu {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let millis = match text.strip_suffix('m') {
            Some(number) => number.parse().ok(),
            None => decimal(&text, 1000),
        };
        match millis {
            Some(millis) if millis <= 1_000_000_000 => Ok(Self(millis)),
            _ => Err(format!("'{text}' is not an amount of CPU such as 0.5, 2 or 500m")),
        }
    }
}

impl From<Cpu> for String {
    fn from(cpu: Cpu) -> Self {
        cpu.to_string()
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 1000 {
            0 => write!(f, "{}", self.0 / 1000),
            _ => write!(f, "{}m", self.0),
        }
    }
}

/// `text` (digits with an optional fraction) times `unit`, exact to the unit; no sign, no exponent.
fn decimal(text: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.chars().all(|c| c.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || text.ends_with('.') || fraction.len() > 9 {
        return None;
    }
    let scale = 10u128.pow(fraction.len() as u32);
    let fraction: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let value = (whole.parse::<u128>().ok()?.checked_mul(scale)? + fraction).checked_mul(u128::from(unit))?;
    u64::try_from(value / scale).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_takes_binary_and_decimal_units() {
        for (text, bytes) in [("512Mi", 512 << 20), ("1.5Gi", 3 << 29), ("500M", 500_000_000), ("1024", 1024)] {
            assert_eq!(Memory::try_from(text.to_string()), Ok(Memory(bytes)), "{text}");
        }
        for wrong in ["", "Mi", "-1", "1.", "1e9", "1mb", "99999999Ti"] {
            assert!(Memory::try_from(wrong.to_string()).is_err(), "{wrong}");
        }
        assert_eq!(Memory(512 << 20).to_string(), "512Mi");
        assert_eq!(Memory((512 << 20) + 4096).rounded(), "512Mi");
        assert_eq!(Memory(43 << 28).rounded(), "10.7Gi");
    }

    #[test]
    fn cpu_takes_cores_and_thousandths() {
        for (text, millis) in [("0.5", 500), ("500m", 500), ("2", 2000)] {
            assert_eq!(Cpu::try_from(text.to_string()), Ok(Cpu(millis)), "{text}");
        }
        assert!(Cpu::try_from("half".to_string()).is_err());
    }
}
