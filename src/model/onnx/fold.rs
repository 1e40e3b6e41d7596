//! Constants computed from constants: the arithmetic on shapes that exporters leave in a file.

use super::constant::{Constant, Data, Element, elements};
use super::graph::{Node, axis_index};
use super::sizes::{axes, flattened, permutation, reshape_target, reshaped, squeezed};

/// Elements of one computed constant, at most.
pub(super) const ELEMENTS_MAX: usize = 1 << 24;

/// Whether [`fold`] knows the operator.
pub(super) fn is_foldable(operator: &str) -> bool {
    matches!(
        operator,
        "Constant"
            | "ConstantOfShape"
            | "Identity"
            | "Cast"
            | "Gather"
            | "Concat"
            | "Slice"
            | "Unsqueeze"
            | "Squeeze"
            | "Reshape"
            | "Flatten"
            | "Transpose"
            | "Add"
            | "Sub"
            | "Mul"
            | "Div"
    )
}

/// Computes an operator whose inputs are all constants (`None`: left out).
pub(super) fn fold(node: &Node<'_>, inputs: &[Option<&Constant>]) -> Result<Constant, String> {
    let input = |index: usize| {
        inputs
            .get(index)
            .copied()
            .flatten()
            .ok_or_else(|| format!("input {index} is missing"))
    };
    let operator = node.proto.op_type.as_str();
    let moves = matches!(
        operator,
        "Slice" | "Gather" | "Transpose" | "Add" | "Sub" | "Mul" | "Div"
    );
    if moves && inputs.iter().flatten().any(|constant| constant.len() == 0) {
        return Err("reads an empty constant".to_owned());
    }
    match operator {
        "Constant" => constant(node),
        "ConstantOfShape" => constant_of_shape(node, input(0)?),
        "Identity" => Ok(input(0)?.clone()),
        "Cast" => cast(node, input(0)?),
        "Gather" => gather(node, input(0)?, input(1)?),
        "Concat" => {
            let all = inputs
                .iter()
                .copied()
                .collect::<Option<Vec<_>>>()
                .ok_or("an input is missing")?;
            concat(node, &all)
        }
        "Slice" => {
            let bounds = Bounds::of(node, inputs, input(0)?.dims.len())?;
            slice(input(0)?, &bounds)
        }
        "Unsqueeze" | "Squeeze" => {
            let constant = input(0)?;
            let axes = axes(node, inputs)?;
            let dims = squeezed(operator == "Squeeze", &constant.dims, axes.as_deref())?;
            with_dims(constant, dims)
        }
        "Reshape" => {
            let constant = input(0)?;
            let target = reshape_target(node, inputs)?;
            let dims = reshaped(&constant.dims, &target, node.int("allowzero", 0) != 0)?;
            with_dims(constant, dims)
        }
        "Flatten" => {
            let constant = input(0)?;
            let dims = flattened(&constant.dims, node.int("axis", 1))?;
            with_dims(constant, dims)
        }
        "Transpose" => transpose(node, input(0)?),
        "Add" | "Sub" | "Mul" | "Div" => binary(operator, input(0)?, input(1)?),
        _ => Err("is not computed on constants".to_owned()),
    }
}

fn with_dims(constant: &Constant, dims: Vec<usize>) -> Result<Constant, String> {
    if elements(&dims) != Some(constant.len()) {
        return Err(format!(
            "shape {dims:?} does not hold {} elements",
            constant.len()
        ));
    }
    // The axis of per-channel scales no longer counts the same sizes.
    let quantized = constant
        .quantized
        .clone()
        .filter(|quantized| quantized.scale.len() == 1);
    Ok(Constant {
        dims,
        quantized,
        ..constant.clone()
    })
}

fn constant(node: &Node<'_>) -> Result<Constant, String> {
    if let Some(tensor) = node.tensor("value") {
        return Constant::decode(tensor);
    }
    if node.has("value_int") {
        return Ok(Constant::integers(vec![], vec![node.int("value_int", 0)]));
    }
    if node.has("value_float") {
        return Ok(Constant::reals(
            vec![],
            vec![node.float("value_float", 0.0)],
        ));
    }
    if let Some(values) = node.ints("value_ints") {
        return Ok(Constant::integers(vec![values.len()], values.to_vec()));
    }
    if let Some(values) = node.floats("value_floats") {
        return Ok(Constant::reals(vec![values.len()], values.to_vec()));
    }
    Err("holds neither a tensor nor numbers".to_owned())
}

fn constant_of_shape(node: &Node<'_>, shape: &Constant) -> Result<Constant, String> {
    let dims = shape
        .as_integers()?
        .iter()
        .map(|size| usize::try_from(*size).ok())
        .collect::<Option<Vec<_>>>()
        .ok_or("a size is negative")?;
    let count = elements(&dims)
        .filter(|count| *count <= ELEMENTS_MAX)
        .ok_or("the result is too large")?;
    match node.tensor("value").map(Constant::decode).transpose()? {
        None => Ok(Constant::reals(dims, vec![0.0; count])),
        Some(value) => {
            let data = match &value.data {
                Data::Real(values) => {
                    Data::Real(vec![*values.first().ok_or("the value is empty")?; count])
                }
                Data::Integer(values) => {
                    Data::Integer(vec![*values.first().ok_or("the value is empty")?; count])
                }
            };
            Ok(Constant {
                dims,
                data,
                element: value.element,
                quantized: None,
            })
        }
    }
}

