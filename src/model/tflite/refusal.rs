//! How one operator is refused, and where the refusal goes.

use super::error::TfliteError;
use super::file::{File, FileOperator};
use crate::model::unsupported::UnsupportedReport;

/// Why an operator is not taken.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Valid, but beyond us: goes into the report.
    Unsupported(String),
    /// The file contradicts itself: an error.
    Invalid(String),
}

pub(super) type Taken<T> = Result<T, Refusal>;

pub(super) fn unsupported<T>(reason: impl Into<String>) -> Taken<T> {
    Err(Refusal::Unsupported(reason.into()))
}

pub(super) fn invalid<T>(reason: impl Into<String>) -> Taken<T> {
    Err(Refusal::Invalid(reason.into()))
}

/// The name of an operator's layer: its output's, up to the first `;` (converters join the names of what
/// they fused).
pub(super) fn layer_name(file: &File<'_>, operator: &FileOperator) -> String {
    let name = operator
        .outputs
        .first()
        .map(|output| file.tensors[*output].name.as_str());
    let name = name
        .and_then(|name| name.split(';').next())
        .filter(|name| !name.is_empty());
    name.map_or_else(
        || format!("{}_{}", operator.name, operator.index),
        str::to_owned,
    )
}

/// Passes on what was taken of an operator, or files its refusal under its name: the unsupported in the
/// report (and nothing is passed on), the invalid as the error.
pub(super) fn settle<T>(
    file: &File<'_>,
    operator: &FileOperator,
    taken: Taken<T>,
    report: &mut UnsupportedReport,
) -> Result<Option<T>, TfliteError> {
    let layer = || layer_name(file, operator);
    match taken {
        Ok(taken) => Ok(Some(taken)),
        Err(Refusal::Unsupported(reason)) => {
            report.push(&operator.name, operator.index, layer(), reason);
            Ok(None)
        }
        Err(Refusal::Invalid(reason)) => Err(TfliteError::invalid(
            format!("operators[{}]", operator.index),
            format!("{} `{}`: {reason}", operator.name, layer()),
        )),
    }
}

/// The end of reading: an error with all refused operators in file order, if there are any.
pub(super) fn accept(report: &mut UnsupportedReport) -> Result<(), TfliteError> {
    if report.is_empty() {
        return Ok(());
    }
    report.entries.sort_by_key(|entry| entry.index);
    Err(std::mem::take(report).into())
}
