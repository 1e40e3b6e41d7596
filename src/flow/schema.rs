//! The JSON Schema of a board's file, made from the types that read it, for editors and other tools.

use bitweft_isa::architecture::Architecture;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

use super::board::BoardFile;
use super::part::{Budget, Part};

/// A board's file: the processor, and what building it for a board takes. Ranges and what fits together: `bitweft boards check`.
#[derive(JsonSchema)]
#[schemars(rename = "bitweft board", deny_unknown_fields)]
#[expect(dead_code, reason = "each table is read by itself")]
struct File {
    architecture: Architecture,
    board: Option<BoardFile>,
    part: Option<Part>,
    budget: Option<Budget>,
}

/// JSON Schema (draft 2020-12) of a board's TOML file.
#[must_use]
pub fn schema() -> Value {
    SchemaGenerator::default()
        .into_root_schema_for::<File>()
        .to_value()
}

/// Tables of a TOML text that a board's file does not have.
///
/// # Errors
/// The text is not TOML.
pub fn unknown_tables(text: &str) -> Result<Vec<String>, toml::de::Error> {
    let schema = schema();
    let known = schema["properties"].as_object();
    let table: toml::Table = toml::from_str(text)?;
    let unknown = |name: &String| known.is_none_or(|known| !known.contains_key(name));
    Ok(table
        .into_iter()
        .map(|(name, _)| name)
        .filter(unknown)
        .collect())
}
