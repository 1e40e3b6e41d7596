//! Sizes and axes as operators that change the shape compute them.

use super::constant::{Constant, elements};
use super::graph::{Node, axis_index};

/// The axes of Squeeze and Unsqueeze: an attribute below operator set 13, an input since.
pub(super) fn axes(
    node: &Node<'_>,
    inputs: &[Option<&Constant>],
) -> Result<Option<Vec<i64>>, String> {
    match inputs.get(1).copied().flatten() {
        Some(constant) => Ok(Some(constant.as_integers()?.to_vec())),
        None => Ok(node.ints("axes").map(<[i64]>::to_vec)),
    }
}

/// Sizes after Squeeze (`remove`) or Unsqueeze.
pub(super) fn squeezed(
    remove: bool,
    dims: &[usize],
    axes: Option<&[i64]>,
) -> Result<Vec<usize>, String> {
    let rank = if remove {
        dims.len()
    } else {
        dims.len() + axes.map_or(0, <[i64]>::len)
    };
    let mut marked = vec![false; rank];
    match axes {
        Some(axes) => {
            for axis in axes {
                let index = axis_index(*axis, rank)?;
                if std::mem::replace(&mut marked[index], true) {
                    return Err(format!("axis {axis} is named twice"));
                }
            }
        }
        None if remove => {
            for (mark, size) in marked.iter_mut().zip(dims) {
                *mark = *size == 1;
            }
        }
        None => return Err("names no axes".to_owned()),
    }
    if remove {
        if dims
            .iter()
            .zip(&marked)
            .any(|(size, marked)| *marked && *size != 1)
        {
            return Err("an axis to be removed is longer than 1".to_owned());
        }
        Ok(dims
            .iter()
            .zip(&marked)
            .filter(|(_, marked)| !**marked)
            .map(|(size, _)| *size)
            .collect())
    } else {
        let mut rest = dims.iter();
        Ok(marked
            .iter()
            .map(|marked| {
                if *marked {
                    1
                } else {
                    rest.next().copied().unwrap_or(1)
                }
            })
            .collect())
    }
}

/// The target of a Reshape: an input, or below operator set 5 an attribute.
pub(super) fn reshape_target(
    node: &Node<'_>,
    inputs: &[Option<&Constant>],
) -> Result<Vec<i64>, String> {
    match inputs.get(1).copied().flatten() {
        Some(constant) => Ok(constant.as_integers()?.to_vec()),
        None => Ok(node
            .ints("shape")
            .ok_or("its shape is not a constant")?
            .to_vec()),
    }
}

/// Sizes after a Reshape: 0 keeps the size (unless `allow_zero`), -1 takes what is left.
pub(super) fn reshaped(
    dims: &[usize],
    target: &[i64],
    allow_zero: bool,
) -> Result<Vec<usize>, String> {
    let total = elements(dims).ok_or("too large")?;
    let mut result = Vec::with_capacity(target.len());
    let mut open = None;
    for (index, size) in target.iter().enumerate() {
        result.push(match *size {
            -1 if open.is_none() => {
                open = Some(index);
                1
            }
            0 if !allow_zero => *dims.get(index).ok_or("a size of 0 has no counterpart")?,
            size => usize::try_from(size).map_err(|_| format!("a size of {size}"))?,
        });
    }
    let known = elements(&result).ok_or("too large")?;
    if let Some(index) = open {
        result[index] = total
            .checked_div(known)
            .ok_or("cannot infer a size beside 0")?;
    }
    if elements(&result) != Some(total) {
        return Err(format!("{dims:?} does not fit into {target:?}"));
    }
    Ok(result)
}

/// Sizes after a Flatten at `axis`.
pub(super) fn flattened(dims: &[usize], axis: i64) -> Result<Vec<usize>, String> {
    let split = if usize::try_from(axis) == Ok(dims.len()) {
        dims.len()
    } else {
        axis_index(axis, dims.len())?
    };
    Ok(vec![
        dims[..split].iter().product(),
        dims[split..].iter().product(),
    ])
}

/// The order of axes of a Transpose; all reversed where none is given.
pub(super) fn permutation(node: &Node<'_>, rank: usize) -> Result<Vec<usize>, String> {
    let Some(order) = node.ints("perm") else {
        return Ok((0..rank).rev().collect());
    };
    let order = order
        .iter()
        .map(|axis| axis_index(*axis, rank))
        .collect::<Result<Vec<_>, _>>()?;
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if sorted.iter().copied().eq(0..rank) {
        Ok(order)
    } else {
        Err("is no permutation of the axes".to_owned())
    }
}
