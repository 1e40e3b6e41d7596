//! Damaged and hostile files: an error or a network, never a panic, and no memory out of proportion.
//!
//! Seeds are small files that our writers made (`tests/fuzz/seeds`) and, where the data folder is there,
//! published networks. Every change is drawn from a fixed seed; a failure names the file and the round.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::fs;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use bitweft::golden::network::Executor;
use bitweft::model::data::{DataOptions, Dataset};
use bitweft::model::load::Model;
use bitweft::model::{bwfile, tflite};
use sha2::{Digest, Sha256};

/// Most memory that reading one file after another may ever take, beyond what was there before.
const GROWTH_KIB_MAX: u64 = 512 * 1024;

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(count).unwrap()).unwrap()
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// One to four changes: bits, bytes, words that look like offsets, lengths or sizes, cuts, copies.
    fn damage(&mut self, file: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            if file.len() < 8 {
                return;
            }
            let place = self.below(file.len());
            match self.below(8) {
                0 => file[place] ^= 1 << self.below(8),
                1 => file[place] = self.pick(&[0, 1, 0x7f, 0x80, 0xff]),
                2 => file.truncate(place),
                3 => {
                    let end = (place + self.below(9)).min(file.len());
                    file.drain(place..end);
                }
                4 => {
                    let from = self.below(file.len());
                    let part = file[from..(from + self.below(40)).min(file.len())].to_vec();
                    file.splice(place..place, part);
                }
                _ => self.change_word(file),
            }
        }
    }

    /// Changes an aligned word, rather one that holds a small number, as FlatBuffers' structure does.
    fn change_word(&mut self, file: &mut [u8]) {
        let words = file.len() / 4;
        let read = |file: &[u8], word: usize| {
            u32::from_le_bytes(file[4 * word..4 * word + 4].try_into().unwrap())
        };
        let mut word = self.below(words);
        for _ in 0..8 {
            if read(file, word) < 1 << 16 {
                break;
            }
            word = self.below(words);
        }
        let old = read(file, word);
        let new = match self.below(6) {
            0 => old.wrapping_add(4),
            1 => old.wrapping_sub(4),
            2 => u32::try_from(self.below(file.len())).unwrap(),
            3 => self.pick(&[0, 1, 2, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]),
            4 => 1 << self.below(32),
            _ => old ^ (1 << self.below(32)),
        };
        file[4 * word..4 * word + 4].copy_from_slice(&new.to_le_bytes());
    }
}

fn seeds(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/seeds")
        .join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{}", folder.display());
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    files
        .iter()
        .map(|path| (name(path), fs::read(path).unwrap()))
        .collect()
}

fn published(files: &[&str]) -> Vec<(String, Vec<u8>)> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("BITWEFT_DATA").map_or_else(default, PathBuf::from);
    if !folder.is_dir() {
        eprintln!(
            "skipped: {files:?}: there is no data folder {}",
            folder.display()
        );
        return Vec::new();
    }
    files
        .iter()
        .map(|file| ((*file).to_owned(), fs::read(folder.join(file)).unwrap()))
        .collect()
}

/// The process's peak of resident memory in KiB, where the system tells it.
fn peak_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Damages each file `rounds` times and reads it; `read` returns whether the file was accepted.
fn bombard(files: &[(String, Vec<u8>)], rounds: u64, read: impl Fn(&[u8]) -> bool) -> usize {
    let before = peak_kib();
    let mut accepted = 0;
    for (name, seed) in files {
        assert!(read(seed), "the seed {name} itself is refused");
        for round in 0..rounds {
            let mut file = seed.clone();
            Random(round).damage(&mut file);
            let result = catch_unwind(AssertUnwindSafe(|| read(&file)));
            match result {
                Ok(taken) => accepted += usize::from(taken),
                Err(_) => panic!("{name}, round {round}: a panic"),
            }
        }
    }
    if let (Some(before), Some(after)) = (before, peak_kib()) {
        assert!(
            after - before < GROWTH_KIB_MAX,
            "memory grew from {before} KiB to {after} KiB"
        );
    }
    accepted
}

