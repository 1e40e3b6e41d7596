//! `bitweft doctor`.

use anyhow::Result;
use bitweft::flow::doctor::{Diagnosis, examine};
use clap::Args;
use serde::Serialize;

use super::console::{Console, table};
use super::exit::Exit;

/// Find the external tools: which are here, in which version, and how to get the others.
#[derive(Args)]
pub(crate) struct Doctor {}

#[derive(Serialize)]
struct Examination {
    complete: bool,
    #[serde(flatten)]
    diagnosis: Diagnosis,
}

impl Doctor {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit> {
        let diagnosis = examine();
        let result = Examination {
            complete: diagnosis.is_complete(),
            diagnosis,
        };
        console.result(&result, || text(&result))?;
        Ok(if result.complete {
            Exit::Success
        } else {
            Exit::ToolMissing
        })
    }
}

fn text(result: &Examination) -> String {
    let rows = result.diagnosis.findings.iter().map(|finding| {
        let state = match (finding.is_ok(), finding.version.is_some()) {
            (true, _) => "ok",
            (false, true) => "other version",
            (false, false) if finding.needed => "MISSING",
            (false, false) => "absent",
        };
        let remedy = if finding.is_ok() { "" } else { &finding.remedy };
        vec![
            finding.tool.clone(),
            state.to_owned(),
            finding.version.clone().unwrap_or_default(),
            finding.wanted.clone().unwrap_or_default(),
            finding.purpose.to_owned(),
            remedy.to_owned(),
        ]
    });
    let header = ["tool", "state", "version", "pinned", "for", "to get it"];
    let verdict = if result.complete {
        "Everything that bitweft needs is here."
    } else {
        "Something that bitweft needs is missing."
    };
    format!(
        "{}\n{verdict}",
        table(&header, header.len(), rows.collect())
    )
}
