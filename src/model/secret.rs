//! Confidential bytes. They cannot be printed, compared in public or written to a file by accident.

/// What stands in a secret's place.
pub const REDACTED: &str = "[redacted]";

/// Shorter values (`1`, `on`, `v1`) are not looked for in texts: they are no secrets, and [`REDACTED`] in their place would spoil
/// every line.
pub const SHORTEST: usize = 4;

/// A secret's content. It has no `Debug`, `Display` or `Serialize`, so it cannot reach a log, a label or a state file.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// Takes the bytes in.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes themselves; the name is long so that every use stands out in a review.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// What opens a registry. No `Debug` either.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// A user.
    Password {
        /// Its name.
        username: String,
        /// Its password.
        password: SecretBytes,
    },
    /// A token that others are given for.
    Token(SecretBytes),
}
