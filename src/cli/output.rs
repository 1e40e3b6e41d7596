//! Files that commands write.

use std::path::Path;

use anyhow::{Context, Result};
use bitweft::model::output::replace_file;

/// Fails where the file's folder is not there, before any work is done for the file.
pub(crate) fn check_folder(path: &Path) -> Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        anyhow::bail!("{}: its folder does not exist", path.display());
    }
    Ok(())
}

/// Writes a file, complete or not at all, naming it where that fails.
pub(crate) fn write_file(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    replace_file(path, content.as_ref()).with_context(|| path.display().to_string())
}
