//! Phases: operations in order, cut where the planes, records or descriptors of the next one no longer fit.

use super::{CompileError, DescriptorInfo, Operation};
use crate::model::integer::IntegerLayer;
use bitweft_isa::{
    Space,
    architecture::Architecture,
    image::{Phase, Write},
};

/// What a phase holds so far.
#[derive(Default)]
struct Memories {
    program: Vec<u8>,
    records: Vec<u8>,
    planes: Vec<u8>,
    record_count: usize,
    plane_count: usize,
    descriptors: usize,
}

/// Assigns bases and cuts into phases.
pub(super) fn assign(
    layers: &[IntegerLayer],
    lowered: Vec<Vec<Operation>>,
    architecture: &Architecture,
    mac_bits: impl Fn(&IntegerLayer, &Operation) -> u64,
) -> Result<(Vec<Phase>, Vec<DescriptorInfo>), CompileError> {
    let mut phases = Vec::new();
    let mut infos = Vec::new();
    let mut memories = Memories::default();
    for (index, operations) in lowered.into_iter().enumerate() {
        let layer = &layers[index];
        for mut operation in operations {
            fits_alone(layer, &operation, architecture)?;
            let full = memories.descriptors + 1 > architecture.descriptor_count
                || memories.record_count + operation.records.len() > architecture.record_count
                || memories.plane_count + operation.planes.len() > architecture.plane_words;
            if full {
                phases.push(std::mem::take(&mut memories).finish());
            }
            memories.append(&layer.name, &mut operation, architecture)?;
            let mac_bits = mac_bits(layer, &operation);
            infos.push(DescriptorInfo {
                layer: index,
                descriptor: operation.descriptor,
                widths: operation.widths,
                mac_bits,
            });
        }
    }
    phases.push(memories.finish());
    Ok((phases, infos))
}

fn fits_alone(
    layer: &IntegerLayer,
    operation: &Operation,
    architecture: &Architecture,
) -> Result<(), CompileError> {
    let needs = [
        (
            "plane_words",
            operation.planes.len(),
            architecture.plane_words,
        ),
        (
            "record_count",
            operation.records.len(),
            architecture.record_count,
        ),
    ];
    for (field, needed, available) in needs {
        if needed > available {
            return Err(CompileError::TooSmall {
                layer: layer.name.clone(),
                field,
                needed,
                available,
            });
        }
    }
    Ok(())
}

impl Memories {
    fn append(
        &mut self,
        layer: &str,
        operation: &mut Operation,
        architecture: &Architecture,
    ) -> Result<(), CompileError> {
        let field = |detail: String| CompileError::Field {
            layer: layer.into(),
            detail,
        };
        // Full memories are no limit of an operation that has nothing in them.
        let base =
            |count: usize, none: bool| super::geometry::integer(if none { 0 } else { count });
        operation.descriptor.plane_base = base(self.plane_count, operation.planes.is_empty());
        operation.descriptor.record_base = base(self.record_count, operation.records.is_empty());
        let descriptor = &operation.descriptor;
        descriptor
            .check(architecture)
            .map_err(|limit| CompileError::Limit {
                layer: layer.into(),
                limit,
            })?;
        let words = descriptor
            .encode()
            .map_err(|error| field(error.to_string()))?;
        self.program
            .extend(words.iter().flat_map(|word| word.to_le_bytes()));
        for record in &operation.records {
            let bytes = record
                .encode()
                .ok_or_else(|| field(format!("a record cannot hold {record:?}")))?;
            self.records.extend(bytes);
        }
        let row = architecture.row_bytes(Space::Plane);
        for word in &operation.planes {
            let start = self.planes.len();
            self.planes.resize(start + row, 0);
            for (bit, _) in word.iter().enumerate().filter(|(_, set)| **set) {
                self.planes[start + bit / 8] |= 1 << (bit % 8);
            }
        }
        self.record_count += operation.records.len();
        self.plane_count += operation.planes.len();
        self.descriptors += 1;
        Ok(())
    }

    fn finish(self) -> Phase {
        let writes = [
            (Space::Program, self.program),
            (Space::Record, self.records),
            (Space::Plane, self.planes),
        ];
        Phase {
            writes: writes
                .into_iter()
                .filter(|(_, rows)| !rows.is_empty())
                .map(|(space, rows)| Write {
                    space,
                    address: 0,
                    rows,
                })
                .collect(),
            descriptors: self.descriptors,
        }
    }
}
