//! Damaged files: an error, never a panic and no memory out of proportion.

use super::build::File;
use super::networks;
use crate::model::onnx::{import_float, read, read_tensor, write};

/// Small files of each kind.
fn seeds() -> Vec<Vec<u8>> {
    let mut shapes = File::new(&[1, 3, 4, 4]);
    shapes.integers("first", &[0]);
    shapes.integers("open", &[-1]);
    shapes.integers("pads", &[0, 1, 1, 0, 0, 0, 0, 1]);
    shapes.integers("two", &[2, 2]);
    shapes.integers("zero", &[0, 0]);
    shapes.integers("many", &[9, 9]);
    shapes.integers("axes", &[2, 3]);
    shapes.reals("w", &[2, 4, 2, 2], &[0.5; 32]);
    shapes.reals("v", &[3, 18], &[0.25; 54]);
    shapes.reals("c", &[2, 1, 1], &[1.0, 2.0]);
    shapes.node("Pad", "", &["x", "pads"], "padded");
    shapes
        .node("Conv", "", &["padded", "w"], "conv")
        .ints("strides", &[1, 1]);
    shapes.node("Mul", "", &["conv", "c"], "scaled");
    shapes
        .node("LeakyRelu", "", &["scaled"], "leaky")
        .float("alpha", 0.5);
    shapes
        .node("AveragePool", "", &["leaky"], "pool")
        .ints("kernel_shape", &[2, 2])
        .int("ceil_mode", 1);
    shapes.node(
        "Slice",
        "",
        &["pool", "zero", "many", "axes", "two"],
        "picked",
    );
    shapes.node("Shape", "", &["picked"], "shape");
    shapes.node("Gather", "", &["shape", "first"], "batch");
    shapes
        .node("Concat", "", &["batch", "open"], "target")
        .int("axis", 0);
    shapes.node("Reshape", "", &["picked", "target"], "flat");
    shapes.node("Softmax", "", &["flat"], "y").int("axis", 1);
    vec![
        include_bytes!("seeds/classifier.onnx").to_vec(),
        write(&networks::all_layers()).unwrap(),
        shapes.bytes("y"),
        include_bytes!("../../../../tests/host/onnxruntime/qdq.onnx").to_vec(),
        include_bytes!("../../../../tests/host/onnxruntime/qoperator.onnx").to_vec(),
    ]
}

/// xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % count as u64) as usize
    }
}

#[test]
fn the_seed_is_what_the_writer_writes() {
    let network = networks::classifier();
    assert_eq!(
        crate::model::onnx::read_integer(&seeds()[0], &network.name).unwrap(),
        network
    );
}

#[test]
fn truncated_files_are_errors_or_networks() {
    for seed in seeds() {
        assert!(import_float(&seed, "seed").is_ok() || read(&seed, "seed").is_err());
        for length in 0..seed.len().min(1500) {
            let _ = read(&seed[..length], "cut");
        }
        assert!(read(&seed[..seed.len() / 2], "cut").is_err());
    }
}

#[test]
fn damaged_files_do_not_panic() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut errors = 0;
    let seeds = seeds();
    for round in 0..4000 {
        for seed in &seeds {
            let mut file = seed.clone();
            for _ in 0..=random.below(4) {
                let place = random.below(file.len());
                match random.below(4) {
                    0 => file[place] ^= 1 << random.below(8),
                    1 => file[place] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
                    2 => drop(file.drain(place..(place + random.below(9)).min(file.len()))),
                    _ => {
                        let from = random.below(file.len());
                        let part = file[from..(from + random.below(40)).min(file.len())].to_vec();
                        file.splice(place..place, part);
                    }
                }
            }
            let result = read(&file, "damaged");
            errors += usize::from(result.is_err());
            if round % 16 == 0 {
                let _ = read_tensor(&file);
            }
        }
    }
    assert!(
        errors > 5000,
        "only {errors} of 20000 damaged files are refused"
    );
}

#[test]
fn sizes_out_of_proportion_are_refused() {
    let huge = 1 << 40;
    for input in [
        [1, huge, 1, 1],
        [1, 1 << 20, 1 << 20, 1 << 20],
        [huge, 1, 1, 1],
        [1, 3, -1, 0],
    ] {
        let mut file = File::new(&input);
        file.node("Relu", "", &["x"], "y");
        assert!(import_float(&file.bytes("y"), "huge").is_err(), "{input:?}");
    }
    for (pads, kernel) in [
        ([0, huge, 0, 0, 0, 0, 0, 0], 1),
        ([0, 0, 1 << 20, 1 << 20, 0, 0, 0, 0], 1),
        ([0; 8], huge),
    ] {
        let mut file = File::new(&[1, 3, 4, 4]);
        file.integers("pads", &pads);
        file.node("Pad", "", &["x", "pads"], "a");
        file.node("AveragePool", "", &["a"], "y")
            .ints("kernel_shape", &[kernel, 1])
            .int("count_include_pad", 1);
        assert!(
            import_float(&file.bytes("y"), "huge").is_err(),
            "{pads:?} {kernel}"
        );
    }
    let mut file = File::new(&[1, 3, 4, 4]);
    file.integers("shape", &[huge, huge]);
    file.node("ConstantOfShape", "", &["shape"], "zeros");
    file.node("Add", "", &["x", "zeros"], "y");
    assert!(import_float(&file.bytes("y"), "huge").is_err());
}
