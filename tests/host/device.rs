//! The golden model against real microcontrollers, and against labels.

use std::fs::{self, File};

use bitweft::golden::devices::{DeviceComparison, DeviceOutputs, compare};
use bitweft::golden::names::read_names;
use bitweft::golden::network::evaluate;
use bitweft::model::integer::{IntegerNetwork, Rounding};
use bitweft::model::tflite::read_integer;
use ndarray::{Array1, Array4};
use ndarray_npy::NpzReader;

mod support;

use support::data;

const CIFAR: &str = "cifar10/test-dev-3000.npz";

fn network(test: &str, file: &str) -> Option<IntegerNetwork> {
    let bytes = fs::read(data(test, file)?).expect("readable");
    Some(read_integer(&bytes, file).expect("a supported network"))
}

fn archive(test: &str, file: &str) -> NpzReader<File> {
    let path = data(test, file).expect("the data folder");
    NpzReader::new(File::open(path).expect("readable")).expect("an archive")
}

fn names(test: &str, file: &str, array: &str) -> Vec<String> {
    read_names(&data(test, file).expect("the data folder"), array).expect("names")
}

fn device(test: &str, file: &str) -> DeviceOutputs {
    let path = data(test, &format!("device-outputs/{file}")).expect("the data folder");
    DeviceOutputs::read(&path).expect("a device's outputs")
}

/// The network's answers against a device's: for each family the inputs with the same bytes and
/// the inputs of the same class.
fn check(found: [DeviceComparison; 2], inputs: usize, double: [usize; 2], single: [usize; 2]) {
    println!("{found:?}");
    let expected = [(Rounding::Double, double), (Rounding::Single, single)].map(
        |(rounding, [same_bytes, same_class])| DeviceComparison {
            rounding,
            inputs,
            same_bytes,
            same_class,
        },
    );
    assert_eq!(found, expected);
}

/// Each family is one vendor's kernels byte for byte: `double` is CMSIS-NN (Renesas), `single` is ST's.
#[test]
fn image_classifiers_on_devices() {
    let test = "image_classifiers_on_devices";
    let Some(network) = network(test, "mlperf-tiny/pretrainedResnet_quant.tflite") else {
        return;
    };
    let images: Array4<u8> = archive(test, CIFAR).by_name("images").expect("images");
    let names = names(test, CIFAR, "names");
    let compare =
        |file| compare(&network, images.view(), &names, &device(test, file)).expect("compared");
    check(
        compare("ic_renesas_tflm_cmsisnn.npz"),
        200,
        [200, 200],
        [102, 197],
    );
    check(compare("ic_st_xcubeai.npz"), 200, [99, 194], [200, 200]);
}

#[test]
fn keyword_spotter_on_a_device() {
    let test = "keyword_spotter_on_a_device";
    let Some(network) = network(test, "mlperf-tiny/kws_ref_model.tflite") else {
        return;
    };
    let inputs: Array4<i8> = archive(test, "kws/kws01_1000.npz")
        .by_name("X")
        .expect("inputs");
    let inputs = inputs.mapv(|value| value.cast_unsigned() ^ 0x80);
    let names = names(test, "kws/kws01_1000.npz", "files");
    let device = device(test, "kws_renesas_tflm_cmsisnn.npz");
    let found = compare(&network, inputs.view(), &names, &device).expect("compared");
    check(found, 1000, [1000, 1000], [637, 993]);
}

/// LiteRT's default kernels reach 86.30 % on these images.
#[test]
fn resnet_reaches_its_published_accuracy() {
    let test = "resnet_reaches_its_published_accuracy";
    let Some(network) = network(test, "mlperf-tiny/pretrainedResnet_quant.tflite") else {
        return;
    };
    let mut archive = archive(test, CIFAR);
    let images: Array4<u8> = archive.by_name("images").expect("images");
    let labels: Array1<u8> = archive.by_name("labels").expect("labels");
    let labels: Vec<usize> = labels.iter().copied().map(usize::from).collect();
    let start = std::time::Instant::now();
    let evaluation = evaluate(&network, images.view(), &labels).expect("evaluated");
    println!(
        "top-1 {:.4}, top-5 {:.4}, {:.1?}",
        evaluation.top1(),
        evaluation.top5(),
        start.elapsed()
    );
    assert!(
        (evaluation.top1() - 0.8630).abs() <= 0.003,
        "top-1 is {}",
        evaluation.top1()
    );
}
