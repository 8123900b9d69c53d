//! `mlxengine pull`: a model from the Hub to this machine.

use indicatif::DecimalBytes;
use mlxengine::{
    ModelStore, NamedModel, Pull, Pulled, StoreError,
    downloader::{Preview, Selection},
    hub::Revision,
};
use serde::Serialize;

use crate::{args::PullArgs, failure::Failure, interrupt::Interrupt, note, output::Output, store};

#[derive(Serialize)]
struct Report<'a> {
    model: String,
    commit: Option<&'a str>,
    path: String,
    bytes: u64,
    received_bytes: u64,
    /// Why the Hub was not asked; null if it was.
    not_asked: Option<String>,
}

#[derive(Serialize)]
struct Plan {
    model: String,
    fetch_bytes: u64,
    available_bytes: Option<u64>,
    files: Vec<PlannedFile>,
}

#[derive(Serialize)]
struct PlannedFile {
    path: String,
    bytes: Option<u64>,
    there_bytes: u64,
    complete: bool,
}

pub(crate) async fn run(args: PullArgs) -> Result<(), Failure> {
    let store = store::from_environment()?;
    let model = named(&store, &args).map_err(Failure::Store)?;
    let mut interrupt = Interrupt::new();
    let pull = pull(&store, &model, &args).map_err(Failure::Store)?;
    if args.dry_run {
        let preview = interrupt.or(pull.preview()).await;
        let preview = preview
            .ok_or(Failure::Interrupted)?
            .map_err(Failure::Store)?;
        return print_plan(&args, &model, preview);
    }
    let pulled = store::fetch(pull, args.quiet || args.json, &mut interrupt).await?;
    print(&args, &model, &pulled.map_err(Failure::Store)?)
}

fn named(store: &ModelStore, args: &PullArgs) -> Result<NamedModel, StoreError> {
    let model = store.find(&args.model)?;
    // Said before anything is asked.
    model.on_hub()?;
    Ok(match &args.revision {
        Some(revision) => model.at(Revision::parse(revision.as_str())?),
        None => model,
    })
}

fn pull(store: &ModelStore, model: &NamedModel, args: &PullArgs) -> Result<Pull, StoreError> {
    let pull = store.pull(model.clone());
    if args.include.is_empty() {
        return Ok(pull);
    }
    let include = args.include.iter().map(String::as_str);
    let exclude = args.exclude.iter().map(String::as_str);
    Ok(pull.select(Selection::new(include, exclude)?))
}

fn print(args: &PullArgs, model: &NamedModel, pulled: &Pulled) -> Result<(), Failure> {
    let mut output = Output::new();
    if args.json {
        return output.json(&Report {
            model: model.to_string(),
            commit: pulled.model.commit.as_deref(),
            path: pulled.path.display().to_string(),
            bytes: pulled.bytes,
            received_bytes: pulled.received,
            not_asked: pulled.not_asked.as_ref().map(ToString::to_string),
        });
    }
    if !args.quiet {
        note::say(&match &pulled.not_asked {
            Some(reason) => format!("{reason}; what is here is used as it is"),
            None if pulled.received == 0 => format!("{model} is here and up to date"),
            None => format!("fetched {}", DecimalBytes(pulled.received)),
        });
    }
    output.text(&format!("{}\n", pulled.path.display()))
}

fn print_plan(args: &PullArgs, model: &NamedModel, preview: Preview) -> Result<(), Failure> {
    let mut output = Output::new();
    if args.json {
        return output.json(&Plan {
            model: model.to_string(),
            fetch_bytes: preview.bytes_to_fetch,
            available_bytes: preview.available,
            files: preview
                .files
                .into_iter()
                .map(|file| PlannedFile {
                    path: file.path.to_string(),
                    bytes: file.size,
                    there_bytes: file.bytes_there,
                    complete: file.complete,
                })
                .collect(),
        });
    }
    for file in &preview.files {
        let size = file
            .size
            .map_or("?".to_owned(), |size| DecimalBytes(size).to_string());
        let state = match (file.complete, file.bytes_there) {
            (true, _) => "here".to_owned(),
            (false, 0) => "to fetch".to_owned(),
            (false, there) => format!("{} of it here", DecimalBytes(there)),
        };
        output.text(&format!("{size:>12}  {:<40} {state}\n", file.path))?;
    }
    if !args.quiet {
        note::say(&format!(
            "{} to fetch",
            DecimalBytes(preview.bytes_to_fetch)
        ));
    }
    Ok(())
}