fn cast(node: &Node<'_>, constant: &Constant) -> Result<Constant, String> {
    let number = i32::try_from(node.int("to", 0)).map_err(|_| "a strange type")?;
    let element = Element::from_number(number)?;
    let data = match (&constant.data, element) {
        (Data::Integer(_), Element::Real) => Data::Real(constant.to_reals()),
        (Data::Real(_), Element::Real) => constant.data.clone(),
        #[allow(clippy::cast_possible_truncation)]
        (Data::Real(values), _) => {
            Data::Integer(values.iter().map(|value| *value as i64).collect())
        }
        // Shapes: the values are small, and nothing is cut off.
        (Data::Integer(_), _) => constant.data.clone(),
    };
    Ok(Constant {
        dims: constant.dims.clone(),
        data,
        element,
        quantized: None,
    })
}

/// Picks elements by their flat index in the source.
fn pick(constant: &Constant, dims: Vec<usize>, indices: &[usize]) -> Constant {
    let data = match &constant.data {
        Data::Real(values) => Data::Real(indices.iter().map(|index| values[*index]).collect()),
        Data::Integer(values) => {
            Data::Integer(indices.iter().map(|index| values[*index]).collect())
        }
    };
    Constant {
        dims,
        data,
        element: constant.element,
        quantized: None,
    }
}

fn gather(node: &Node<'_>, constant: &Constant, indices: &Constant) -> Result<Constant, String> {
    let axis = axis_index(node.int("axis", 0), constant.dims.len())?;
    let size = constant.dims[axis];
    let outer: usize = constant.dims[..axis].iter().product();
    let inner: usize = constant.dims[axis + 1..].iter().product();
    let picked = indices
        .as_integers()?
        .iter()
        .map(|index| axis_index(*index, size))
        .collect::<Result<Vec<_>, _>>()?;
    let mut dims = constant.dims[..axis].to_vec();
    dims.extend(&indices.dims);
    dims.extend(&constant.dims[axis + 1..]);
    elements(&dims)
        .filter(|count| *count <= ELEMENTS_MAX)
        .ok_or("the result is too large")?;
    let mut flat = Vec::new();
    for block in 0..outer {
        for index in &picked {
            let start = (block * size + index) * inner;
            flat.extend(start..start + inner);
        }
    }
    Ok(pick(constant, dims, &flat))
}

fn concat(node: &Node<'_>, inputs: &[&Constant]) -> Result<Constant, String> {
    let first = inputs.first().ok_or("has no inputs")?;
    let axis = axis_index(node.int("axis", 0), first.dims.len())?;
    let rest = |constant: &Constant| {
        let mut dims = constant.dims.clone();
        if axis < dims.len() {
            dims[axis] = 0;
        }
        dims
    };
    if inputs.iter().any(|constant| rest(constant) != rest(first)) {
        return Err("the inputs' shapes differ".to_owned());
    }
    let mut dims = first.dims.clone();
    dims[axis] = inputs.iter().map(|constant| constant.dims[axis]).sum();
    elements(&dims)
        .filter(|count| *count <= ELEMENTS_MAX)
        .ok_or("the result is too large")?;
    let outer: usize = dims[..axis].iter().product();
    let integers = inputs
        .iter()
        .all(|constant| matches!(constant.data, Data::Integer(_)));
    let (mut whole, mut real) = (Vec::new(), Vec::new());
    for block in 0..outer {
        for constant in inputs {
            let length = constant.dims[axis..].iter().product::<usize>();
            let range = block * length..(block + 1) * length;
            match &constant.data {
                Data::Integer(values) if integers => whole.extend(&values[range]),
                Data::Real(values) => real.extend(&values[range]),
                Data::Integer(_) => return Err("the inputs' types differ".to_owned()),
            }
        }
    }
    let data = if integers {
        Data::Integer(whole)
    } else {
        Data::Real(real)
    };
    Ok(Constant {
        dims,
        data,
        element: first.element,
        quantized: None,
    })
}

/// What a Slice takes along each axis: start, step and number of elements.
pub(super) struct Bounds {
    /// `(start, end, step)` as in the file, an axis; `None` for all of it.
    pub(super) ranges: Vec<Option<(i64, i64, i64)>>,
}

