//! Hashes of what a step depends on, kept beside what it makes.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::error::{BuildError, InFile};

/// Hashes of what the steps depend on; each covers the ones before.
pub(super) struct Keys {
    pub(super) synthesis: String,
    /// But for the seed.
    pub(super) route: String,
    pub(super) build: String,
}

/// SHA-256 of bytes, as lower-case hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// SHA-256 over texts, each preceded by its length.
pub(super) fn key<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hexadecimal(&hash.finalize())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The seconds that the step took which left this stamp; `None` if it was left for another key, or not at all.
pub(super) fn seconds(stamp: &Path, key: &str) -> Option<f64> {
    let text = fs::read_to_string(stamp).ok()?;
    let (found, seconds) = text.trim().split_once(' ')?;
    (found == key).then(|| seconds.parse().ok())?
}

/// Leaves a stamp: the step is done.
pub(super) fn write(stamp: &Path, key: &str, seconds: f64) -> Result<(), BuildError> {
    fs::write(stamp, format!("{key} {seconds}\n")).in_file(stamp)
}
