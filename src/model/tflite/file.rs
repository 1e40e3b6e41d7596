//! A checked, plain view of the FlatBuffer: every index in range, every size bounded, nothing interpreted.

use super::error::TfliteError;
use super::operators::{element_name, operator_name};
use super::schema::tflite as fb;

/// Most tensors, operators or buffers that a file may list.
const ENTRIES_MAX: usize = 16_384;
/// Most characters kept of a name.
const NAME_CHARACTERS_MAX: usize = 256;
/// Most dimensions, operator inputs or outputs, and so on, in one small vector.
const SMALL_VECTOR_MAX: usize = 256;
/// Most per-channel quantization parameters of one tensor.
const CHANNELS_MAX: usize = 1 << 20;

/// A tensor as the file describes it.
#[derive(Debug)]
pub(super) struct FileTensor<'a> {
    pub(super) name: String,
    pub(super) shape: Vec<i32>,
    pub(super) element: i8,
    /// Bytes of a constant; `None` for an activation.
    pub(super) data: Option<&'a [u8]>,
    pub(super) scale: Vec<f32>,
    pub(super) zero_point: Vec<i64>,
    pub(super) quantized_dimension: i32,
    /// The tensor has quantization details or a sparse layout, which we do not read.
    pub(super) exotic: Option<&'static str>,
}

impl FileTensor<'_> {
    /// `name` (ELEMENT): how messages call the tensor.
    pub(super) fn describe(&self) -> String {
        format!("tensor `{}` ({})", self.name, element_name(self.element))
    }
}

/// Options of an operator, as far as we read them; codes are not interpreted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Options {
    /// None in the file, or of an operator that we do not read.
    Absent,
    Conv2D {
        padding: i8,
        stride: [i32; 2],
        activation: i8,
        dilation: [i32; 2],
    },
    DepthwiseConv2D {
        padding: i8,
        stride: [i32; 2],
        activation: i8,
        dilation: [i32; 2],
    },
    Pool2D {
        padding: i8,
        stride: [i32; 2],
        kernel: [i32; 2],
        activation: i8,
    },
    FullyConnected {
        activation: i8,
        weights_format: i8,
    },
    Softmax {
        beta: f32,
    },
    /// ADD and MUL.
    Elementwise {
        activation: i8,
    },
}

/// An operator as the file describes it.
#[derive(Debug)]
pub(super) struct FileOperator {
    /// Position in the file.
    pub(super) index: usize,
    pub(super) code: i32,
    /// The format's name, or the name of a custom operator.
    pub(super) name: String,
    /// Indices of tensors; `None` for an omitted optional input.
    pub(super) inputs: Vec<Option<usize>>,
    pub(super) outputs: Vec<usize>,
    pub(super) options: Options,
}

/// A whole file.
#[derive(Debug)]
pub(super) struct File<'a> {
    /// Size of the file.
    pub(super) bytes: usize,
    pub(super) tensors: Vec<FileTensor<'a>>,
    pub(super) operators: Vec<FileOperator>,
    pub(super) input: usize,
    pub(super) output: usize,
    /// Named records beside the graph.
    pub(super) metadata: Vec<(String, &'a [u8])>,
}

impl<'a> File<'a> {
    /// Parses a file and checks its structure.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, TfliteError> {
        if bytes.get(4..8) != Some(b"TFL3".as_slice()) {
            return Err(TfliteError::NotTflite);
        }
        let model = <fb::ModelRef<'a> as planus::ReadAsRoot<'a>>::read_as_root(bytes)?;
        let buffers = read_buffers(&model)?;
        let codes = read_operator_codes(&model)?;
        let graphs = model
            .subgraphs()?
            .ok_or(TfliteError::missing("subgraphs"))?;
        let graph = graphs
            .get(0)
            .ok_or(TfliteError::missing("subgraphs[0]"))??;
        if graphs.len() > 1 {
            return Err(TfliteError::invalid(
                "subgraphs",
                format!("{} of them; one is read", graphs.len()),
            ));
        }

