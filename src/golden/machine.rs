//! Executes a program image on the architecture's memories, word by word, as the hardware must.
//!
//! It knows descriptors, records and plane words (`bitweft_isa`), and nothing of the network or of the
//! compiler that made them.

use bitweft_isa::{
    QUAD, Space,
    architecture::Architecture,
    descriptor::{Descriptor, Opcode, WORDS},
    image::{Image, ImageError},
    plane,
    record::{BYTES, Record},
};

/// Why an image cannot be executed.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// Not an image for this architecture.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A descriptor that is not an operation, or that reaches outside a memory.
    #[error("phase {phase}, descriptor {index}: {what}")]
    Descriptor {
        /// Phase.
        phase: usize,
        /// Descriptor in the phase.
        index: usize,
        /// What is wrong.
        what: String,
    },
    /// Input of another size than the image's.
    #[error("the input has {found} bytes, the program expects {expected}")]
    Input {
        /// Bytes given.
        found: usize,
        /// Bytes of the input placement.
        expected: usize,
    },
}

/// The processor's memories.
#[derive(Debug, Clone)]
pub struct Machine {
    architecture: Architecture,
    /// Rows of every space, bytes.
    spaces: [Vec<u8>; 4],
}

/// A plane word with its digits decoded: +1 or -1 a weight, and what the complements add.
struct PlaneWord {
    digits: Vec<i8>,
    offset: i64,
    last: bool,
}

/// State of a filter's accumulation for one pixel.
struct Lane {
    accumulators: Vec<i64>,
}

impl Machine {
    /// Memories of an architecture, all zero.
    #[must_use]
    pub fn new(architecture: &Architecture) -> Self {
        let space = |space| vec![0; architecture.rows(space) * architecture.row_bytes(space)];
        let spaces = [
            Space::Program,
            Space::Record,
            Space::Plane,
            Space::Activation,
        ]
        .map(space);
        Self {
            architecture: architecture.clone(),
            spaces,
        }
    }

    /// Rows of a space as bytes.
    #[must_use]
    pub fn space(&self, space: Space) -> &[u8] {
        self.spaces.get(space as usize).map_or(&[], Vec::as_slice)
    }

    /// Runs a whole image on one input (`[h, w, c]` bytes); gives every layer's output (`[h, w, c]` bytes)
    /// as it was right after the layer, in the order of the image's layers.
    ///
    /// # Errors
    /// An image for another architecture, an input of another size, a descriptor that reaches outside.
    pub fn run(&mut self, image: &Image, input: &[u8]) -> Result<Vec<Vec<u8>>, MachineError> {
        image.check(&self.architecture)?;
        let place = image.input;
        let expected = place.height * place.width * place.channels;
        if input.len() != expected {
            return Err(MachineError::Input {
                found: input.len(),
                expected,
            });
        }
        let rows = place.pack(&self.architecture, input);
        self.write(Space::Activation, place.base, &rows);
        let mut outputs = Vec::with_capacity(image.layers.len());
        let mut layers = image.layers.iter();
        let mut layer = layers.next();
        let mut left = layer.map_or(0, |layer| layer.descriptors);
        for (phase_index, phase) in image.phases.iter().enumerate() {
            for write in &phase.writes {
                self.write(write.space, write.address, &write.rows);
            }
            for index in 0..phase.descriptors {
                while let (Some(done), 0) = (layer, left) {
                    outputs.push(self.read(&done.output));
                    layer = layers.next();
                    left = layer.map_or(0, |layer| layer.descriptors);
                    self.restore(layer, &outputs);
                }
                self.execute(index)
                    .map_err(|what| MachineError::Descriptor {
                        phase: phase_index,
                        index,
                        what,
                    })?;
                left = left.saturating_sub(1);
            }
        }
        while let Some(done) = layer {
            outputs.push(self.read(&done.output));
            layer = layers.next();
        }
        Ok(outputs)
    }

    fn write(&mut self, space: Space, address: usize, rows: &[u8]) {
        let start = address * self.architecture.row_bytes(space);
        if let Some(target) = self
            .spaces
            .get_mut(space as usize)
            .and_then(|s| s.get_mut(start..start + rows.len()))
        {
            target.copy_from_slice(rows);
        }
    }

    /// Writes back what the host has kept for a layer.
    fn restore(&mut self, layer: Option<&bitweft_isa::image::Layer>, outputs: &[Vec<u8>]) {
        for restore in layer.into_iter().flat_map(|layer| &layer.restores) {
            let bytes = outputs.get(restore.layer).map_or(&[][..], Vec::as_slice);
            let rows = restore.place.pack(&self.architecture, bytes);
            self.write(Space::Activation, restore.place.base, &rows);
        }
    }

