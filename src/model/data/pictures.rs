//! Data sets of PNG and JPEG files.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use image::imageops::FilterType;
use image::{DynamicImage, ImageReader, Limits};
use ndarray::Array4;
use zip::ZipArchive;

use super::{DataError, DataOptions, Dataset, IMAGE_BYTES_MAX, Images, stem};
use crate::model::float::Shape;

/// Largest picture file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 26;
/// Largest width and height of a picture, in pixels.
const SIDE_PIXELS_MAX: u32 = 1 << 14;
/// Most memory of the decoder, in bytes.
const DECODER_BYTES_MAX: u64 = 1 << 28;
/// Largest `labels.csv`, in bytes.
const LABELS_BYTES_MAX: u64 = 1 << 26;

fn is_picture(name: &str) -> bool {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    ["png", "jpg", "jpeg"]
        .iter()
        .any(|known| extension.eq_ignore_ascii_case(known))
}

fn base_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// A folder's pictures, without those of its subfolders.
pub(super) fn load_folder(path: &Path, options: &DataOptions) -> Result<Dataset, DataError> {
    let io = |cause| DataError::io(path, cause);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).map_err(io)? {
        let name = entry
            .map_err(io)?
            .file_name()
            .to_string_lossy()
            .into_owned();
        if is_picture(&name) {
            names.push(name);
        }
    }
    let read = |name: &str| {
        let file = path.join(name);
        let stream = File::open(&file).map_err(|cause| DataError::io(&file, cause))?;
        read_picture(stream, path, name)
    };
    collect(path, names, &path.join("labels.csv"), options, read)
}

/// A zip's pictures, in whatever folders.
pub(super) fn load_zip(path: &Path, options: &DataOptions) -> Result<Dataset, DataError> {
    let file = File::open(path).map_err(|cause| DataError::io(path, cause))?;
    let mut archive = ZipArchive::new(BufReader::new(file))
        .map_err(|error| DataError::part(path, "archive", error.to_string()))?;
    let names = archive
        .file_names()
        .filter_map(Result::ok)
        .filter(|name| is_picture(name));
    let names: Vec<String> = names.map(std::borrow::Cow::into_owned).collect();
    let read = |name: &str| {
        let entry = archive
            .by_name(name)
            .map_err(|error| DataError::part(path, name, error.to_string()))?;
        read_picture(entry, path, name)
    };
    let labels = path.with_file_name("labels.csv");
    collect(path, names, &labels, options, read)
}

