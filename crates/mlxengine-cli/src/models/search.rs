//! `mlxengine models search`: in the curated list, or on the Hub.

use futures_util::TryStreamExt as _;
use indicatif::DecimalBytes;
use mlxengine::{
    ModelStore, StoreError,
    hub::{ModelInfo, ModelQuery, SortBy},
    registry::{Machine, ModelEntry, Query, Runs},
};
use serde::Serialize;

use super::info::parameters;
use crate::{
    args::{Order, SearchArgs},
    failure::Failure,
    interrupt::Interrupt,
    note,
    output::Output,
    store,
    table::Table,
};

#[derive(Serialize)]
struct Found<'a> {
    #[serde(flatten)]
    entry: &'a ModelEntry,
    memory_bytes: Option<u64>,
}

pub(crate) async fn run(args: SearchArgs) -> Result<(), Failure> {
    let store = store::from_environment()?;
    if args.hub {
        return on_hub(&store, &args).await;
    }
    let query = query(&args)?;
    let found = store.registry().search(&query);
    let found: Vec<Found> = found
        .into_iter()
        .take(args.limit)
        .map(|entry| Found {
            memory_bytes: memory(entry, args.context),
            entry,
        })
        .collect();
    let mut output = Output::new();
    if args.json {
        return output.json(&found);
    }
    if found.is_empty() {
        note::say(
            "nothing in the list matches; `mlxengine models search --hub TEXT` looks on the Hub",
        );
        return Ok(());
    }
    let headings = [
        "NAME",
        "PARAMETERS",
        "BITS",
        "MEMORY",
        "CONTEXT",
        "LICENCE",
        "RUNS",
    ];
    let mut table = Table::new(headings);
    let unknown = || "?".to_owned();
    for Found {
        entry,
        memory_bytes,
    } in &found
    {
        table.row([
            entry.name.clone(),
            entry.parameters.map_or_else(unknown, parameters),
            bits(entry),
            memory_bytes.map_or_else(unknown, |bytes| DecimalBytes(bytes).to_string()),
            entry
                .context
                .map_or_else(unknown, |context| context.to_string()),
            entry.license.clone().unwrap_or_else(unknown),
            match &entry.runs {
                Runs::Yes => "yes".to_owned(),
                Runs::NotYet { .. } => "not yet".to_owned(),
                _ => unknown(),
            },
        ]);
    }
    table.print(&mut output)
}

fn query(args: &SearchArgs) -> Result<Query, Failure> {
    let mut query = Query::new().text(&args.text.join(" "));
    if let Some(family) = &args.family {
        query = query.family(family);
    }
    for capability in &args.can {
        query = query.capability(*capability);
    }
    if args.runnable {
        query = query.runnable();
    }
    if let Some(memory) = args.max_memory {
        query = query.max_memory(memory.as_u64(), args.context);
    }
    if args.fits {
        let machine = Machine::detect().ok_or_else(|| Failure::Usage {
            message: "this system does not say how much memory it has".to_owned(),
            hint: "say how much a model may take with --max-memory SIZE",
        })?;
        query = query.fits(&machine, args.context);
    }
    Ok(query)
}

/// With the context asked for, or the model's own if that is shorter.
fn memory(entry: &ModelEntry, context: u32) -> Option<u64> {
    let context = entry.context.map_or(context, |own| own.min(context));
    Some(entry.memory_estimate(context)?.total_bytes())
}

fn bits(entry: &ModelEntry) -> String {
    match (entry.quantization, entry.bits_per_weight) {
        (Some(quantization), _) => quantization.bits.to_string(),
        (None, Some(bits)) => format!("{bits:.1}"),
        (None, None) => "16".to_owned(),
    }
}

async fn on_hub(store: &ModelStore, args: &SearchArgs) -> Result<(), Failure> {
    let mut query = ModelQuery::mlx().limit(args.limit).sort(match args.sort {
        Order::Downloads => SortBy::Downloads,
        Order::Trending => SortBy::Trending,
        Order::Likes => SortBy::Likes,
        Order::Created => SortBy::Created,
        Order::Modified => SortBy::Modified,
    });
    if !args.text.is_empty() {
        query = query.search(args.text.join(" "));
    }
    if let Some(author) = &args.author {
        query = query.author(author);
    }
    let found = store.hub().search_models(&query).try_concat();
    let mut interrupt = Interrupt::new();
    let found = interrupt.or(found).await.ok_or(Failure::Interrupted)?;
    let found: Vec<ModelInfo> = found.map_err(|error| Failure::Store(StoreError::Hub(error)))?;
    let mut output = Output::new();
    if args.json {
        return output.json(&found);
    }
    if found.is_empty() {
        note::say("nothing on the Hub matches");
        return Ok(());
    }
    let mut table = Table::new(["MODEL", "DOWNLOADS", "LIKES", "CHANGED"]);
    let number = |number: Option<u64>| number.map_or("?".to_owned(), |n| n.to_string());
    for info in &found {
        let day = info
            .last_modified
            .as_deref()
            .and_then(|time| time.get(..10));
        table.row([
            info.id.to_string(),
            number(info.downloads),
            number(info.likes),
            day.unwrap_or("?").to_owned(),
        ]);
    }
    table.print(&mut output)
}