    fn read(&self, place: &bitweft_isa::layout::Placement) -> Vec<u8> {
        let row = self.architecture.row_bytes(Space::Activation);
        let activations = self.space(Space::Activation);
        place.unpack(
            &self.architecture,
            activations.get(place.base * row..).unwrap_or(&[]),
        )
    }

    fn execute(&mut self, index: usize) -> Result<(), String> {
        let mut words = [0; WORDS];
        let start = index * WORDS * 4;
        let bytes = self
            .space(Space::Program)
            .get(start..start + WORDS * 4)
            .ok_or("beyond the program memory")?;
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = bytes.try_into().map(u32::from_le_bytes).unwrap_or(0);
        }
        let descriptor = Descriptor::decode(&words);
        let is = |opcode: Opcode| descriptor.opcode == opcode as i64;
        if is(Opcode::Convolution) {
            self.convolution(&descriptor)
        } else if is(Opcode::MaxPool) || is(Opcode::AveragePool) {
            self.pool(&descriptor, is(Opcode::MaxPool))
        } else if is(Opcode::Add) {
            self.add(&descriptor)
        } else {
            Err(format!("opcode {} is not an operation", descriptor.opcode))
        }
    }

    /// Byte `channel_byte` of word `word` in bank `column`.
    fn activation(&mut self, word: i64, column: usize, byte: usize) -> Result<&mut u8, String> {
        let limit = self.architecture.activation_words;
        let word_index = usize::try_from(word).ok().filter(|&w| w < limit);
        let at = word_index.map(|w| (w * self.architecture.columns + column) * QUAD + byte);
        at.and_then(|at| self.spaces[Space::Activation as usize].get_mut(at))
            .ok_or_else(|| format!("activation word {word} of {limit}"))
    }

    fn record(&self, index: i64) -> Result<Record, String> {
        let start = usize::try_from(index).map_err(|e| e.to_string())? * BYTES;
        let bytes = self
            .space(Space::Record)
            .get(start..start + BYTES)
            .and_then(|b| b.try_into().ok());
        bytes
            .map(Record::decode)
            .ok_or_else(|| format!("record {index}"))
    }

    fn plane(&self, address: i64) -> Result<PlaneWord, String> {
        let row = self.architecture.row_bytes(Space::Plane);
        let start = usize::try_from(address).map_err(|e| e.to_string())? * row;
        let bytes = self
            .space(Space::Plane)
            .get(start..start + row)
            .ok_or_else(|| format!("plane word {address}"))?;
        let inputs = self.architecture.inputs();
        let bit = |k: usize| bytes[k / 8] >> (k % 8) & 1 == 1;
        let word: Vec<bool> = (0..inputs).map(bit).collect();
        Ok(PlaneWord {
            digits: decode(&word),
            offset: plane::offset(&word),
            last: bit(inputs),
        })
    }

    /// The four bytes of quad `quad` that tap (ky, kx) of output pixel (y, x) reads.
    fn tap(
        &mut self,
        d: &Descriptor,
        y: usize,
        x: usize,
        tap: (i64, i64),
        quad: i64,
    ) -> Result<[u8; QUAD], String> {
        let columns = i64::try_from(self.architecture.columns).map_err(|e| e.to_string())?;
        let (y, x) = (
            i64::try_from(y).map_err(|e| e.to_string())?,
            i64::try_from(x).map_err(|e| e.to_string())?,
        );
        let stride_width = d.strip_x_step / columns;
        let iy = y * d.stride_height + d.origin_y + tap.0;
        let ix = x * stride_width + d.origin_x + tap.1;
        if !(0..d.in_height).contains(&iy) || !(0..d.in_width).contains(&ix) {
            return Ok([u8::try_from(d.pad_value).unwrap_or(0); QUAD]);
        }
        let word = d.in_base + iy * d.row_stride + ix / columns * d.pixel_stride + quad;
        let column = usize::try_from(ix % columns).unwrap_or(0);
        let mut bytes = [0; QUAD];
        for (byte, value) in bytes.iter_mut().enumerate() {
            *value = *self.activation(word, column, byte)?;
        }
        Ok(bytes)
    }

    fn convolution(&mut self, d: &Descriptor) -> Result<(), String> {
        let words =
            usize::try_from(d.chunk_count * d.planes_per_chunk).map_err(|e| e.to_string())?;
        let planes: Vec<PlaneWord> = (0..)
            .take(words)
            .map(|at| self.plane(d.plane_base + at))
            .collect::<Result<_, _>>()?;
        let records: Vec<Record> = (0..d.filter_count)
            .map(|f| self.record(d.record_base + f))
            .collect::<Result<_, _>>()?;
        let per_chunk = usize::try_from(d.planes_per_chunk).map_err(|e| e.to_string())?;
        for strip in 0..d.strip_count {
            for column in 0..self.architecture.columns {
                let (y, x) = self.pixel(d, strip, column);
                let inputs = self.gather(d, y, x)?;
                let lane = Lane::run(&inputs, &planes, per_chunk, self.architecture.inputs());
                let mut position = 1;
                for (filter, record) in (0..).zip(&records) {
                    let byte = finish(d, record, value(record, &lane.accumulators, &mut position)?);
                    let word = d.out_base + strip * d.out_stride + filter / 4;
                    let lane_byte = usize::try_from(filter % 4).unwrap_or(0);
                    *self.activation(word, column, lane_byte)? = byte;
                }
            }
        }
        Ok(())
    }

    /// Output pixel (row, column) of a strip's column.
    fn pixel(&self, d: &Descriptor, strip: i64, column: usize) -> (usize, usize) {
        let part = |value: i64| usize::try_from(value).unwrap_or(0);
        let per_row = d.strips_per_row.max(1);
        (
            part(strip / per_row),
            part(strip % per_row) * self.architecture.columns + column,
        )
    }

    /// All inputs of an output pixel, chunk by chunk in the order of plane words; bytes past the last tap are 0.
    fn gather(&mut self, d: &Descriptor, y: usize, x: usize) -> Result<Vec<i8>, String> {
        let total =
            usize::try_from(d.chunk_count).map_err(|e| e.to_string())? * self.architecture.inputs();
        let mut inputs = Vec::with_capacity(total);
        for ky in 0..d.kernel_height {
            for kx in 0..d.kernel_width {
                for quad in 0..d.quads_per_tap {
                    inputs.extend(self.tap(d, y, x, (ky, kx), quad)?.map(plane::input));
                }
            }
        }
        if inputs.len() > total {
            return Err(format!(
                "{} inputs exceed {} chunks",
                inputs.len(),
                d.chunk_count
            ));
        }
        inputs.resize(total, plane::input(0));
        let chunks = inputs.chunks_exact(self.architecture.inputs());
        Ok(chunks
            .flat_map(|chunk| plane::ordered(&self.architecture, chunk))
            .collect())
    }

    fn pool(&mut self, d: &Descriptor, maximum: bool) -> Result<(), String> {
        let record = if maximum {
            Record::default()
        } else {
            self.record(d.record_base)?
        };
        for strip in 0..d.strip_count {
            for column in 0..self.architecture.columns {
                let (y, x) = self.pixel(d, strip, column);
                for quad in 0..d.quads_per_tap {
                    let mut best = [0_i64; QUAD];
                    for ky in 0..d.kernel_height {
                        for kx in 0..d.kernel_width {
                            let bytes = self.tap(d, y, x, (ky, kx), quad)?;
                            for (best, byte) in best.iter_mut().zip(bytes.map(i64::from)) {
                                *best = if maximum {
                                    (*best).max(byte)
                                } else {
                                    *best + byte
                                };
                            }
                        }
                    }
                    let word = d.out_base + strip * d.quads_per_tap + quad;
                    for (byte, value) in best.into_iter().enumerate() {
                        let result = if maximum {
                            clamp(d, value)
                        } else {
                            finish(d, &record, value + record.bias)
                        };
                        *self.activation(word, column, byte)? = result;
                    }
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, d: &Descriptor) -> Result<(), String> {
        let records = [0, 1, 2].map(|i| self.record(d.record_base + i));
        let [a, b, sum] = records;
        let (a, b, sum) = (a?, b?, sum?);
        for word in 0..d.strip_count {
            for column in 0..self.architecture.columns {
                for byte in 0..QUAD {
                    let x = i64::from(*self.activation(d.in_base + word, column, byte)?);
                    let y = i64::from(*self.activation(d.row_stride + word, column, byte)?);
                    let x = scale(d, &a, (x << 20) + a.bias);
                    let y = scale(d, &b, (y << 20) + b.bias);
                    let result = finish(d, &sum, x + y + sum.bias);
                    *self.activation(d.out_base + word, column, byte)? = result;
                }
            }
        }
        Ok(())
    }
}

/// Weight digits of a plane word (inverse of `isa::plane::encode`): quad signs follow from the root's sign and the
/// tree's relative signs, level by level from the root down.
fn decode(word: &[bool]) -> Vec<i8> {
    let quads = word.len() / QUAD;
    let mut levels = Vec::new();
    let mut nodes = quads;
    let mut at = 3 * quads;
    while nodes > 1 {
        levels.push((nodes, at));
        at += nodes / 2;
        nodes = nodes.div_ceil(2);
    }
    let mut signs = vec![word.last().copied().unwrap_or(false)];
    for (nodes, at) in levels.into_iter().rev() {
        signs = (0..nodes)
            .map(|node| {
                let relative = node % 2 == 1 && word[at + node / 2];
                signs[node / 2] != relative
            })
            .collect();
    }
    let digit = |minus: bool| if minus { -1 } else { 1 };
    signs
        .iter()
        .enumerate()
        .flat_map(|(g, &sign)| {
            let [a0, a1, a2] = [word[3 * g], word[3 * g + 1], word[3 * g + 2]];
            [sign, sign != a0, sign != a2, (sign != a2) != a1].map(digit)
        })
        .collect()
}

impl Lane {
    /// Accumulators of one pixel: position 0 the sum of inputs, then each filter with planes.
    fn run(inputs: &[i8], planes: &[PlaneWord], per_chunk: usize, inputs_per_chunk: usize) -> Self {
        let mut accumulators = vec![inputs.iter().map(|&x| i64::from(x)).sum()];
        for (chunk, x) in inputs.chunks_exact(inputs_per_chunk).enumerate() {
            let (mut position, mut horner) = (1, 0);
            for word in &planes[chunk * per_chunk..(chunk + 1) * per_chunk] {
                let dot: i32 = word
                    .digits
                    .iter()
                    .zip(x)
                    .map(|(&d, &x)| i32::from(d) * i32::from(x))
                    .sum();
                horner = 2 * horner + i64::from(dot) + word.offset;
                if word.last {
                    if position == accumulators.len() {
                        accumulators.push(0);
                    }
                    accumulators[position] += horner;
                    (position, horner) = (position + 1, 0);
                }
            }
        }
        Self { accumulators }
    }
}

/// v of a filter; takes the next position unless its width is 0.
fn value(record: &Record, accumulators: &[i64], position: &mut usize) -> Result<i64, String> {
    if record.zero {
        return Ok(record.bias);
    }
    let h = accumulators
        .get(*position)
        .ok_or_else(|| format!("no planes for position {position}"))?;
    *position += 1;
    Ok(if record.binary {
        h + record.bias
    } else {
        (h - accumulators[0] + record.bias) >> 1
    })
}

/// y of `isa::record`.
fn scale(d: &Descriptor, record: &Record, v: i64) -> i64 {
    let double = d.rounding_double == 1;
    let product = (v << record.left) * i64::from(record.mantissa);
    let p = (product + if double { 1 << 30 } else { 0 }) >> 31;
    let half = if record.right == 0 {
        0
    } else {
        (1_i64 << (record.right - 1)) - i64::from(double && p < 0)
    };
    (p + half) >> record.right
}

fn finish(d: &Descriptor, record: &Record, v: i64) -> u8 {
    clamp(d, d.out_zero + scale(d, record, v))
}

fn clamp(d: &Descriptor, value: i64) -> u8 {
    u8::try_from(value.max(d.clamp_low).min(d.clamp_high)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decode_inverts_encode() {
        let mut state = 1_u64;
        for quads in 2..=20 {
            let digits: Vec<bool> = (0..4 * quads)
                .map(|_| {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    state >> 40 & 1 == 1
                })
                .collect();
            let expected: Vec<i8> = digits.iter().map(|&d| if d { 1 } else { -1 }).collect();
            assert_eq!(decode(&plane::encode(&digits)), expected);
        }
    }

    #[test]
    fn rounding_of_ties() {
        let double = Descriptor {
            rounding_double: 1,
            ..Descriptor::default()
        };
        let record = Record {
            mantissa: 1 << 30,
            right: 1,
            ..Record::default()
        };
        // v / 4: the doubling high multiply gives v / 2 rounded up at ties, then halves away from zero.
        assert_eq!(
            [-6, -2, 2, 6].map(|v| scale(&double, &record, v)),
            [-2, -1, 1, 2]
        );
        let single = Descriptor::default();
        assert_eq!(
            [-6, -2, 2, 6].map(|v| scale(&single, &record, v)),
            [-1, 0, 1, 2]
        );
    }
}
