//! ONNX's own tests of single operators, through the reader and the golden models.
//!
//! Every case of the archive is either run or listed with the reason why it is out of scope.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;

use bitweft::golden::float;
use bitweft::model::float::Shape;
use bitweft::model::onnx::{self, Axis, FloatImport, Port};
use ndarray::{Array3, ArrayD, IxDyn};

#[path = "onnx_nodes/scope.rs"]
mod scope;

/// Files of one case.
#[derive(Default)]
struct Case {
    model: Vec<u8>,
    inputs: BTreeMap<usize, Vec<u8>>,
    outputs: BTreeMap<usize, Vec<u8>>,
}

fn cases(archive: &std::path::Path) -> BTreeMap<String, Case> {
    let mut archive = zip::ZipArchive::new(fs::File::open(archive).unwrap()).unwrap();
    let mut cases: BTreeMap<String, Case> = BTreeMap::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).unwrap();
        let path = file.name().unwrap().into_owned();
        let parts: Vec<&str> = path.split('/').collect();
        let Some(name) = parts.get(1).filter(|name| name.starts_with("test_")) else {
            continue;
        };
        let mut bytes = vec![];
        file.read_to_end(&mut bytes).unwrap();
        let case = cases.entry((*name).to_owned()).or_default();
        match parts[2..] {
            ["model.onnx"] => case.model = bytes,
            ["test_data_set_0", data] => {
                let (kind, number) = data.trim_end_matches(".pb").split_once('_').unwrap();
                let number = number.parse().unwrap();
                let list = if kind == "input" {
                    &mut case.inputs
                } else {
                    &mut case.outputs
                };
                list.insert(number, bytes);
            }
            _ => {}
        }
    }
    cases
}

/// A protobuf field of bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length > 127 {
        field.push((length & 127) as u8 | 128);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend(bytes);
    field
}

/// The model with an input made a constant. Protobuf messages that follow each other merge: a second graph
/// adds its initializer to the first one's.
fn with_constant(model: &[u8], name: &str, tensor: &[u8]) -> Vec<u8> {
    let named = [tensor, &field(8, name.as_bytes())].concat();
    [model, &field(7, &field(5, &named))].concat()
}

fn size(axis: Axis, shape: Shape, batch: usize) -> usize {
    match axis {
        Axis::Batch => batch,
        Axis::Channel => shape.channels,
        Axis::Row => shape.height,
        Axis::Column => shape.width,
    }
}

/// A port's axes in file order.
fn axes(port: &Port) -> Vec<Axis> {
    port.dims.iter().flatten().copied().collect()
}

fn place(axes: &[Axis], batch: usize, [row, column, channel]: [usize; 3]) -> IxDyn {
    let index = axes.iter().map(|axis| match axis {
        Axis::Batch => batch,
        Axis::Channel => channel,
        Axis::Row => row,
        Axis::Column => column,
    });
    IxDyn(&index.collect::<Vec<_>>())
}

/// A file's array as one image `[h, w, c]` for each of the batch.
fn images(port: &Port, shape: Shape, array: &ArrayD<f32>) -> Vec<Array3<f32>> {
    let batch = array.len() / shape.elements();
    let axes = axes(port);
    let sizes: Vec<usize> = axes.iter().map(|axis| size(*axis, shape, batch)).collect();
    let array = array.to_shape(sizes).unwrap();
    let image = |batch| {
        Array3::from_shape_fn(
            (shape.height, shape.width, shape.channels),
            |(row, column, channel)| array[place(&axes, batch, [row, column, channel])],
        )
    };
    (0..batch).map(image).collect()
}

/// The reverse of [`images`], in the file's sizes.
fn file_array(port: &Port, shape: Shape, images: &[Array3<f32>]) -> ArrayD<f32> {
    let axes = axes(port);
    let sizes: Vec<usize> = axes
        .iter()
        .map(|axis| size(*axis, shape, images.len()))
        .collect();
    let mut array = ArrayD::zeros(sizes);
    for (batch, image) in images.iter().enumerate() {
        for ((row, column, channel), value) in image.indexed_iter() {
            array[place(&axes, batch, [row, column, channel])] = *value;
        }
    }
    array.into_shape_with_order(port.sizes.clone()).unwrap()
}

