//! What the tests of this module share.

use std::path::PathBuf;

/// The data folder, `$BITWEFT_DATA` or `../shared/data`; `None` where it is absent, with a line that names
/// what is skipped.
pub(crate) fn data_folder(wanted: &str) -> Option<PathBuf> {
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("BITWEFT_DATA").map_or_else(default, PathBuf::from);
    if !folder.is_dir() {
        eprintln!(
            "skipped: {wanted}: there is no data folder {}",
            folder.display()
        );
        return None;
    }
    Some(folder)
}
