//! The golden model against real microcontrollers, and against labels.

use std::fs;
use std::time::Instant;

use bitweft::golden::devices::{DeviceComparison, DeviceOutputs, compare};
use bitweft::golden::network::evaluate;
use bitweft::model::data::{DataOptions, Dataset};
use bitweft::model::integer::{IntegerNetwork, Rounding};
use bitweft::model::tflite::read_integer;

mod support;

use support::data;

const RESNET: &str = "mlperf-tiny/pretrainedResnet_quant.tflite";
const CIFAR: &str = "cifar10/test-dev-3000.npz";

/// A network and its data set, or `None` where there is no data folder.
fn load(test: &str, model: &str, dataset: &str) -> Option<(IntegerNetwork, Dataset)> {
    let bytes = fs::read(data(test, model)?).expect("readable");
    let network = read_integer(&bytes, model).expect("a supported network");
    let dataset = Dataset::load(data(test, dataset)?, &DataOptions::default());
    Some((network, dataset.expect("a data set")))
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
    let Some((network, images)) = load(test, RESNET, CIFAR) else {
        return;
    };
    let compare = |file| compare(&network, &images, &device(test, file)).expect("compared");
    let renesas = compare("ic_renesas_tflm_cmsisnn.npz");
    check(renesas, 200, [200, 200], [102, 197]);
    let st = compare("ic_st_xcubeai.npz");
    check(st, 200, [99, 194], [200, 200]);
}

#[test]
fn keyword_spotter_on_a_device() {
    let test = "keyword_spotter_on_a_device";
    let model = "mlperf-tiny/kws_ref_model.tflite";
    let Some((network, inputs)) = load(test, model, "kws/kws01_1000.npz") else {
        return;
    };
    let renesas = device(test, "kws_renesas_tflm_cmsisnn.npz");
    let found = compare(&network, &inputs, &renesas).expect("compared");
    check(found, 1000, [1000, 1000], [637, 993]);
}

/// LiteRT's default kernels reach 86.30 % on these images.
#[test]
fn resnet_reaches_its_published_accuracy() {
    let test = "resnet_reaches_its_published_accuracy";
    let Some((network, images)) = load(test, RESNET, CIFAR) else {
        return;
    };
    let labels = images.labels.as_ref().expect("labels");
    let bytes = images.bytes_for(&network, 0..images.len()).expect("inputs");
    let start = Instant::now();
    let evaluation = evaluate(&network, bytes.view(), labels).expect("evaluated");
    let (top1, seconds) = (evaluation.top1(), start.elapsed().as_secs_f64());
    println!(
        "top-1 {top1:.4} of {} images in {seconds:.1} s",
        images.len()
    );
    assert!((top1 - 0.8630).abs() <= 0.003, "top-1 is {top1}");
}
