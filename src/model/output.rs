//! Files written: complete or not at all.

use std::fs;
use std::io::{Error, Result, Write};
use std::path::Path;

/// Writes a file beside its place and moves it there when it is complete.
///
/// Behind a symbolic link the linked file is replaced, not the link. What is there and is no regular file (a device, a FIFO) is
/// written to, as it is.
///
/// # Errors
/// The system's, when the folder or the file cannot be written.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let place = match fs::metadata(path) {
        Ok(found) if found.is_file() => fs::canonicalize(path)?,
        // A device, a FIFO, a folder (refused by the system), a link to nothing.
        Ok(_) => return fs::write(path, bytes),
        Err(_) if path.is_symlink() => return fs::write(path, bytes),
        Err(_) => path.to_owned(),
    };
    let folder = match place.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".bitweft").suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any new file: less what the user's mask takes away.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    // Without the name of the temporary file.
    let mut file = builder
        .tempfile_in(folder)
        .map_err(|error| Error::from(error.kind()))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(&place)
        .map_err(|error| Error::from(error.error.kind()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("file");
        for content in [&b"long content"[..], b"short"] {
            replace_file(&path, content).expect("writes");
            assert_eq!(fs::read(&path).expect("reads"), content);
        }
        let names = fs::read_dir(folder.path()).expect("lists").count();
        assert_eq!(names, 1, "nothing is left beside it");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().expect("folder");
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        std::os::unix::fs::symlink("target", &link).expect("links");
        // First a link to nothing, then one to a file.
        for content in [&b"one"[..], b"two"] {
            replace_file(&link, content).expect("writes");
            assert!(link.is_symlink());
            assert_eq!(fs::read(&target).expect("reads"), content);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_fifo_is_written_to() {
        use std::os::unix::fs::FileTypeExt;
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .expect("makes a FIFO");
        let reader = std::thread::spawn({
            let path = path.clone();
            move || fs::read(path).expect("reads")
        });
        replace_file(&path, b"through").expect("writes");
        let kind = fs::symlink_metadata(&path).expect("is there").file_type();
        assert!(kind.is_fifo(), "it is still a FIFO");
        assert_eq!(reader.join().expect("ends"), b"through");
    }

    #[test]
    fn a_folder_is_refused() {
        let folder = tempfile::tempdir().expect("folder");
        assert!(replace_file(folder.path(), b"content").is_err());
    }
}