/// Reads a network, and checks an accepted integer one as the golden model does before it runs one.
fn read_tflite(file: &[u8]) -> bool {
    match tflite::read(file, "damaged") {
        Ok(Model::Integer(network)) => {
            let _ = Executor::new(&network);
            let _ = tflite::write(&network);
            true
        }
        Ok(Model::Float(_)) => true,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

#[test]
fn damaged_tflite_seeds() {
    let files = seeds("tflite");
    let accepted = bombard(&files, 6000, read_tflite);
    assert!(
        accepted < 3 * files.len() * 6000 / 4,
        "{accepted} were accepted"
    );
    for (_, seed) in &files {
        for length in 0..seed.len() {
            let _ = read_tflite(&seed[..length]);
        }
    }
}

#[test]
fn damaged_published_networks() {
    let files = published(&[
        "mlperf-tiny/kws_ref_model.tflite",
        "mlperf-tiny/pretrainedResnet_quant.tflite",
        "mlperf-tiny/pretrainedResnet.tflite",
    ]);
    bombard(&files, 400, read_tflite);
}

/// Damage alone never passes the checksum, so it is made right again.
#[test]
fn damaged_bw_files_with_right_checksums() {
    let accepted = bombard(&seeds("bw"), 6000, |file| {
        let mut file = file.to_vec();
        if file.len() >= 56 {
            let content = file.len() - 32;
            let header = u32::from_le_bytes(file[12..16].try_into().unwrap());
            if let Some(blobs) = (content as u64 - 24).checked_sub(u64::from(header)) {
                file[16..24].copy_from_slice(&blobs.to_le_bytes());
            }
            let checksum = Sha256::digest(&file[..content]);
            file[content..].copy_from_slice(&checksum);
        }
        match bwfile::decode(&file) {
            Ok(network) => {
                let _ = Executor::new(&network);
                assert_eq!(
                    bwfile::decode(&bwfile::encode(&network).unwrap()).unwrap(),
                    network
                );
                true
            }
            Err(_) => false,
        }
    });
    assert!(
        accepted > 100,
        "only {accepted} passed: the checksum was not made right"
    );
}

/// A small npz with images and labels, and a zip with a picture.
fn data_seeds() -> Vec<(String, Vec<u8>)> {
    let array = |descr: &str, shape: &str, bytes: &[u8]| {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}\n");
        let length = u16::try_from(header.len()).unwrap().to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), bytes].concat()
    };
    let zip = |entries: &[(&str, Vec<u8>)]| {
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, bytes) in entries {
            // Stored, so that damage reaches the arrays and not only the compression.
            let options = zip::write::SimpleFileOptions::default()
                .compression_method(zip::CompressionMethod::Stored);
            archive.start_file(*name, options).unwrap();
            archive.write_all(bytes).unwrap();
        }
        archive.finish().unwrap().into_inner()
    };
    let mut picture = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_fn(9, 7, |x, y| image::Rgb([x as u8, y as u8, 7]))
        .write_to(&mut picture, image::ImageFormat::Png)
        .unwrap();
    let mut photo = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_fn(17, 8, |x, y| image::Rgb([x as u8, y as u8, 7]))
        .write_to(&mut photo, image::ImageFormat::Jpeg)
        .unwrap();
    let arrays = [
        ("images.npy", array("|u1", "2, 4, 4, 3", &[9; 96])),
        ("labels.npy", array("<i8", "2,", &[0; 16])),
        ("names.npy", array("<U3", "2,", &[0; 24])),
    ];
    vec![
        ("arrays.npz".into(), zip(&arrays)),
        (
            "pictures.zip".into(),
            zip(&[
                ("a.png", picture.into_inner()),
                ("b.jpg", photo.into_inner()),
            ]),
        ),
    ]
}

#[test]
fn damaged_data_sets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    bombard(&data_seeds(), 2000, |file| {
        fs::write(&path, file).unwrap();
        match Dataset::load(&path, &DataOptions::default()) {
            Ok(_) => true,
            Err(error) => {
                assert!(error.to_string().contains("data"));
                false
            }
        }
    });
}
