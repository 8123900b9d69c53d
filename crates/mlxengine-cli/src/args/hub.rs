//! Fetching, looking after models, and accounts.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Args, Subcommand, ValueEnum};
use mlxengine::registry::Capability;

/// Fetches a model, or what is missing of it, and prints where it then is.
///
/// The folder is in the cache that other clients of the Hub use too. A fetch that was interrupted
/// goes on where it stopped.
#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// A name as in qwen3-0.6b, or organisation/name of the Hub; with :QUANTIZATION to choose one of
    /// several GGUF files, and with @revision if one is wanted
    #[arg(value_name = "MODEL")]
    pub(crate) model: String,

    /// A branch, tag or commit
    #[arg(long, value_name = "REVISION")]
    pub(crate) revision: Option<String>,

    /// Fetch the files that match, instead of what a model needs: '*.gguf'; may be given several
    /// times
    #[arg(long, value_name = "PATTERN")]
    pub(crate) include: Vec<String>,

    /// Leave out the files that match; may be given several times
    #[arg(long, value_name = "PATTERN", requires = "include")]
    pub(crate) exclude: Vec<String>,

    /// Only say what would be fetched
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Print one JSON object instead
    #[arg(long)]
    pub(crate) json: bool,

    /// No progress bars and no remarks
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Looks for models and after them.
#[derive(Debug, Args)]
pub(crate) struct ModelsArgs {
    #[command(subcommand)]
    pub(crate) command: ModelsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// Lists the models on this machine.
    List(ListArgs),
    /// Says what is known about a model.
    Info(InfoArgs),
    /// Looks for models in the curated list, or on the Hub.
    Search(SearchArgs),
    /// Deletes a model from this machine.
    Rm(RmArgs),
    /// Checks that the files of models are what they should be.
    Verify(VerifyArgs),
    /// Deletes what no model refers to any more, and with --max-size models not used for long.
    Prune(PruneArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// A name, organisation/name of the Hub, or a path
    #[arg(value_name = "MODEL")]
    pub(crate) model: String,

    /// Estimate the memory for a sequence of this many tokens
    #[arg(long, value_name = "N", default_value_t = 4096)]
    pub(crate) context: u32,

    /// Print one JSON object instead
    #[arg(long)]
    pub(crate) json: bool,
}

/// Without --hub the curated list and the user's own are searched, and no network is needed.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct SearchArgs {
    /// Words that occur in the name, family or tags; on the Hub, a text that occurs in the name
    #[arg(value_name = "TEXT")]
    pub(crate) text: Vec<String>,

    /// Search the Hub for models of MLX's format
    #[arg(long, conflicts_with_all = ["family", "can", "max_memory", "fits", "runnable"])]
    pub(crate) hub: bool,

    /// With --hub: of this user or organisation
    #[arg(long, value_name = "NAME", requires = "hub")]
    pub(crate) author: Option<String>,

    /// With --hub: what comes first
    #[arg(long, value_enum, default_value_t = Order::Downloads, requires = "hub")]
    pub(crate) sort: Order,

    /// Of this family, as in qwen3 or gemma
    #[arg(long, value_name = "NAME")]
    pub(crate) family: Option<String>,

    /// That can do this; may be given several times
    #[arg(long, value_name = "WHAT", value_parser = capability)]
    pub(crate) can: Vec<Capability>,

    /// That need at most this much memory, as in 8GB
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_memory: Option<ByteSize>,

    /// That fit into this machine's memory now
    #[arg(long, conflicts_with = "max_memory")]
    pub(crate) fits: bool,

    /// That this program can run
    #[arg(long)]
    pub(crate) runnable: bool,

    /// Count memory with a sequence of this many tokens
    #[arg(long, value_name = "N", default_value_t = 4096)]
    pub(crate) context: u32,

    /// No more than this many
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: usize,

    /// Print a JSON array instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Order {
    Downloads,
    Trending,
    Likes,
    Created,
    Modified,
}

fn capability(text: &str) -> Result<Capability, String> {
    let known = Capability::ALL;
    known
        .iter()
        .copied()
        .find(|capability| capability.name() == text)
        .ok_or_else(|| {
            let names: Vec<_> = known.iter().map(|capability| capability.name()).collect();
            format!("it must be one of {}", names.join(", "))
        })
}

#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// A name, or organisation/name of the Hub; with @revision only that revision goes
    #[arg(value_name = "MODEL")]
    pub(crate) model: String,

    /// Only say what would be deleted
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Print one JSON object instead
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// A name, or organisation/name of the Hub; all models of this machine without it
    #[arg(value_name = "MODEL")]
    pub(crate) model: Option<String>,

    /// Delete what is damaged, so that the next fetch brings it again
    #[arg(long)]
    pub(crate) repair: bool,

    /// Print one JSON object instead
    #[arg(long)]
    pub(crate) json: bool,

    /// No progress bar
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// Delete the models used least recently too, until all of them take no more than this
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_size: Option<ByteSize>,

    /// Only say what would be deleted
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Print one JSON object instead
    #[arg(long)]
    pub(crate) json: bool,
}

/// The token is asked for at a terminal without being shown, or read from stdin.
///
/// It is kept in the file that other clients of the Hub use, for this user's eyes only.
#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// Keep the token without asking the Hub whose it is
    #[arg(long)]
    pub(crate) no_check: bool,

    /// Keep it in the operating system's keychain instead of the file
    #[cfg(feature = "keyring")]
    #[arg(long)]
    pub(crate) keychain: bool,

    /// Print one JSON object instead
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LogoutArgs {
    /// Print one JSON object instead
    #[arg(long)]
    pub(crate) json: bool,
}

/// Prints a script that lets a shell complete this program's commands and options.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,

    /// Write the script into this folder, under the name that the shell expects, and print its path
    #[arg(long, value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
}
