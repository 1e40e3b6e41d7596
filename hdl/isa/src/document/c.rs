//! The contract as a header for C99 and C++.

use super::Contract;
use crate::{
    codes::{Code, Part},
    descriptor::Field,
};
use std::fmt::Write;

/// What the header can do besides naming numbers: CRC, requests, fields.
const FUNCTIONS: &str = r"/* CRC-32 of bytes. */
static inline uint32_t bitweft_crc32(const uint8_t *bytes, size_t count)
{
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t at = 0; at < count; at++) {
        crc ^= bytes[at];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ ((crc & 1u) ? 0xEDB88320u : 0u);
    }
    return ~crc;
}

/* Writes a number, little endian. */
static inline void bitweft_put(uint8_t *at, uint32_t value, size_t bytes)
{
    for (size_t byte = 0; byte < bytes; byte++)
        at[byte] = (uint8_t)(value >> (8 * byte));
}

/* Makes a request in `frame` (BITWEFT_REQUEST_MAX bytes); gives its size, or 0 for a payload that is too long. */
static inline size_t bitweft_request(uint8_t *frame, uint8_t opcode, uint8_t sequence, uint8_t space,
                                     uint32_t address, const uint8_t *payload, size_t length)
{
    if (length > BITWEFT_PAYLOAD_MAX)
        return 0;
    frame[BITWEFT_REQUEST_MAGIC_AT] = BITWEFT_REQUEST_MAGIC;
    frame[BITWEFT_REQUEST_OPCODE_AT] = opcode;
    frame[BITWEFT_REQUEST_SEQUENCE_AT] = sequence;
    frame[BITWEFT_REQUEST_SPACE_AT] = space;
    bitweft_put(frame + BITWEFT_REQUEST_ADDRESS_AT, address, 4);
    bitweft_put(frame + BITWEFT_REQUEST_LENGTH_AT, (uint32_t)length, 2);
    for (size_t at = 0; at < length; at++)
        frame[BITWEFT_REQUEST_HEADER + at] = payload[at];
    length += BITWEFT_REQUEST_HEADER;
    bitweft_put(frame + length, bitweft_crc32(frame + 1, length - 1), BITWEFT_CRC_BYTES);
    return length + BITWEFT_CRC_BYTES;
}

/* Sets a field of a descriptor whose words were 0: bitweft_field(words, BITWEFT_DESCRIPTOR_OPCODE, 1). */
static inline void bitweft_field(uint32_t *words, unsigned word, unsigned low, unsigned bits, int32_t value)
{
    words[word] |= ((uint32_t)value & (0xFFFFFFFFu >> (32 - bits))) << low;
}
";

/// The whole header.
pub(super) fn write(contract: &Contract) -> String {
    let mut text = format!(
        "/* Host port, descriptors and records of bitweft's processor, contract version {}.\n\
         \x20* Made by `bitweft isa --format c` from hdl/isa; `--format markdown` says how both sides behave. */\n\
         #ifndef BITWEFT_ISA_H\n#define BITWEFT_ISA_H\n\n#include <stddef.h>\n#include <stdint.h>\n",
        contract.version
    );
    heading(&mut text, "Constants");
    for constant in &contract.constants {
        define(&mut text, &constant.name, constant.value, constant.text);
    }
    parts(&mut text, "REQUEST", contract.request);
    parts(&mut text, "RESPONSE", contract.response);
    let commands: Vec<Code> = contract
        .commands
        .iter()
        .map(|command| command.code)
        .collect();
    for (title, prefix, codes) in [
        ("Commands", "COMMAND", &commands[..]),
        ("Status of a response", "STATUS", contract.statuses),
        ("State of the processor", "STATE", contract.states),
        ("Spaces", "SPACE", contract.spaces),
        ("Counters of a descriptor", "COUNTER", contract.counters),
        ("Opcodes of descriptors", "OPCODE", contract.opcodes),
    ] {
        heading(&mut text, title);
        for code in codes {
            let name = format!("{prefix}_{}", upper(code.name));
            define(&mut text, &name, code.code.into(), code.text);
        }
    }
    for command in &contract.commands {
        let name = upper(command.code.name);
        parts(&mut text, &format!("{name}_PAYLOAD"), command.payload);
        parts(&mut text, &format!("{name}_RESPONSE"), command.response);
    }
    fields(&mut text, contract);
    processor(&mut text, contract);
    text.push('\n');
    text.push_str(FUNCTIONS);
    text.push_str("\n#endif\n");
    text
}

/// `BadCrc` and `strip_count` as BAD_CRC and STRIP_COUNT.
fn upper(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(letter.to_ascii_uppercase());
    }
    text
}

fn heading(text: &mut String, title: &str) {
    let _ = writeln!(text, "\n/* {title} */");
}

fn define(text: &mut String, name: &str, value: u64, meaning: &str) {
    let meaning = meaning.replace(['[', ']', '`'], "");
    let _ = writeln!(text, "#define BITWEFT_{name} {value}u /* {meaning} */");
}

/// Offsets of the parts that have one.
fn parts(text: &mut String, prefix: &str, parts: &[Part]) {
    if parts.is_empty() {
        return;
    }
    heading(
        text,
        &format!("Offsets: {}", prefix.to_lowercase().replace('_', " ")),
    );
    for (at, part) in parts.iter().enumerate() {
        let name = format!("{prefix}_{}_AT", upper(part.name));
        define(text, &name, Part::head(&parts[..at]) as u64, part.text);
        if part.bytes.is_none() {
            break;
        }
    }
}

/// A descriptor's field is its word, lowest bit and width; a record's its lowest bit and width.
fn fields(text: &mut String, contract: &Contract) {
    let mut field = |prefix: &str, field: &Field, value: String| {
        let (name, meaning) = (upper(field.name), field.text.replace(['[', ']', '`'], ""));
        let sign = if field.signed {
            " Two's complement."
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "#define BITWEFT_{prefix}_{name} {value} /* {meaning}{sign} */"
        );
    };
    for one in contract.descriptor {
        field(
            "DESCRIPTOR",
            one,
            format!("{}u, {}u, {}u", one.word, one.low, one.bits),
        );
    }
    for one in contract.record {
        field("RECORD", one, format!("{}u, {}u", one.low, one.bits));
    }
}

fn processor(text: &mut String, contract: &Contract) {
    let Some(processor) = &contract.processor else {
        return;
    };
    heading(text, &format!("Processor {}", processor.name));
    let _ = writeln!(
        text,
        "#define BITWEFT_FINGERPRINT 0x{:08x}u",
        processor.fingerprint
    );
    define(
        text,
        "COLUMNS",
        processor.columns as u64,
        "Columns of lanes.",
    );
    define(
        text,
        "INPUTS",
        processor.inputs as u64,
        "Digits of a plane word.",
    );
    for memory in &processor.memories {
        let name = upper(memory.space);
        define(text, &format!("{name}_ROWS"), memory.rows as u64, "Rows.");
        define(
            text,
            &format!("{name}_ROW_BYTES"),
            memory.row_bytes as u64,
            "Bytes of a row.",
        );
    }
}