        let tensors = read_tensors(&graph, &buffers)?;
        let count = tensors.len();
        let mut operators = Vec::new();
        if let Some(list) = graph.operators()? {
            limit("operators", list.len(), ENTRIES_MAX)?;
            for (index, operator) in list.iter().enumerate() {
                operators.push(read_operator(index, &operator?, &codes, count)?);
            }
        }
        let input = only_tensor("inputs", graph.inputs()?, count)?;
        let output = only_tensor("outputs", graph.outputs()?, count)?;
        let metadata = read_metadata(&model, &buffers)?;
        Ok(Self {
            bytes: bytes.len(),
            tensors,
            operators,
            input,
            output,
            metadata,
        })
    }

    /// The record with this name.
    pub(super) fn record(&self, name: &str) -> Option<&'a [u8]> {
        self.metadata
            .iter()
            .find(|(record, _)| record == name)
            .map(|(_, data)| *data)
    }
}

fn limit(field: &str, found: usize, most: usize) -> Result<(), TfliteError> {
    if found > most {
        return Err(TfliteError::invalid(
            field,
            format!("{found} entries; at most {most} are read"),
        ));
    }
    Ok(())
}

fn short(name: Option<&str>) -> String {
    name.unwrap_or_default()
        .chars()
        .take(NAME_CHARACTERS_MAX)
        .collect()
}

fn small(field: &str, vector: Option<planus::Vector<'_, i32>>) -> Result<Vec<i32>, TfliteError> {
    let Some(vector) = vector else {
        return Ok(Vec::new());
    };
    limit(field, vector.len(), SMALL_VECTOR_MAX)?;
    Ok(vector.iter().collect())
}

fn read_buffers<'a>(model: &fb::ModelRef<'a>) -> Result<Vec<Option<&'a [u8]>>, TfliteError> {
    let Some(list) = model.buffers()? else {
        return Ok(Vec::new());
    };
    limit("buffers", list.len(), ENTRIES_MAX)?;
    list.iter()
        .map(|buffer| Ok(buffer?.data()?.filter(|data| !data.is_empty())))
        .collect()
}

fn read_operator_codes(model: &fb::ModelRef<'_>) -> Result<Vec<(i32, String)>, TfliteError> {
    let Some(list) = model.operator_codes()? else {
        return Ok(Vec::new());
    };
    limit("operator_codes", list.len(), ENTRIES_MAX)?;
    let mut codes = Vec::new();
    for entry in list.iter() {
        let entry = entry?;
        // Files before schema version 3a have the one-byte code only; later ones have the larger in both.
        let code = entry
            .builtin_code()?
            .max(i32::from(entry.deprecated_builtin_code()?));
        let name = match entry.custom_code()? {
            Some(custom) => format!("CUSTOM {}", short(Some(custom))),
            None => operator_name(code).into_owned(),
        };
        codes.push((code, name));
    }
    Ok(codes)
}

fn read_metadata<'a>(
    model: &fb::ModelRef<'a>,
    buffers: &[Option<&'a [u8]>],
) -> Result<Vec<(String, &'a [u8])>, TfliteError> {
    let Some(list) = model.metadata()? else {
        return Ok(Vec::new());
    };
    limit("metadata", list.len(), SMALL_VECTOR_MAX)?;
    let mut records = Vec::new();
    for (index, entry) in list.iter().enumerate() {
        let entry = entry?;
        let buffer = index_in(
            &format!("metadata[{index}].buffer"),
            entry.buffer()?,
            buffers.len(),
        )?;
        records.push((short(entry.name()?), buffers[buffer].unwrap_or_default()));
    }
    Ok(records)
}

fn index_in(
    field: &str,
    index: impl TryInto<usize> + std::fmt::Display + Copy,
    count: usize,
) -> Result<usize, TfliteError> {
    index
        .try_into()
        .ok()
        .filter(|found| *found < count)
        .ok_or_else(|| TfliteError::invalid(field, format!("{index}, but there are {count}")))
}

fn only_tensor(
    field: &str,
    list: Option<planus::Vector<'_, i32>>,
    count: usize,
) -> Result<usize, TfliteError> {
    let list = small(field, list)?;
    match list.as_slice() {
        [tensor] => index_in(field, *tensor, count),
        _ => Err(TfliteError::invalid(
            field,
            format!(
                "{} tensors; networks with one input and one output are read",
                list.len()
            ),
        )),
    }
}