/// Runs a case on `golden::float` and returns the output in file order.
fn run(import: &FloatImport, inputs: &[ArrayD<f32>]) -> Result<ArrayD<f32>, String> {
    let network = &import.network;
    let batches: Vec<Vec<Array3<f32>>> = import
        .inputs
        .iter()
        .zip(inputs)
        .map(|(port, array)| images(port, network.tensors[port.tensor].shape, array))
        .collect();
    let transform = &network.input_transform;
    let mut results = vec![];
    for image in 0..batches[0].len() {
        let given: Vec<Array3<f32>> = batches
            .iter()
            .zip(&import.inputs)
            .map(|(images, port)| {
                let mut real = images[image].clone();
                if port.tensor == network.input {
                    for ((_, _, channel), value) in real.indexed_iter_mut() {
                        let at = |list: &[f32]| list[channel % list.len()];
                        *value = (*value - at(&transform.mean)) * at(&transform.factor);
                    }
                }
                real
            })
            .collect();
        let given: Vec<_> = import
            .inputs
            .iter()
            .zip(&given)
            .map(|(port, image)| (port.tensor, image.view()))
            .collect();
        let mut result =
            float::run_given(network, &given, &[network.output]).map_err(|e| e.to_string())?;
        results.push(result.remove(0));
    }
    Ok(file_array(
        &import.output,
        network.tensors[network.output].shape,
        &results,
    ))
}

/// Reads and runs a case and compares with the stored output.
fn check(name: &str, case: &Case) -> Result<(), String> {
    let inputs = case
        .inputs
        .values()
        .map(|bytes| onnx::read_tensor(bytes).map_err(|error| error.to_string()))
        .collect::<Result<Vec<_>, _>>()?;
    let expected = onnx::read_tensor(&case.outputs[&0]).map_err(|error| error.to_string())?;
    let activations = scope::activations(name);
    let mut model = case.model.clone();
    let names = stored_names(&case.inputs);
    for (index, bytes) in &case.inputs {
        if *index >= activations {
            model = with_constant(&model, &names[*index], bytes);
        }
    }
    let found = if scope::is_constant(name) {
        onnx::constant_output(&model).map_err(|error| error.to_string())?
    } else {
        let import = onnx::import_float(&model, name).map_err(|error| error.to_string())?;
        run(&import, &inputs[..activations])?
    };
    if found.shape() != expected.shape() {
        return Err(format!(
            "shape {:?}, expected {:?}",
            found.shape(),
            expected.shape()
        ));
    }
    for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
        if (found - expected).abs() > 1e-3 * expected.abs() + 1e-6 {
            return Err(format!("element {index} is {found}, expected {expected}"));
        }
    }
    Ok(())
}

/// Names of the inputs: each stored tensor carries its own (field 8).
fn stored_names(inputs: &BTreeMap<usize, Vec<u8>>) -> Vec<String> {
    inputs
        .values()
        .map(|bytes| onnx::tensor_name(bytes).unwrap())
        .collect()
}

#[test]
fn every_node_test_passes_or_is_out_of_scope() {
    let Some(path) = support::data(
        "every_node_test_passes_or_is_out_of_scope",
        "vectors/onnx-node-tests.zip",
    ) else {
        return;
    };
    let mut wrong = vec![];
    let (mut passed, mut out) = (0, 0);
    let cases = cases(&path);
    for (name, case) in &cases {
        let reason = scope::out_of_scope(name);
        match (check(name, case), reason) {
            (Ok(()), None) => passed += 1,
            (Ok(()), Some(_)) => {
                wrong.push(format!("{name}: passes, but is listed as out of scope"))
            }
            (Err(_), Some(_)) => out += 1,
            (Err(error), None) => wrong.push(format!("{name}: {error}")),
        }
    }
    for name in scope::listed() {
        if !cases.contains_key(name) {
            wrong.push(format!(
                "{name}: is listed as out of scope, but does not exist"
            ));
        }
    }
    println!("{passed} cases pass, {out} are out of scope");
    assert!(
        wrong.is_empty(),
        "{} cases:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
