//! `mlxengine backends`: what this program can run on, and whether it can here.

use mlxengine::{Availability, BackendInfo};
use serde::Serialize;

use crate::{args::BackendsArgs, failure::Failure, output::Output};

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    info: BackendInfo,
    available: bool,
    /// The device, or the reason why not.
    detail: String,
}

pub(crate) fn run(args: &BackendsArgs) -> Result<(), Failure> {
    let rows: Vec<Row> = mlxengine::backends()
        .iter()
        .map(|backend| {
            let (available, detail) = match backend.availability() {
                Availability::Ready { device } => (true, device),
                Availability::Unavailable { reason } => (false, reason),
                other => (false, format!("{other:?}")),
            };
            Row {
                info: backend.info(),
                available,
                detail,
            }
        })
        .collect();
    let mut output = Output::new();
    if args.json {
        return output.json(&rows);
    }
    for Row {
        info,
        available,
        detail,
    } in rows
    {
        let state = if available { "ready" } else { "unavailable" };
        let note = if info.simulated {
            " (makes up its answers)"
        } else {
            ""
        };
        output.text(&format!(
            "{:<6} {:<10} {state}: {detail}{note}\n",
            info.name, info.version
        ))?;
    }
    Ok(())
}
