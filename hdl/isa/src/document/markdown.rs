//! The contract as Markdown.

use super::Contract;
use crate::{
    codes::{Code, Part},
    descriptor::Field,
};
use std::fmt::Write;

/// The whole document.
pub(super) fn write(contract: &Contract) -> String {
    let mut text = format!(
        "# Host port, descriptors and records, contract version {}\n\n\
         Made by `bitweft isa --format markdown` from `hdl/isa`, which software and hardware are built from.\n\n\
         ## How both sides behave\n\n{}\n",
        contract.version, contract.rules
    );
    parts(&mut text, "Request", contract.request);
    parts(&mut text, "Response", contract.response);
    commands(&mut text, contract);
    codes(&mut text, "Status of a response", contract.statuses);
    codes(&mut text, "State of the processor", contract.states);
    codes(&mut text, "Spaces", contract.spaces);
    codes(&mut text, "Counters", contract.counters);
    processor(&mut text, contract);
    codes(&mut text, "Opcodes of descriptors", contract.opcodes);
    let title = "Fields of a descriptor (`DESCRIPTOR_WORDS` words of 32 bits)";
    fields(&mut text, title, contract.descriptor);
    let title = "Fields of a filter record (one number of `RECORD_BYTES` bytes)";
    fields(&mut text, title, contract.record);
    let rows = contract.constants.iter().map(|one| {
        vec![
            format!("`{}`", one.name),
            one.value.to_string(),
            plain(one.text),
        ]
    });
    table(&mut text, "Constants", &["name", "value", "what"], rows);
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// A text without the brackets of links into the code.
fn plain(text: &str) -> String {
    text.replace("[`", "`")
        .replace("`]", "`")
        .replace('|', "\\|")
}

fn table(
    text: &mut String,
    title: &str,
    header: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
) {
    let _ = writeln!(text, "## {title}\n\n| {} |", header.join(" | "));
    let _ = writeln!(text, "|{}", "---|".repeat(header.len()));
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text.push('\n');
}

fn parts(text: &mut String, title: &str, parts: &[Part]) {
    // Behind what has no fixed size nothing has a fixed place.
    let mut at = Some(0);
    let rows = parts.iter().map(|part| {
        let offset = at.map_or_else(String::new, |at| at.to_string());
        at = at.zip(part.bytes).map(|(at, bytes)| at + bytes);
        let bytes = part
            .bytes
            .map_or_else(|| "length".to_owned(), |b| b.to_string());
        vec![offset, bytes, format!("`{}`", part.name), plain(part.text)]
    });
    let rows: Vec<_> = rows.collect();
    table(text, title, &["offset", "bytes", "part", "what"], rows);
}

fn commands(text: &mut String, contract: &Contract) {
    let listed = |parts: &[Part]| {
        let each = parts.iter().map(|part| {
            let bytes = part.bytes.map_or_else(String::new, |b| format!(" ({b})"));
            format!("`{}`{bytes}: {}", part.name, plain(part.text))
        });
        each.collect::<Vec<_>>().join(" ")
    };
    let rows = contract.commands.iter().map(|command| {
        vec![
            command.code.code.to_string(),
            format!("`{}`", command.code.name),
            plain(command.code.text),
            listed(command.payload),
            listed(command.response),
        ]
    });
    let header = [
        "opcode",
        "command",
        "what",
        "payload (bytes)",
        "response (bytes)",
    ];
    table(text, "Commands", &header, rows);
}

fn codes(text: &mut String, title: &str, codes: &[Code]) {
    let rows = codes.iter().map(|one| {
        vec![
            one.code.to_string(),
            format!("`{}`", one.name),
            plain(one.text),
        ]
    });
    table(text, title, &["code", "name", "what"], rows);
}

fn fields(text: &mut String, title: &str, fields: &[Field]) {
    let rows = fields.iter().map(|field| {
        let high = field.low + field.bits - 1;
        let sign = if field.signed { "two's complement" } else { "" };
        vec![
            field.word.to_string(),
            format!("{high}:{}", field.low),
            format!("`{}`", field.name),
            sign.to_owned(),
            plain(field.text),
        ]
    });
    table(text, title, &["word", "bits", "field", "", "what"], rows);
}

fn processor(text: &mut String, contract: &Contract) {
    let Some(processor) = &contract.processor else {
        return;
    };
    let title = format!(
        "Memories of `{}` (fingerprint {:08x}, {} columns, {} inputs)",
        processor.name, processor.fingerprint, processor.columns, processor.inputs
    );
    let rows = processor.memories.iter().map(|memory| {
        vec![
            format!("`{}`", memory.space),
            memory.rows.to_string(),
            memory.row_bytes.to_string(),
        ]
    });
    table(text, &title, &["space", "rows", "bytes a row"], rows);
}
