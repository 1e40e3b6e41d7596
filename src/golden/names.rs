//! Arrays of strings in NumPy archives, which `ndarray-npy` does not read.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Why an array of strings cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NamesError {
    /// The archive or its member cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// File.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The member is no one-dimensional array of strings.
    #[error("{}: array {array:?} is no one-dimensional array of strings: {what}", path.display())]
    Format {
        /// File.
        path: PathBuf,
        /// Member.
        array: String,
        /// What is wrong.
        what: &'static str,
    },
}

/// Reads a one-dimensional array of byte strings (`|S`) or little-endian Unicode strings (`<U`) of an
/// `.npz` archive.
///
/// # Errors
/// [`NamesError`].
pub fn read_names(path: &Path, array: &str) -> Result<Vec<String>, NamesError> {
    let read = |source| NamesError::Read {
        path: path.into(),
        source,
    };
    let file = File::open(path).map_err(read)?;
    let mut archive = zip::ZipArchive::new(file).map_err(|error| read(error.into()))?;
    let mut member = archive
        .by_name(&format!("{array}.npy"))
        .map_err(|error| read(error.into()))?;
    let mut bytes = Vec::new();
    member.read_to_end(&mut bytes).map_err(read)?;
    parse(&bytes).map_err(|what| NamesError::Format {
        path: path.into(),
        array: array.into(),
        what,
    })
}

/// The strings of an `.npy` file.
fn parse(bytes: &[u8]) -> Result<Vec<String>, &'static str> {
    let (&[b'\x93', b'N', b'U', b'M', b'P', b'Y', major, _], rest) =
        bytes.split_first_chunk::<8>().ok_or("it is too short")?
    else {
        return Err("it does not begin as .npy files do");
    };
    let (length, rest) = if major == 1 {
        let (length, rest) = rest.split_first_chunk::<2>().ok_or("it is too short")?;
        (usize::from(u16::from_le_bytes(*length)), rest)
    } else {
        let (length, rest) = rest.split_first_chunk::<4>().ok_or("it is too short")?;
        (
            usize::try_from(u32::from_le_bytes(*length)).map_err(|_| "its header is too long")?,
            rest,
        )
    };
    let (header, items) = rest
        .split_at_checked(length)
        .ok_or("its header is cut off")?;
    let header = std::str::from_utf8(header).map_err(|_| "its header is no text")?;
    let after = |key: &str| header.split_once(key).map(|(_, value)| value.trim_start());
    let descriptor = after("'descr':")
        .and_then(|value| value.split('\'').nth(1))
        .unwrap_or("");
    let count = after("'shape':")
        .and_then(|value| value.strip_prefix('(')?.split_once(",)"))
        .and_then(|(count, _)| count.parse::<usize>().ok())
        .ok_or("its shape is not (count,)")?;
    let (kind, size) = descriptor
        .split_at_checked(2)
        .ok_or("its type is unknown")?;
    let size: usize = size.parse().map_err(|_| "its type is unknown")?;
    let item_bytes = match kind {
        "|S" => size,
        "<U" => size.checked_mul(4).ok_or("its strings are too long")?,
        _ => return Err("its type is neither |S nor <U"),
    };
    if item_bytes == 0 || Some(items.len()) != item_bytes.checked_mul(count) {
        return Err("its length does not follow from its shape");
    }
    items
        .chunks_exact(item_bytes)
        .map(|item| {
            if kind == "|S" {
                text(item)
            } else {
                unicode(item)
            }
        })
        .collect()
}

/// A zero-padded byte string.
fn text(item: &[u8]) -> Result<String, &'static str> {
    let end = item
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1);
    let text = std::str::from_utf8(&item[..end]).map_err(|_| "a string is not UTF-8")?;
    Ok(text.to_owned())
}

/// A zero-padded string of 32-bit characters.
fn unicode(item: &[u8]) -> Result<String, &'static str> {
    let (characters, _) = item.as_chunks::<4>();
    characters
        .iter()
        .map(|bytes| u32::from_le_bytes(*bytes))
        .take_while(|&code| code != 0)
        .map(|code| char::from_u32(code).ok_or("a string has an invalid character"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, items: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend(u16::try_from(header.len()).expect("short").to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(items);
        bytes
    }

    #[test]
    fn strings_of_both_kinds_are_read() {
        let header = "{'descr': '|S3', 'fortran_order': False, 'shape': (2,), }\n";
        assert_eq!(
            parse(&file(header, b"abcd\0\0")),
            Ok(vec!["abc".into(), "d".into()])
        );
        let header = "{'descr': '<U2', 'fortran_order': False, 'shape': (1,), }\n";
        assert_eq!(
            parse(&file(header, b"\xe9\0\0\0x\0\0\0")),
            Ok(vec!["\u{e9}x".into()])
        );
    }

    #[test]
    fn other_arrays_are_refused() {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }\n";
        assert!(parse(&file(header, &[0; 4])).is_err());
        let header = "{'descr': '|S2', 'fortran_order': False, 'shape': (1, 2), }\n";
        assert!(parse(&file(header, &[65; 4])).is_err());
        let header = "{'descr': '|S2', 'fortran_order': False, 'shape': (2,), }\n";
        assert!(parse(&file(header, &[65; 3])).is_err());
        assert!(parse(b"\x93NUMPY").is_err());
        let whole = file(header, &[65; 4]);
        for end in 0..whole.len() {
            assert!(parse(&whole[..end]).is_err());
        }
    }
}
