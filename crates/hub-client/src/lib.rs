#![doc = include_str!("../README.md")]

mod account;
mod card;
mod client;
mod endpoint;
mod environment;
mod error;
mod http;
#[cfg(feature = "keyring")]
mod keychain;
mod link;
mod model_info;
mod names;
mod pages;
mod quoted;
mod rate_limit;
mod resolve;
mod search;
mod settings;
mod token;
mod token_store;
mod tree;

pub use account::{AccessToken, Account, Authentication, Organisation};
pub use card::{CardData, ModelCard};
pub use client::{HubClient, HubClientBuilder};
pub use endpoint::Endpoint;
pub use environment::{Environment, TokenSource};
pub use error::{HubError, Reply, Source};
#[cfg(feature = "keyring")]
pub use keychain::Keychain;
pub use model_info::{Gated, ModelFile, ModelInfo, ParameterCounts};
pub use names::{BlobId, CommitHash, HexDigits, InvalidName, RepoId, RepoPath, Revision};
pub use resolve::{Location, ResolvedFile};
pub use search::{ModelPages, ModelQuery, SortBy};
pub use settings::{Proxies, RetryPolicy, Timeouts};
pub use token::Token;
pub use token_store::TokenStore;
pub use tree::{Depth, TreeEntry};
