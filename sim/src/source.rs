//! The Verilog files of a design, as (file name, text).

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use crate::error::{InFile, SimError};

/// Whether the file is compiled by itself, rather than included by others.
pub(crate) fn is_source(name: &str) -> bool {
    name.ends_with(".v") || name.ends_with(".sv")
}

/// Refuses names that could leave the folder, be taken for options, or stand for two files.
pub(crate) fn check_names(files: &[(String, String)]) -> Result<(), SimError> {
    let mut seen = HashSet::new();
    for (name, _) in files {
        let plain = name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter));
        if !plain || name.starts_with(['.', '-']) || name.is_empty() || !seen.insert(name) {
            return Err(SimError::FileName { name: name.clone() });
        }
    }
    Ok(())
}

/// Writes the files into a folder.
pub(crate) fn write(folder: &Path, files: &[(String, String)]) -> Result<(), SimError> {
    for (name, text) in files {
        let path = folder.join(name);
        fs::write(&path, text).in_file(&path)?;
    }
    Ok(())
}
