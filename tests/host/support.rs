//! What the host tests share: the data folder, and networks of one layer.

// Each test uses its own part.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::Command;

use bitweft::model::integer::{
    InputTransform, IntegerLayer, IntegerNetwork, IntegerOp, IntegerTensor, Rounding, Shape,
};

/// A file of the data folder: `$BITWEFT_DATA`, by default `../shared/data`. `None`, with a line in
/// the test's output, where there is no such folder: the test is then skipped.
///
/// # Panics
/// Where the folder lacks the file.
pub(crate) fn data(test: &str, file: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("BITWEFT_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    if !folder.is_dir() {
        println!(
            "SKIPPED {test}: no data folder {} (set BITWEFT_DATA)",
            folder.display()
        );
        return None;
    }
    let path = folder.join(file);
    assert!(path.exists(), "{} is missing", path.display());
    Some(path)
}

/// A tensor of scale 1.
pub(crate) fn tensor(shape: [usize; 3], zero_point: i32) -> IntegerTensor {
    let [height, width, channels] = shape;
    let name = format!("{shape:?}");
    IntegerTensor {
        name,
        shape: Shape {
            height,
            width,
            channels,
        },
        scale: 1.0,
        zero_point,
    }
}

/// A network of one layer.
pub(crate) fn one_layer(
    op: IntegerOp,
    rounding: Rounding,
    input: IntegerTensor,
    output: IntegerTensor,
) -> IntegerNetwork {
    IntegerNetwork {
        name: "one layer".into(),
        rounding,
        tensors: vec![input, output],
        layers: vec![IntegerLayer {
            name: "layer".into(),
            op,
            inputs: vec![0],
            output: 1,
        }],
        input: 0,
        output: 1,
        input_transform: InputTransform::default(),
    }
}

/// SplitMix64: a value from a seed and a position.
pub(crate) fn hash(seed: u64, position: usize) -> u64 {
    let mut z = seed.wrapping_add((position as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The Python of the folder that `scripts/setup` makes.
///
/// # Panics
/// Where `scripts/setup` has not run.
pub(crate) fn python() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/setup");
    let output = Command::new(script)
        .arg("--path")
        .output()
        .expect("scripts/setup --path");
    let folder = String::from_utf8(output.stdout).expect("a path");
    let python = Path::new(folder.trim()).join("bin/python");
    assert!(
        python.exists(),
        "{} is missing, which runs the oracle; help: run scripts/setup",
        python.display()
    );
    python
}