impl Bounds {
    /// From the attributes (operator set below 10) or the inputs.
    pub(super) fn of(
        node: &Node<'_>,
        inputs: &[Option<&Constant>],
        rank: usize,
    ) -> Result<Self, String> {
        let list = |index: usize, name: &str| -> Result<Option<Vec<i64>>, String> {
            match inputs.get(index).copied().flatten() {
                Some(constant) => Ok(Some(constant.as_integers()?.to_vec())),
                None => Ok(node.ints(name).map(<[i64]>::to_vec)),
            }
        };
        let starts = list(1, "starts")?.ok_or("has no starts")?;
        let ends = list(2, "ends")?.ok_or("has no ends")?;
        let count = i64::try_from(starts.len()).map_err(|_| "too many axes")?;
        let axes = list(3, "axes")?.unwrap_or_else(|| (0..count).collect());
        let steps = list(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
        if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
            return Err("starts, ends, axes and steps differ in length".to_owned());
        }
        let mut ranges = vec![None; rank];
        for (index, axis) in axes.iter().enumerate() {
            ranges[axis_index(*axis, rank)?] = Some((starts[index], ends[index], steps[index]));
        }
        Ok(Self { ranges })
    }

    /// Indices that are taken along an axis of `size`; steps have to be positive.
    pub(super) fn indices(&self, axis: usize, size: usize) -> Result<Vec<usize>, String> {
        let Some((start, end, step)) = self.ranges[axis] else {
            return Ok((0..size).collect());
        };
        let step = usize::try_from(step)
            .ok()
            .filter(|step| *step > 0)
            .ok_or("the step is not positive")?;
        let limit = i64::try_from(size).map_err(|_| "too large")?;
        let place = |index: i64| {
            let index = if index < 0 {
                index.saturating_add(limit)
            } else {
                index
            };
            usize::try_from(index.clamp(0, limit)).unwrap_or(size)
        };
        Ok((place(start)..place(end)).step_by(step).collect())
    }
}

fn slice(constant: &Constant, bounds: &Bounds) -> Result<Constant, String> {
    let mut flat = vec![0];
    let mut dims = Vec::new();
    for (axis, size) in constant.dims.iter().enumerate() {
        let indices = bounds.indices(axis, *size)?;
        flat = flat
            .iter()
            .flat_map(|base| indices.iter().map(move |index| base * size + index))
            .collect();
        dims.push(indices.len());
    }
    Ok(pick(constant, dims, &flat))
}

fn transpose(node: &Node<'_>, constant: &Constant) -> Result<Constant, String> {
    let order = permutation(node, constant.dims.len())?;
    let strides: Vec<usize> = (0..constant.dims.len())
        .map(|axis| constant.dims[axis + 1..].iter().product())
        .collect();
    let mut flat = vec![0];
    for axis in &order {
        let (size, stride) = (constant.dims[*axis], strides[*axis]);
        flat = flat
            .iter()
            .flat_map(|base| (0..size).map(move |index| base + index * stride))
            .collect();
    }
    let dims = order.iter().map(|axis| constant.dims[*axis]).collect();
    let mut result = pick(constant, dims, &flat);
    result.quantized = constant.quantized.as_ref().map(|quantized| {
        let axis = order
            .iter()
            .position(|axis| *axis == quantized.axis)
            .unwrap_or(0);
        let values = flat.iter().map(|index| quantized.values[*index]).collect();
        super::constant::Quantized {
            values,
            scale: quantized.scale.clone(),
            axis,
        }
        .into()
    });
    Ok(result)
}

fn binary(operator: &str, a: &Constant, b: &Constant) -> Result<Constant, String> {
    let rank = a.dims.len().max(b.dims.len());
    let padded = |dims: &[usize]| [vec![1; rank - dims.len()], dims.to_vec()].concat();
    let (left, right) = (padded(&a.dims), padded(&b.dims));
    let mut dims = Vec::with_capacity(rank);
    for (l, r) in left.iter().zip(&right) {
        dims.push(match (*l, *r) {
            (l, r) if l == r => l,
            (1, other) | (other, 1) => other,
            _ => return Err(format!("shapes {:?} and {:?} do not fit", a.dims, b.dims)),
        });
    }
    elements(&dims)
        .filter(|count| *count <= ELEMENTS_MAX)
        .ok_or("the result is too large")?;
    let indices = |from: &[usize]| {
        let mut flat = vec![0];
        for (size, own) in dims.iter().zip(from) {
            flat = flat
                .iter()
                .flat_map(|base| {
                    (0..*size).map(move |index| base * own + if *own == 1 { 0 } else { index })
                })
                .collect();
        }
        flat
    };
    let pairs = || indices(&left).into_iter().zip(indices(&right));
    let data = if let (Data::Integer(x), Data::Integer(y)) = (&a.data, &b.data) {
        let values = pairs().map(|(i, j)| match operator {
            "Add" => x[i].checked_add(y[j]),
            "Sub" => x[i].checked_sub(y[j]),
            "Mul" => x[i].checked_mul(y[j]),
            _ => x[i].checked_div(y[j]),
        });
        Data::Integer(values.collect::<Option<Vec<_>>>().ok_or("overflows")?)
    } else {
        let (x, y) = (a.to_reals(), b.to_reals());
        let values = pairs().map(|(i, j)| match operator {
            "Add" => x[i] + y[j],
            "Sub" => x[i] - y[j],
            "Mul" => x[i] * y[j],
            _ => x[i] / y[j],
        });
        Data::Real(values.collect())
    };
    Ok(Constant {
        dims,
        data,
        element: a.element,
        quantized: None,
    })
}
