//! Arrays in NumPy's `.npy` format, read with bounded memory from streams that may lie.

use std::io::Read;

/// Longest header that is read, in bytes.
const HEADER_BYTES_MAX: u32 = 1 << 16;

/// Element type of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
    /// Zero-padded bytes, this many an element.
    Text(usize),
    /// Zero-padded UTF-32, this many characters an element.
    Unicode(usize),
}

impl Element {
    fn from_descr(descr: &str) -> Option<Self> {
        Some(match descr {
            "|u1" | "|b1" => Self::U8,
            "|i1" => Self::I8,
            "<u2" => Self::U16,
            "<i2" => Self::I16,
            "<u4" => Self::U32,
            "<i4" => Self::I32,
            "<u8" => Self::U64,
            "<i8" => Self::I64,
            "<f4" => Self::F32,
            "<f8" => Self::F64,
            _ => {
                let (kind, length) = (descr.get(..2)?, descr.get(2..)?);
                let length = length.parse().ok().filter(|n| (1..=4096).contains(n))?;
                match kind {
                    "|S" => Self::Text(length),
                    "<U" => Self::Unicode(length),
                    _ => return None,
                }
            }
        })
    }

    /// Bytes an element.
    pub(super) fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
            Self::Text(bytes) => bytes,
            Self::Unicode(characters) => 4 * characters,
        }
    }
}

/// An array, or its first rows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Array {
    pub(super) element: Element,
    /// Row-major; the first extent is what was read.
    pub(super) shape: Vec<usize>,
    /// Little-endian elements.
    pub(super) bytes: Vec<u8>,
}

/// Reads an array, at most `rows_max` along the first axis. Memory stays within what the stream really
/// holds and within `bytes_max`.
///
/// # Errors
/// What is wrong with the array, in words.
pub(super) fn read(
    mut stream: impl Read,
    rows_max: Option<usize>,
    bytes_max: usize,
) -> Result<Array, String> {
    let header = read_header(&mut stream)?;
    let (element, mut shape) = parse_header(&header)?;
    if let (Some(rows), Some(most)) = (shape.first_mut(), rows_max) {
        *rows = most.min(*rows);
    }
    let size = shape
        .iter()
        .try_fold(element.size(), |n, extent| n.checked_mul(*extent));
    let Some(size) = size.filter(|size| *size <= bytes_max) else {
        return Err(format!(
            "an array of {shape:?} is larger than {bytes_max} bytes"
        ));
    };
    let mut bytes = Vec::new();
    let limit = u64::try_from(size).unwrap_or(u64::MAX);
    stream
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() != size {
        return Err(format!("truncated: {} of {size} bytes", bytes.len()));
    }
    Ok(Array {
        element,
        shape,
        bytes,
    })
}

fn read_header(stream: &mut impl Read) -> Result<String, String> {
    let mut start = [0; 8];
    stream
        .read_exact(&mut start)
        .map_err(|_| "truncated header")?;
    let [.., major, _] = start;
    if !start.starts_with(b"\x93NUMPY") {
        return Err("not a .npy array".to_owned());
    }
    let length = if major == 1 {
        let mut length = [0; 2];
        stream
            .read_exact(&mut length)
            .map_err(|_| "truncated header")?;
        u32::from(u16::from_le_bytes(length))
    } else {
        let mut length = [0; 4];
        stream
            .read_exact(&mut length)
            .map_err(|_| "truncated header")?;
        u32::from_le_bytes(length)
    };
    if length > HEADER_BYTES_MAX {
        return Err(format!(
            "header of {length} bytes; at most {HEADER_BYTES_MAX} are read"
        ));
    }
    let mut header = Vec::new();
    stream
        .take(u64::from(length))
        .read_to_end(&mut header)
        .map_err(|error| error.to_string())?;
    String::from_utf8(header).map_err(|_| "header is not text".to_owned())
}

