//! `mlxengine models`: looking for models and after them.

mod clean_up;
mod info;
mod list;
mod search;
mod verify;

use mlxengine::{
    ModelStore, NamedModel, StoreError,
    downloader::{Commit, RepoFolder},
};

use crate::{
    args::{ModelsArgs, ModelsCommand},
    failure::Failure,
};

pub(crate) async fn run(args: ModelsArgs) -> Result<(), Failure> {
    match args.command {
        ModelsCommand::List(args) => list::run(&args),
        ModelsCommand::Info(args) => info::run(args).await,
        ModelsCommand::Search(args) => search::run(args).await,
        ModelsCommand::Rm(args) => clean_up::rm(&args),
        ModelsCommand::Verify(args) => verify::run(&args),
        ModelsCommand::Prune(args) => clean_up::prune(&args),
    }
}

/// The folder of a model in the cache, and the commit that its revision stands for there.
fn in_cache(store: &ModelStore, model: &NamedModel) -> Result<(RepoFolder, Commit), StoreError> {
    let (repo, revision) = model.on_hub()?;
    let folder = RepoFolder::of_model(repo.as_str())?;
    match store.cache().resolve(&folder, revision.as_str()) {
        Some(commit) => Ok((folder, commit)),
        None => Err(StoreError::NotHere {
            model: model.to_string(),
            missing: Vec::new(),
        }),
    }
}