fn read_tensors<'a>(
    graph: &fb::SubGraphRef<'a>,
    buffers: &[Option<&'a [u8]>],
) -> Result<Vec<FileTensor<'a>>, TfliteError> {
    let list = graph.tensors()?.ok_or(TfliteError::missing("tensors"))?;
    limit("tensors", list.len(), ENTRIES_MAX)?;
    let mut tensors = Vec::new();
    let mut channels = 0;
    for (index, tensor) in list.iter().enumerate() {
        let tensor = tensor?;
        let field = |part: &str| format!("tensors[{index}].{part}");
        let buffer = tensor.buffer()?;
        // Buffer 0 is the empty one by convention; old writers leave it out.
        let data = if buffer == 0 && buffers.is_empty() {
            None
        } else {
            buffers[index_in(&field("buffer"), buffer, buffers.len())?]
        };
        let mut view = FileTensor {
            name: short(tensor.name()?),
            shape: small(&field("shape"), tensor.shape()?)?,
            element: tensor.type_()?,
            data,
            scale: Vec::new(),
            zero_point: Vec::new(),
            quantized_dimension: 0,
            exotic: tensor.sparsity()?.map(|_| "a sparse layout"),
        };
        if let Some(quantization) = tensor.quantization()? {
            let scale = quantization.scale()?;
            let zero_point = quantization.zero_point()?;
            channels += scale.map_or(0, |v| v.len()) + zero_point.map_or(0, |v| v.len());
            limit("quantization parameters", channels, 2 * CHANNELS_MAX)?;
            view.scale = scale.map(|v| v.iter().collect()).unwrap_or_default();
            view.zero_point = zero_point.map(|v| v.iter().collect()).unwrap_or_default();
            view.quantized_dimension = quantization.quantized_dimension()?;
            if !matches!(quantization.details(), Ok(None)) {
                view.exotic = Some("custom or block-wise quantization");
            }
        }
        tensors.push(view);
    }
    Ok(tensors)
}

fn read_operator(
    index: usize,
    operator: &fb::OperatorRef<'_>,
    codes: &[(i32, String)],
    tensor_count: usize,
) -> Result<FileOperator, TfliteError> {
    let field = |part: &str| format!("operators[{index}].{part}");
    let code = index_in(
        &field("opcode_index"),
        operator.opcode_index()?,
        codes.len(),
    )?;
    let (code, name) = codes[code].clone();
    let inputs = small(&field("inputs"), operator.inputs()?)?
        .into_iter()
        .map(|input| match input {
            -1 => Ok(None),
            _ => index_in(&field("inputs"), input, tensor_count).map(Some),
        })
        .collect::<Result<_, _>>()?;
    let outputs = small(&field("outputs"), operator.outputs()?)?
        .into_iter()
        .map(|output| index_in(&field("outputs"), output, tensor_count))
        .collect::<Result<_, _>>()?;
    let options = match operator.builtin_options() {
        Ok(None) => Options::Absent,
        Ok(Some(options)) => read_options(&options)?,
        // Options newer than the ones named in our schema belong to operators that we do not read.
        Err(planus::Error {
            error_kind: planus::errors::ErrorKind::UnknownUnionTag { .. },
            ..
        }) => Options::Absent,
        Err(error) => return Err(error.into()),
    };
    Ok(FileOperator {
        index,
        code,
        name,
        inputs,
        outputs,
        options,
    })
}

fn read_options(options: &fb::BuiltinOptionsRef<'_>) -> Result<Options, TfliteError> {
    use fb::BuiltinOptionsRef as B;
    Ok(match options {
        B::Conv2DOptions(o) => Options::Conv2D {
            padding: o.padding()?,
            stride: [o.stride_h()?, o.stride_w()?],
            activation: o.fused_activation_function()?,
            dilation: [o.dilation_h_factor()?, o.dilation_w_factor()?],
        },
        B::DepthwiseConv2DOptions(o) => Options::DepthwiseConv2D {
            padding: o.padding()?,
            stride: [o.stride_h()?, o.stride_w()?],
            activation: o.fused_activation_function()?,
            dilation: [o.dilation_h_factor()?, o.dilation_w_factor()?],
        },
        B::Pool2DOptions(o) => Options::Pool2D {
            padding: o.padding()?,
            stride: [o.stride_h()?, o.stride_w()?],
            kernel: [o.filter_height()?, o.filter_width()?],
            activation: o.fused_activation_function()?,
        },
        B::FullyConnectedOptions(o) => Options::FullyConnected {
            activation: o.fused_activation_function()?,
            weights_format: o.weights_format()?,
        },
        B::SoftmaxOptions(o) => Options::Softmax { beta: o.beta()? },
        B::AddOptions(o) => Options::Elementwise {
            activation: o.fused_activation_function()?,
        },
        B::MulOptions(o) => Options::Elementwise {
            activation: o.fused_activation_function()?,
        },
        _ => Options::Absent,
    })
}