/// The header is a Python dictionary with the keys `descr`, `fortran_order` and `shape`.
fn parse_header(header: &str) -> Result<(Element, Vec<usize>), String> {
    let value = |key: &str| {
        let (_, rest) = header
            .split_once(&format!("'{key}':"))
            .ok_or(format!("header lacks `{key}`"))?;
        Ok::<&str, String>(rest.trim_start())
    };
    let descr = value("descr")?
        .strip_prefix('\'')
        .and_then(|rest| rest.split_once('\''));
    let (descr, _) = descr.ok_or("structured elements")?;
    let element =
        Element::from_descr(descr).ok_or_else(|| format!("elements of type `{descr}`"))?;
    if !value("fortran_order")?.starts_with("False") {
        return Err("columns first (fortran_order); rows first is read".to_owned());
    }
    let shape = value("shape")?
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'));
    let (shape, _) = shape.ok_or("header lacks the tuple `shape`")?;
    let shape = shape
        .split(',')
        .map(str::trim)
        .filter(|extent| !extent.is_empty())
        .map(|extent| extent.parse().map_err(|_| format!("extent `{extent}`")))
        .collect::<Result<Vec<usize>, _>>()?;
    if shape.len() > 8 {
        return Err(format!("{} dimensions", shape.len()));
    }
    Ok((element, shape))
}

impl Array {
    fn elements<const N: usize>(&self) -> impl Iterator<Item = [u8; N]> + '_ {
        self.bytes.chunks_exact(N).map(|chunk| {
            let mut element = [0; N];
            element.copy_from_slice(chunk);
            element
        })
    }

    /// Non-negative integers.
    pub(super) fn indices(&self) -> Result<Vec<usize>, String> {
        let refused = || "a value that is not a class".to_owned();
        let unsigned = |n: u64| usize::try_from(n).map_err(|_| refused());
        let signed = |n: i64| usize::try_from(n).map_err(|_| refused());
        match self.element {
            Element::U8 => Ok(self.bytes.iter().map(|byte| usize::from(*byte)).collect()),
            Element::I8 => self
                .elements()
                .map(|b| signed(i8::from_le_bytes(b).into()))
                .collect(),
            Element::U16 => self
                .elements()
                .map(|b| unsigned(u16::from_le_bytes(b).into()))
                .collect(),
            Element::I16 => self
                .elements()
                .map(|b| signed(i16::from_le_bytes(b).into()))
                .collect(),
            Element::U32 => self
                .elements()
                .map(|b| unsigned(u32::from_le_bytes(b).into()))
                .collect(),
            Element::I32 => self
                .elements()
                .map(|b| signed(i32::from_le_bytes(b).into()))
                .collect(),
            Element::U64 => self
                .elements()
                .map(|b| unsigned(u64::from_le_bytes(b)))
                .collect(),
            Element::I64 => self
                .elements()
                .map(|b| signed(i64::from_le_bytes(b)))
                .collect(),
            _ => Err("elements that are not integers".to_owned()),
        }
    }

    /// Single-precision values.
    pub(super) fn reals(&self) -> Option<Vec<f32>> {
        match self.element {
            Element::F32 => Some(self.elements().map(f32::from_le_bytes).collect()),
            // Doubles are rounded to the network's precision.
            #[allow(clippy::cast_possible_truncation)]
            Element::F64 => Some(
                self.elements()
                    .map(|b| f64::from_le_bytes(b) as f32)
                    .collect(),
            ),
            _ => None,
        }
    }

    /// Texts.
    pub(super) fn texts(&self) -> Option<Vec<String>> {
        match self.element {
            Element::Text(length) => {
                let text = |bytes: &[u8]| {
                    String::from_utf8_lossy(bytes)
                        .trim_end_matches('\0')
                        .to_owned()
                };
                Some(self.bytes.chunks_exact(length).map(text).collect())
            }
            Element::Unicode(length) => {
                let text = |bytes: &[u8]| {
                    bytes
                        .chunks_exact(4)
                        .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                        .filter(|code| *code != 0)
                        .map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
                        .collect()
                };
                Some(self.bytes.chunks_exact(4 * length).map(text).collect())
            }
            _ => None,
        }
    }
}
