//! Data sets in NumPy's `.npz` archives.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use ndarray::Array4;
use zip::ZipArchive;

use super::npy::{self, Array, Element};
use super::{DataError, DataOptions, Dataset, IMAGE_BYTES_MAX, Images, stem};

const IMAGE_ARRAYS: [&str; 5] = ["images", "X", "x", "inputs", "features"];
const LABEL_ARRAYS: [&str; 4] = ["labels", "Y", "y", "targets"];
const NAME_ARRAYS: [&str; 2] = ["names", "files"];
/// Most bytes of labels or names.
const SIDE_BYTES_MAX: usize = 1 << 26;

fn open(path: &Path) -> Result<ZipArchive<BufReader<File>>, DataError> {
    let file = File::open(path).map_err(|cause| DataError::io(path, cause))?;
    archive(BufReader::new(file), path)
}

fn archive<R: Read + Seek>(file: R, path: &Path) -> Result<ZipArchive<R>, DataError> {
    ZipArchive::new(file).map_err(|e| DataError::part(path, "archive", e.to_string()))
}

fn entries<R: Read + Seek>(archive: &ZipArchive<R>) -> Vec<String> {
    archive
        .file_names()
        .filter_map(Result::ok)
        .map(std::borrow::Cow::into_owned)
        .collect()
}

/// Whether an archive holds arrays.
pub(super) fn is_npz(path: &Path) -> Result<bool, DataError> {
    Ok(entries(&open(path)?)
        .iter()
        .any(|name| name.ends_with(".npy")))
}

/// Loads the images, and the labels and names where there are any.
pub(super) fn load(path: &Path, options: &DataOptions) -> Result<Dataset, DataError> {
    read(open(path)?, path, options)
}

/// As [`load`], from an archive in memory; `name` stands for the path.
pub(super) fn load_bytes(
    bytes: &[u8],
    name: &Path,
    options: &DataOptions,
) -> Result<Dataset, DataError> {
    read(archive(std::io::Cursor::new(bytes), name)?, name, options)
}

fn read<R: Read + Seek>(
    mut archive: ZipArchive<R>,
    path: &Path,
    options: &DataOptions,
) -> Result<Dataset, DataError> {
    let names = entries(&archive);
    let find = |wanted: &[&'static str]| {
        let has = |name: &&&str| {
            names
                .iter()
                .any(|entry| entry.strip_suffix(".npy") == Some(name))
        };
        wanted.iter().find(has).copied()
    };
    let Some(images) = find(&IMAGE_ARRAYS) else {
        let reason = format!("none of the arrays {IMAGE_ARRAYS:?}; it holds {names:?}");
        return Err(DataError::part(path, "images", reason));
    };
    let (labels, texts) = (find(&LABEL_ARRAYS), find(&NAME_ARRAYS));
    let mut read = |array: &str, bytes_max: usize| {
        let failed = |reason: String| DataError::part(path, format!("array `{array}`"), reason);
        let entry = archive
            .by_name(&format!("{array}.npy"))
            .map_err(|e| failed(e.to_string()))?;
        npy::read(entry, options.limit, bytes_max).map_err(failed)
    };

    let array = read(images, IMAGE_BYTES_MAX)?;
    let of_images = |reason: String| DataError::part(path, format!("array `{images}`"), reason);
    let images = to_images(array).map_err(of_images)?;
    let count = images.dim().0;
    let mut dataset = Dataset {
        name: stem(path),
        images,
        labels: None,
        names: None,
    };
    if let Some(name) = labels {
        let array = read(name, SIDE_BYTES_MAX)?;
        let failed = |reason: String| DataError::part(path, format!("array `{name}`"), reason);
        check_rows(&array, count).map_err(failed)?;
        dataset.labels = Some(array.indices().map_err(failed)?);
    }
    if let Some(name) = texts {
        let array = read(name, SIDE_BYTES_MAX)?;
        let failed = |reason: String| DataError::part(path, format!("array `{name}`"), reason);
        check_rows(&array, count).map_err(failed)?;
        dataset.names = Some(
            array
                .texts()
                .ok_or_else(|| failed("elements that are not text".into()))?,
        );
    }
    Ok(dataset)
}

/// Reads an array of strings, as [`super::read_names`] says.
pub(super) fn read_names(path: &Path, array: &str) -> Result<Vec<String>, DataError> {
    let failed = |reason: String| DataError::part(path, format!("array `{array}`"), reason);
    let mut archive = open(path)?;
    let entry = archive
        .by_name(&format!("{array}.npy"))
        .map_err(|e| failed(e.to_string()))?;
    let array = npy::read(entry, None, SIDE_BYTES_MAX).map_err(failed)?;
    array
        .texts()
        .ok_or_else(|| failed("elements that are not text".into()))
}

fn check_rows(array: &Array, count: usize) -> Result<(), String> {
    if array.shape != [count] {
        return Err(format!("shape {:?} beside {count} images", array.shape));
    }
    Ok(())
}

fn to_images(array: Array) -> Result<Images, String> {
    let dim = match array.shape[..] {
        [n, height, width, channels] => (n, height, width, channels),
        [n, height, width] => (n, height, width, 1),
        [n, channels] => (n, 1, 1, channels),
        _ => {
            return Err(format!(
                "shape {:?}; [n, h, w, c], [n, h, w] or [n, c] is read",
                array.shape
            ));
        }
    };
    let unfit = |error: ndarray::ShapeError| error.to_string();
    match array.element {
        Element::U8 => Array4::from_shape_vec(dim, array.bytes)
            .map(Images::Pixels)
            .map_err(unfit),
        Element::I8 => {
            let signed = array.bytes.into_iter().map(u8::cast_signed).collect();
            Array4::from_shape_vec(dim, signed)
                .map(Images::Signed)
                .map_err(unfit)
        }
        _ => match array.reals() {
            Some(reals) if reals.iter().all(|real| real.is_finite()) => {
                Array4::from_shape_vec(dim, reals)
                    .map(Images::Real)
                    .map_err(unfit)
            }
            Some(_) => Err("values that are not numbers".to_owned()),
            None => Err(format!(
                "elements of type {:?}; u8, i8, f32 and f64 are read",
                array.element
            )),
        },
    }
}
