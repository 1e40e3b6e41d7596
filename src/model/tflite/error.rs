//! Errors of reading a TensorFlow Lite file.

use crate::model::unsupported::UnsupportedReport;

/// Why a TensorFlow Lite file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TfliteError {
    /// No file identifier.
    #[error("not a TensorFlow Lite file: bytes 4..8 are not `TFL3`")]
    NotTflite,
    /// The FlatBuffer is truncated or corrupted.
    #[error("damaged FlatBuffer at {table}.{field} (byte {offset}): {reason}")]
    Damaged {
        /// Table of the schema.
        table: String,
        /// Field of the table.
        field: String,
        /// Byte offset in the file.
        offset: usize,
        /// What the decoder says.
        reason: String,
    },
    /// A field that must be there is not.
    #[error("field `{0}` is missing")]
    Missing(String),
    /// A field has a value that no valid file has, or that is beyond our limits.
    #[error("field `{field}`: {reason}")]
    Invalid {
        /// The field or layer.
        field: String,
        /// What is wrong.
        reason: String,
    },
    /// Operators that the reader does not take, all of them.
    #[error(transparent)]
    Unsupported(#[from] UnsupportedReport),
}

impl TfliteError {
    pub(super) fn missing(field: &str) -> Self {
        Self::Missing(field.to_owned())
    }

    pub(super) fn invalid(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid {
            field: field.into(),
            reason: reason.into(),
        }
    }
}

impl From<planus::Error> for TfliteError {
    fn from(error: planus::Error) -> Self {
        let location = error.source_location;
        Self::Damaged {
            table: location.type_.to_owned(),
            field: location.method.to_owned(),
            offset: location.byte_offset,
            reason: error.error_kind.to_string(),
        }
    }
}
