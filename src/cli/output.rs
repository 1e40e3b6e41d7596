//! Files that commands write.

use std::path::Path;

use anyhow::{Context, Result, bail};
use bitweft::model::output::replace_file;

use super::exit::UsageError;

/// Fails where the file's folder is not there, or the file is one of the command's inputs: before any work is done for it.
pub(crate) fn check_output(
    path: &Path,
    inputs: impl IntoIterator<Item = impl AsRef<Path>>,
) -> Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        bail!("{}: its folder does not exist", path.display());
    }
    if path.is_dir() {
        bail!("{}: is a folder, not a file to write", path.display());
    }
    let place = path.canonicalize().ok().filter(|place| place.is_file());
    let overwritten = inputs
        .into_iter()
        .find(|input| place.is_some() && input.as_ref().canonicalize().ok() == place);
    if let Some(input) = overwritten {
        bail!(
            "{}: would be written over {}, which is read: give another file",
            path.display(),
            input.as_ref().display()
        );
    }
    Ok(())
}

/// Fails where a `.bw` file's name is that of another format.
pub(crate) fn check_extension(path: &Path) -> Result<()> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    if matches!(extension, Some("tflite" | "onnx" | "npz")) {
        let message = format!(
            "{}: what is written is a .bw file; `bitweft export` makes others of it",
            path.display()
        );
        return Err(UsageError(message).into());
    }
    Ok(())
}

/// Writes a file, complete or not at all, naming it where that fails.
pub(crate) fn write_file(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    replace_file(path, content.as_ref()).with_context(|| path.display().to_string())
}
