//! The command line.

mod constraint;
mod hub;
mod model;
mod params;
mod reasoning;
mod sampling;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use mlxengine::ToolChoice;

pub(crate) use hub::{
    CompletionsArgs, InfoArgs, ListArgs, LoginArgs, LogoutArgs, ModelsArgs, ModelsCommand, Order,
    PruneArgs, PullArgs, RmArgs, SearchArgs, VerifyArgs,
};
pub(crate) use model::{BackendName, ModelArgs};
pub(crate) use params::ParamArgs;
pub(crate) use reasoning::ReasoningArgs;

/// Runs language models on this machine.
#[derive(Debug, Parser)]
#[command(name = "mlxengine", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// What to log on stderr: a level, or pairs as in `warn,engine_mlx=debug`; without it,
    /// `RUST_LOG` counts, and without that `warn`
    #[arg(long, global = true, value_name = "FILTER")]
    pub(crate) log: Option<String>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
    0  done
    1  something failed while running
    2  the command line, a variable, or a file or model that it names can't be used
    3  the model can't be loaded, or not fetched for that
    4  the request was refused: a value out of range, unsupported, or a prompt too long
  130  interrupted by Ctrl-C";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Answers one prompt.
    Generate(Box<GenerateArgs>),
    /// Talks with a model; each line of piped input is a turn.
    Chat(Box<ChatArgs>),
    /// Fetches a model from the Hugging Face Hub.
    Pull(PullArgs),
    /// Looks for models, and after those on this machine.
    Models(ModelsArgs),
    /// Keeps an access token of the Hub.
    Login(LoginArgs),
    /// Deletes the access token.
    Logout(LogoutArgs),
    /// Lists the backends of this program and whether they can run here.
    Backends(BackendsArgs),
    /// Prints completions for a shell.
    Completions(CompletionsArgs),
}

/// Text goes to stdout as it comes, statistics to stderr.
///
/// The prompt becomes a user message in the model's own chat template, if it has one; see --raw.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct GenerateArgs {
    /// Instructions that come before the prompt
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["raw", "messages", "tokens"])]
    pub(crate) system: Option<String>,

    /// Continue the prompt as plain text, without the chat template
    #[arg(long, conflicts_with_all = ["messages", "tokens"])]
    pub(crate) raw: bool,

    /// Answer the chat in this file: [{"role": "user", "content": "..."}, ...]
    #[arg(long, value_name = "FILE", conflicts_with = "tokens")]
    pub(crate) messages: Option<PathBuf>,

    /// Continue these tokens, as in "1,2,3"
    #[arg(long, value_name = "IDS", value_delimiter = ',', num_args = 1)]
    pub(crate) tokens: Option<Vec<u32>>,

    /// Offer the tools in this file: [{"type": "function", "function": {"name": "...",
    /// "description": "...", "parameters": {...}}}, ...]; calls are printed, not carried out
    #[arg(long, value_name = "FILE", conflicts_with_all = ["raw", "tokens"])]
    pub(crate) tools: Option<PathBuf>,

    /// Whether the model calls a tool: "auto", "none", "required", or the name of the one that it
    /// must call [default: auto]
    #[arg(long, value_name = "CHOICE", requires = "tools")]
    tool_choice: Option<String>,

    /// Ignore settings that the backend can't honour, and list them, instead of refusing
    #[arg(long)]
    pub(crate) lenient: bool,

    /// Print one JSON object instead of the text
    #[arg(long)]
    pub(crate) json: bool,

    /// With --json: print one JSON object a line for each event
    #[arg(long, requires = "json")]
    pub(crate) stream: bool,

    /// No progress bar and no statistics
    #[arg(long, short)]
    pub(crate) quiet: bool,

    /// The prompt; `-`, or nothing when stdin is not a terminal, reads it from stdin
    #[arg(value_name = "PROMPT", conflicts_with_all = ["messages", "tokens"])]
    pub(crate) prompt: Option<String>,

    // Last, since their headings hold for all that follows.
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    #[command(flatten)]
    pub(crate) reasoning: ReasoningArgs,

    #[command(flatten)]
    pub(crate) params: ParamArgs,
}

impl GenerateArgs {
    /// Whatever is no choice of its own is the name of a tool.
    pub(crate) fn tool_choice(&self) -> ToolChoice {
        match self.tool_choice.as_deref() {
            None | Some("auto") => ToolChoice::Auto,
            Some("none") => ToolChoice::None,
            Some("required") => ToolChoice::Required,
            Some(name) => ToolChoice::Named(name.to_owned()),
        }
    }
}

/// Ctrl-C stops the answer; twice at an empty prompt, or Ctrl-D, leaves. /help lists commands.
#[derive(Debug, Args)]
pub(crate) struct ChatArgs {
    /// Instructions that hold for the whole chat
    #[arg(long, value_name = "TEXT", conflicts_with = "messages")]
    pub(crate) system: Option<String>,

    /// Go on with the chat in this file, as /save wrote it
    #[arg(long, value_name = "FILE")]
    pub(crate) messages: Option<PathBuf>,

    /// When the context is full, leave the oldest turns out instead of refusing the next
    #[arg(long)]
    pub(crate) drop_oldest: bool,

    /// Ignore settings that the backend can't honour instead of refusing
    #[arg(long)]
    pub(crate) lenient: bool,

    /// No progress bar and no statistics
    #[arg(long, short)]
    pub(crate) quiet: bool,

    // Last, since their headings hold for all that follows.
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    #[command(flatten)]
    pub(crate) reasoning: ReasoningArgs,

    #[command(flatten)]
    pub(crate) params: ParamArgs,
}

#[derive(Debug, Args)]
pub(crate) struct BackendsArgs {
    /// Print a JSON array instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}
