//! What a reader could not take from a network file, all of it at once.

use std::fmt;

/// One operator that a reader refuses.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Unsupported {
    /// The operator's name in its format, such as `RESIZE_BILINEAR` or `ConvTranspose`.
    pub operator: String,
    /// Position in the file's list of operators.
    pub index: usize,
    /// Name of the layer (of the operator, or of its first output).
    pub layer: String,
    /// Why, and what would be accepted.
    pub reason: String,
}

/// Every operator of a file that a reader refuses, in file order.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct UnsupportedReport {
    /// The refused operators.
    pub entries: Vec<Unsupported>,
}

impl UnsupportedReport {
    /// Adds an operator.
    pub fn push(
        &mut self,
        operator: impl Into<String>,
        index: usize,
        layer: impl Into<String>,
        reason: impl Into<String>,
    ) {
        self.entries.push(Unsupported {
            operator: operator.into(),
            index,
            layer: layer.into(),
            reason: reason.into(),
        });
    }

    /// Whether nothing was refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl fmt::Display for UnsupportedReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.entries.len();
        write!(
            f,
            "{count} unsupported operator{}",
            if count == 1 { "" } else { "s" }
        )?;
        for entry in &self.entries {
            write!(
                f,
                "\n  #{} {} `{}`: {}",
                entry.index, entry.operator, entry.layer, entry.reason
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for UnsupportedReport {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_every_operator_with_its_reason() {
        let mut report = UnsupportedReport::default();
        assert!(report.is_empty());
        report.push(
            "TANH",
            3,
            "head/tanh",
            "no such activation in the processor",
        );
        assert_eq!(
            report.to_string(),
            "1 unsupported operator\n  #3 TANH `head/tanh`: no such activation in the processor"
        );
        report.push("LSTM", 4, "head/lstm", "recurrent");
        assert!(report.to_string().starts_with("2 unsupported operators\n"));
    }
}
