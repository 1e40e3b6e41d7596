//! The cache on disk: names from hashes, files that appear whole or not at all, and a bound on their size.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use crate::error::{InFile, SimError};

/// Models beyond this are removed, the least recently used first.
const MODEL_BYTES_MAX: u64 = 4 << 30;
/// A model used this recently is never removed: a process may be about to load it.
const KEPT_FOR: Duration = Duration::from_secs(3600);

/// SHA-256 of a text, as lower-case hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hexadecimal(Sha256::digest(bytes).as_slice())
}

/// SHA-256 over the fields in order, each preceded by its length, as lower-case hexadecimal.
pub(crate) fn key<'a>(fields: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for field in fields {
        hash.update((field.len() as u64).to_le_bytes());
        hash.update(field);
    }
    hexadecimal(hash.finalize().as_slice())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Holds an exclusive lock on `folder/name.lock` until dropped. The system releases it if the process dies.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the lock; whoever holds it is building what the caller wants.
    pub(crate) fn acquire(folder: &Path, name: &str) -> Result<Self, SimError> {
        fs::create_dir_all(folder).in_file(folder)?;
        let path = folder.join(format!("{name}.lock"));
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .in_file(&path)?;
        file.lock().in_file(&path)?;
        Ok(Self { _file: file })
    }
}

/// Makes a file if it does not exist: `make` writes it under a temporary name, and a rename publishes it.
pub(crate) fn publish(
    path: &Path,
    make: impl FnOnce(&Path) -> Result<(), SimError>,
) -> Result<(), SimError> {
    if path.is_file() {
        return Ok(());
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.new", std::process::id()));
    let temporary = PathBuf::from(temporary);
    make(&temporary)?;
    fs::rename(&temporary, path).in_file(path)
}

/// Notes that a model is in use. Failure is harmless: the model may be removed sooner.
pub(crate) fn touch(path: &Path) {
    if let Ok(file) = File::options().write(true).open(path) {
        let _ = file.set_modified(SystemTime::now());
    }
}

/// Removes models beyond the bound, the least recently used first. Failure is harmless: the next build tries again.
pub(crate) fn prune(folder: &Path) {
    prune_to(folder, MODEL_BYTES_MAX, KEPT_FOR);
}

fn prune_to(folder: &Path, bytes_max: u64, kept_for: Duration) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let data = entry.metadata().ok().filter(|data| data.is_file())?;
            Some((data.modified().ok()?, data.len(), entry.path()))
        })
        .collect();
    files.sort_by_key(|(used, _, _)| std::cmp::Reverse(*used));
    let now = SystemTime::now();
    let mut bytes = 0;
    for (used, length, path) in files {
        bytes += length;
        let recent = now.duration_since(used).is_ok_and(|age| age < kept_for);
        if bytes > bytes_max && !recent {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_key_do_not_run_together() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), abc);
        assert_ne!(key(["ab", "c"]), key(["a", "bc"]));
        assert_ne!(key(["abc", ""]), key(["abc"]));
    }

    #[test]
    fn prune_keeps_the_most_recently_used() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let now = SystemTime::now();
        for (name, age_s) in [("old", 300), ("middle", 200), ("new", 100)] {
            let path = folder.path().join(name);
            fs::write(&path, [0; 100]).expect("written");
            let file = File::options().write(true).open(&path).expect("open");
            file.set_modified(now - Duration::from_secs(age_s))
                .expect("time set");
        }
        prune_to(folder.path(), 250, Duration::from_secs(1000));
        assert!(
            folder.path().join("old").exists(),
            "recently used files stay"
        );
        prune_to(folder.path(), 250, Duration::from_secs(10));
        assert!(!folder.path().join("old").exists());
        assert!(folder.path().join("middle").exists() && folder.path().join("new").exists());
    }

    #[test]
    fn a_failed_make_publishes_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("model");
        let failed = publish(&path, |temporary| {
            fs::write(temporary, "half").in_file(temporary)?;
            Err(SimError::Write {
                path: temporary.to_path_buf(),
            })
        });
        assert!(failed.is_err() && !path.exists());
        publish(&path, |temporary| {
            fs::write(temporary, "whole").in_file(temporary)
        })
        .expect("made");
        assert_eq!(fs::read_to_string(&path).expect("read"), "whole");
    }
}
