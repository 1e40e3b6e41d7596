//! The documents of the contract: the one in the repository is what the code gives, and C reads the header as Rust reads
//! the tables.

use std::path::Path;
use std::process::Command;

use bitweft_isa::{
    Space, VERSION,
    architecture::Architecture,
    descriptor::{Descriptor, FIELDS, Opcode},
    document::Contract,
    port::{self, request},
    record,
};

const DOCUMENT: &str = "PORT.md";

fn tiny() -> Architecture {
    let text = include_str!("../../../constraints/tiny.toml");
    Architecture::from_toml(text).expect("valid")
}

#[test]
fn the_document_is_what_the_code_says() {
    let made = Contract::new(None).markdown();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
    let kept = std::fs::read_to_string(path).expect("reads");
    assert!(
        kept == made,
        "make it again: bitweft isa -o hdl/isa/{DOCUMENT}"
    );
    // Everything that has a name is in it.
    for name in FIELDS.iter().chain(&record::FIELDS).map(|field| field.name) {
        assert!(made.contains(&format!("`{name}`")), "{name}");
    }
    for code in [port::Command::CODES, port::Status::CODES].concat() {
        assert!(made.contains(&format!("| {} | `{}` |", code.code, code.name)));
    }
}

#[test]
fn the_memories_of_an_architecture_are_in_its_document() {
    let made = Contract::new(Some(("tiny", &tiny()))).markdown();
    let planes = format!("| `Plane` | {} | 3 |", tiny().plane_words);
    for part in [format!("{:08x}", tiny().fingerprint()), planes] {
        assert!(made.contains(&part), "{part}");
    }
}

/// Prints numbers, a descriptor and a request made from them.
const PROGRAM: &str = r#"#include "isa.h"
#include <stdio.h>

static void words(const uint32_t *words)
{
    for (unsigned at = 0; at < BITWEFT_DESCRIPTOR_WORDS; at++)
        printf("%08x ", (unsigned)words[at]);
    printf("\n");
}

static unsigned low_of_record(unsigned low, unsigned bits)
{
    return low + 1000u * bits;
}

int main(void)
{
    uint32_t descriptor[BITWEFT_DESCRIPTOR_WORDS] = {0};
    uint8_t frame[BITWEFT_REQUEST_MAX];
    const uint8_t payload[3] = {1, 2, 250};
    bitweft_field(descriptor, BITWEFT_DESCRIPTOR_OPCODE, BITWEFT_OPCODE_AVERAGE_POOL);
    bitweft_field(descriptor, BITWEFT_DESCRIPTOR_ORIGIN_Y, -3);
    bitweft_field(descriptor, BITWEFT_DESCRIPTOR_PLANE_BASE, 0xABCDE);
    words(descriptor);
    size_t size = bitweft_request(frame, BITWEFT_COMMAND_WRITE, 7, BITWEFT_SPACE_RECORD, 0x01020304u, payload, 3);
    for (size_t at = 0; at < size; at++)
        printf("%02x", frame[at]);
    printf("\n%u %u %u %u\n", BITWEFT_VERSION, BITWEFT_RATE_3, BITWEFT_STATUS_STALE, BITWEFT_STATE_STOPPED);
    printf("%u %u\n", BITWEFT_FINGERPRINT, BITWEFT_PLANE_ROWS * BITWEFT_PLANE_ROW_BYTES);
    printf("%u %u\n", low_of_record(BITWEFT_RECORD_MANTISSA), BITWEFT_STATUS_RESPONSE_FINISHED_AT);
    return bitweft_request(frame, 0, 0, 0, 0, frame, BITWEFT_PAYLOAD_MAX + 1) != 0;
}
"#;

/// What C and C++ make of it.
fn built_and_run(compiler: &str, folder: &Path) -> String {
    let program = folder.join(compiler);
    let output = Command::new(compiler)
        .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o"])
        .arg(&program)
        .arg(folder.join(if compiler == "gcc" {
            "main.c"
        } else {
            "main.cpp"
        }))
        .output()
        .expect("gcc and g++ are needed: see scripts/tools.txt");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{compiler}: {error}");
    let output = Command::new(program).output().expect("starts");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn c_makes_the_same_descriptors_and_requests() {
    let folder = tempfile::tempdir().expect("folder");
    let tiny = tiny();
    let header = Contract::new(Some(("tiny", &tiny))).c_header();
    std::fs::write(folder.path().join("isa.h"), header).expect("writes");
    for name in ["main.c", "main.cpp"] {
        std::fs::write(folder.path().join(name), PROGRAM).expect("writes");
    }
    let descriptor = Descriptor {
        opcode: Opcode::AveragePool as i64,
        origin_y: -3,
        plane_base: 0xABCDE,
        ..Descriptor::default()
    };
    let words = descriptor.encode().expect("fits");
    let words: String = words.iter().map(|word| format!("{word:08x} ")).collect();
    let space = Space::Record as u8;
    let frame = request(port::Command::Write, 7, space, 0x0102_0304, &[1, 2, 250]);
    let frame: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
    let numbers = format!(
        "{VERSION} {} {} {}",
        port::RATES[3],
        port::Status::Stale as u8,
        port::State::Stopped as u8
    );
    let planes = tiny.plane_words * tiny.row_bytes(Space::Plane);
    let memory = format!("{} {planes}", tiny.fingerprint());
    let record = format!("{} 2", record::MANTISSA_LOW + 1000 * record::MANTISSA_BITS);
    let expected = [words, frame, numbers, memory, record].join("\n") + "\n";
    for compiler in ["gcc", "g++"] {
        assert_eq!(
            built_and_run(compiler, folder.path()),
            expected,
            "{compiler}"
        );
    }
}