/// One picture.
pub(super) fn load_one(path: &Path, options: &DataOptions) -> Result<Dataset, DataError> {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let file = File::open(path).map_err(|cause| DataError::io(path, cause))?;
    let mut file = Some(file);
    let read = |name: &str| match file.take() {
        Some(file) => read_picture(file, path, name),
        None => Err(DataError::UnknownKind {
            path: path.to_owned(),
        }),
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    collect(path, vec![name], &folder.join("labels.csv"), options, read)
}

fn read_picture(stream: impl Read, path: &Path, name: &str) -> Result<Vec<u8>, DataError> {
    let failed = |reason: String| DataError::part(path, format!("picture `{name}`"), reason);
    let mut bytes = Vec::new();
    stream
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| failed(e.to_string()))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        return Err(failed(format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

/// Decodes the pictures in order of their names and finds their labels.
fn collect(
    path: &Path,
    mut names: Vec<String>,
    labels: &Path,
    options: &DataOptions,
    mut read: impl FnMut(&str) -> Result<Vec<u8>, DataError>,
) -> Result<Dataset, DataError> {
    names.sort_unstable();
    names.truncate(options.limit.unwrap_or(usize::MAX));
    if names.is_empty() {
        return Err(DataError::part(
            path,
            "pictures",
            "no .png, .jpg or .jpeg files (those of subfolders are not read)",
        ));
    }
    let mut size = options.size;
    let mut pixels = Vec::new();
    for name in &names {
        let bytes = read(name)?;
        let failed = |reason: String| DataError::part(path, format!("picture `{name}`"), reason);
        let picture = decode(bytes).map_err(failed)?;
        // Without a wanted size, the first picture's is everyone's.
        let size = *size.get_or_insert_with(|| size_of(&picture));
        if size
            .elements()
            .checked_mul(names.len())
            .is_none_or(|bytes| bytes > IMAGE_BYTES_MAX)
        {
            return Err(failed(format!(
                "{} pictures of {size:?} exceed {IMAGE_BYTES_MAX} bytes",
                names.len()
            )));
        }
        pixels.extend(fit(&picture, size, options.central_fraction).map_err(failed)?);
    }
    let Shape {
        height,
        width,
        channels,
    } = size.unwrap_or(Shape {
        height: 0,
        width: 0,
        channels: 0,
    });
    let images = Array4::from_shape_vec((names.len(), height, width, channels), pixels)
        .map_err(|error| DataError::part(path, "pictures", error.to_string()))?;
    let labels = if labels.is_file() {
        Some(find_labels(labels, &names)?)
    } else {
        None
    };
    let names = names
        .iter()
        .map(|name| base_name(name).to_owned())
        .collect();
    Ok(Dataset {
        name: stem(path),
        images: Images::Pixels(images),
        labels,
        names: Some(names),
    })
}

fn decode(bytes: Vec<u8>) -> Result<DynamicImage, String> {
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|e| e.to_string())?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_PIXELS_MAX);
    limits.max_image_height = Some(SIDE_PIXELS_MAX);
    limits.max_alloc = Some(DECODER_BYTES_MAX);
    reader.limits(limits);
    reader.decode().map_err(|error| error.to_string())
}

fn size_of(picture: &DynamicImage) -> Shape {
    let extent = |pixels: u32| usize::try_from(pixels).unwrap_or(usize::MAX);
    let channels = if picture.color().has_color() { 3 } else { 1 };
    Shape {
        height: extent(picture.height()),
        width: extent(picture.width()),
        channels,
    }
}

/// A picture's pixels `[h, w, c]` at a size; see the module's scaling rule.
fn fit(picture: &DynamicImage, size: Shape, central_fraction: f32) -> Result<Vec<u8>, String> {
    let extent = |n: usize| {
        u32::try_from(n)
            .ok()
            .filter(|n| (1..=SIDE_PIXELS_MAX).contains(n))
    };
    let (Some(width), Some(height)) = (extent(size.width), extent(size.height)) else {
        return Err(format!("pictures cannot be brought to {size:?}"));
    };
    if !(central_fraction > 0.0 && central_fraction <= 1.0) {
        return Err(format!(
            "the central fraction {central_fraction} is not in (0, 1]"
        ));
    }
    let scaled;
    let picture = if (picture.width(), picture.height()) == (width, height) {
        picture
    } else {
        let (from_width, from_height) = (f64::from(picture.width()), f64::from(picture.height()));
        let ratio = (from_width / f64::from(width)).min(from_height / f64::from(height));
        let side = |pixels: u32, most: u32| {
            let kept = (f64::from(pixels) * ratio * f64::from(central_fraction)).round();
            // In 1..=most by the clamp.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let kept = kept.clamp(1.0, f64::from(most)) as u32;
            kept
        };
        let (cut_width, cut_height) =
            (side(width, picture.width()), side(height, picture.height()));
        let (x, y) = (
            (picture.width() - cut_width) / 2,
            (picture.height() - cut_height) / 2,
        );
        let cut = picture.crop_imm(x, y, cut_width, cut_height);
        scaled = cut.resize_exact(width, height, FilterType::Triangle);
        &scaled
    };
    match size.channels {
        1 => Ok(picture.to_luma8().into_raw()),
        3 => Ok(picture.to_rgb8().into_raw()),
        channels => Err(format!("pictures cannot be brought to {channels} channels")),
    }
}

/// The labels of pictures, from a table whose header names its columns.
fn find_labels(path: &Path, pictures: &[String]) -> Result<Vec<usize>, DataError> {
    let failed = |part: &str, reason: String| DataError::part(path, part, reason);
    let file = File::open(path).map_err(|cause| DataError::io(path, cause))?;
    let mut text = String::new();
    file.take(LABELS_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|cause| DataError::io(path, cause))?;
    let mut lines = text.lines();
    let header = split_fields(lines.next().unwrap_or_default());
    let column = |names: &[&str]| {
        header
            .iter()
            .position(|field| names.contains(&field.as_str()))
    };
    let Some(label_column) = column(&["label", "class_index", "class"]) else {
        return Err(failed(
            "header",
            "no column `label`, `class_index` or `class`".to_owned(),
        ));
    };
    let by_file = column(&["file"]);
    let Some(key_column) = by_file.or(column(&["index"])) else {
        return Err(failed("header", "no column `file` or `index`".to_owned()));
    };
    let mut labels = HashMap::new();
    for (number, line) in lines.enumerate().filter(|(_, line)| !line.is_empty()) {
        let fields = split_fields(line);
        let part = || format!("line {}", number + 2);
        let label = fields
            .get(label_column)
            .and_then(|label| label.trim().parse::<usize>().ok());
        let (Some(key), Some(label)) = (fields.get(key_column), label) else {
            return Err(failed(&part(), format!("`{line}` lacks a key or a label")));
        };
        let key = if by_file.is_some() {
            key.clone()
        } else {
            without_zeros(key).to_owned()
        };
        labels.insert(key, label);
    }
    let label = |picture: &String| {
        let name = base_name(picture);
        let digits = name.len() - name.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let key = if by_file.is_some() {
            name
        } else {
            without_zeros(&name[..digits])
        };
        labels
            .get(key)
            .copied()
            .ok_or_else(|| failed("pictures", format!("no label for `{name}`")))
    };
    pictures.iter().map(label).collect()
}

fn without_zeros(number: &str) -> &str {
    let number = number.trim();
    let rest = number.trim_start_matches('0');
    if rest.is_empty() && !number.is_empty() {
        "0"
    } else {
        rest
    }
}

/// Fields of a line; a field in quotes may hold commas and doubled quotes.
fn split_fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.trim_end_matches('\r').chars().peekable();
    while let Some(character) = characters.next() {
        let last = fields.len() - 1;
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                fields[last].push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            _ => fields[last].push(character),
        }
    }
    fields
}
