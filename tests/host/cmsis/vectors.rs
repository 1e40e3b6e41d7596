//! Reader of CMSIS-NN's test cases: C headers of `#define`s and constant arrays.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The archive's files by path.
pub(crate) struct Vectors {
    files: BTreeMap<String, String>,
}

/// One case: what its `test_data.h` includes.
pub(crate) struct Case {
    pub(crate) name: String,
    constants: BTreeMap<String, i64>,
    arrays: BTreeMap<String, Vec<i64>>,
}

impl Vectors {
    pub(crate) fn open(path: &Path) -> Self {
        let mut archive =
            zip::ZipArchive::new(File::open(path).expect("open")).expect("a zip file");
        let mut files = BTreeMap::new();
        for index in 0..archive.len() {
            let mut file = archive.by_index(index).expect("a member");
            let mut text = String::new();
            file.read_to_string(&mut text).expect("text");
            files.insert(file.name().expect("a path").into_owned(), text);
        }
        Self { files }
    }

    /// Every folder with a test case.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        self.files
            .keys()
            .filter_map(|path| path.strip_suffix("/test_data.h"))
            .collect()
    }

    /// Reads a case; stale headers that `test_data.h` does not include are ignored.
    pub(crate) fn case(&self, name: &str) -> Case {
        let mut case = Case {
            name: name.into(),
            constants: BTreeMap::new(),
            arrays: BTreeMap::new(),
        };
        let index = &self.files[&format!("{name}/test_data.h")];
        for line in index.lines() {
            if let Some(header) = line.strip_prefix("#include \"") {
                let header = header.trim_end().trim_end_matches('"');
                case.read(&self.files[&format!("{name}/{header}")]);
            }
        }
        case
    }
}

impl Case {
    fn read(&mut self, header: &str) {
        let prefix = format!("{}_", self.name);
        let upper = prefix.to_uppercase();
        for line in header.lines() {
            let mut words = line.split_whitespace();
            if words.next() == Some("#define")
                && let (Some(key), Some(Ok(value))) = (words.next(), words.next().map(str::parse))
            {
                self.constants
                    .insert(key.strip_prefix(&upper).unwrap_or(key).into(), value);
            }
        }
        // Pointers that alias an array or are NULL have no braces.
        for definition in header.split("const ").skip(1) {
            let Some((head, body)) = definition.split_once('{') else {
                continue;
            };
            let Some((declared, _)) = head.split_once('[') else {
                continue;
            };
            let Some(key) = declared.split_whitespace().last() else {
                continue;
            };
            let (body, _) = body.split_once('}').expect("a closing brace");
            let values = body
                .split(',')
                .map(str::trim)
                .filter(|value| !value.is_empty())
                .map(|value| value.parse().expect("a number"))
                .collect();
            self.arrays
                .insert(key.strip_prefix(&prefix).unwrap_or(key).into(), values);
        }
    }

    /// A layer of a case that is a whole network.
    pub(crate) fn layer(&self, number: usize, kind: &str) -> Self {
        fn strip<T: Clone>(map: &BTreeMap<String, T>, prefix: &str) -> BTreeMap<String, T> {
            map.iter()
                .filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.into(), value.clone())))
                .collect()
        }
        Self {
            name: format!("{} layer {number}", self.name),
            constants: strip(
                &self.constants,
                &format!("{}_{number}_", kind.to_uppercase()),
            ),
            arrays: strip(&self.arrays, &format!("layer_{number}_{kind}_")),
        }
    }

    /// Sets a constant.
    pub(crate) fn set(&mut self, key: &str, value: i64) {
        self.constants.insert(key.into(), value);
    }

    /// A constant; its absence is an error in the case list.
    pub(crate) fn constant(&self, key: &str) -> i64 {
        self.optional(key)
            .unwrap_or_else(|| panic!("{} has no {key}", self.name))
    }

    pub(crate) fn optional(&self, key: &str) -> Option<i64> {
        self.constants.get(key).copied()
    }

    pub(crate) fn size(&self, key: &str) -> usize {
        usize::try_from(self.constant(key)).expect("a size")
    }

    /// The array of the first of several names that the case has.
    pub(crate) fn array(&self, keys: &[&str]) -> Option<&[i64]> {
        keys.iter()
            .find_map(|key| self.arrays.get(*key))
            .map(Vec::as_slice)
    }

    pub(crate) fn values(&self, keys: &[&str]) -> Vec<i64> {
        self.array(keys)
            .unwrap_or_else(|| panic!("{} has none of {keys:?}", self.name))
            .to_vec()
    }

    /// An int8 array as bytes `q + 128`.
    pub(crate) fn bytes(&self, keys: &[&str]) -> Vec<u8> {
        self.values(keys).into_iter().map(byte).collect()
    }

    /// The weights; two 4-bit weights a byte, the low half first, where the array is half as long.
    pub(crate) fn weights(&self, key: &str, count: usize) -> Vec<i8> {
        let alternative = format!("input_{key}");
        // Packed pairs are written as unsigned bytes.
        let packed: Vec<i8> = self
            .values(&[key, &alternative])
            .into_iter()
            .map(|value| i8::try_from(if value > 127 { value - 256 } else { value }).expect("int8"))
            .collect();
        if packed.len() == count {
            return packed;
        }
        assert_eq!(
            packed.len(),
            count.div_ceil(2),
            "{}: 4-bit weights",
            self.name
        );
        packed
            .iter()
            .flat_map(|&pair| [pair << 4 >> 4, pair >> 4])
            .take(count)
            .collect()
    }
}

/// `q + 128`.
pub(crate) fn byte(value: i64) -> u8 {
    u8::try_from(value + 128).expect("an int8 value")
}
