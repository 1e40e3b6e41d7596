//! The embedded default: its accuracy in float arithmetic is the one that `assets/README.md` states, and quantization
//! costs little of it.

use bitweft::golden::{
    float,
    network::{Evaluation, Executor},
};
use bitweft::model::data::{Dataset, Images};
use bitweft::model::embedded;
use bitweft::model::integer::IntegerNetwork;
use bitweft::quant::{Allocation, Options, Quantizer};
use ndarray::{Array3, Axis, Slice};

fn labels(images: &Dataset) -> &[usize] {
    &images.labels.as_ref().expect("labels")[embedded::TEST]
}

fn float_top1(images: &Dataset) -> f64 {
    let network = embedded::network().expect("loads");
    let Images::Pixels(pixels) = &images.images else {
        panic!("pixels")
    };
    let test = pixels.slice_axis(Axis(0), Slice::from(embedded::TEST));
    let classes = float::classes(&float::evaluate(&network, test).expect("runs"));
    let labels = labels(images);
    let hits = classes.iter().zip(labels).filter(|(a, b)| a == b).count();
    hits as f64 / labels.len() as f64
}

fn integer_top1(network: &IntegerNetwork, images: &Dataset) -> f64 {
    let inputs = images.bytes_for(network, embedded::TEST).expect("fits");
    let executor = Executor::new(network).expect("valid");
    let outputs = executor.run_outputs(inputs.view()).expect("runs");
    let labels = labels(images);
    Evaluation::of(&outputs, labels).top1_correct as f64 / labels.len() as f64
}

/// The number in the line `| embedded test images | 0.965 |` of the page beside the files.
fn stated_top1() -> f64 {
    include_str!("../../assets/README.md")
        .lines()
        .find_map(|line| line.strip_prefix("| embedded test images |"))
        .and_then(|rest| rest.trim_end_matches('|').trim().parse().ok())
        .expect("the page states the accuracy")
}

#[test]
fn the_embedded_network_is_as_accurate_as_stated() {
    let images = embedded::images().expect("loads");
    assert_eq!(images.len(), embedded::TEST.end);
    let (found, stated) = (float_top1(&images), stated_top1());
    println!("top-1 {found}, stated {stated}");
    assert!((found - stated).abs() <= 0.005, "{found}, stated {stated}");
    // Neither learnt by heart nor badly: a loss by quantization can be seen.
    assert!((0.93..=0.985).contains(&found), "{found}");
}

#[test]
fn the_embedded_files_are_small() {
    let bytes = embedded::NETWORK.len() + embedded::IMAGES.len();
    assert!(bytes < 300_000, "{bytes} bytes");
}

#[test]
fn quantization_costs_little() {
    let network = embedded::network().expect("loads");
    let images = embedded::images().expect("loads");
    let reals = images
        .reals_for(&network, embedded::CALIBRATION)
        .expect("fits");
    let calibration: Vec<Array3<f32>> = reals.outer_iter().map(|i| i.to_owned()).collect();
    let quantizer = Quantizer::new(&network, &calibration, Options::default()).expect("calibrates");
    let float = float_top1(&images);
    for (allocation, loss) in [
        (Allocation::Uniform(8), 0.01),
        (Allocation::PerFilter(4.0), 0.03),
    ] {
        let (integer, report) = quantizer.quantize(allocation).expect("quantizes");
        let found = integer_top1(&integer, &images);
        println!(
            "{allocation:?}: top-1 {found} (float {float}), {} bits",
            report.average_bits
        );
        assert!(
            found >= float - loss - 1e-9,
            "{allocation:?}: {found}, float {float}"
        );
        if let Allocation::PerFilter(budget) = allocation {
            assert!(
                report.average_bits <= budget,
                "{} bits",
                report.average_bits
            );
        }
    }
}
