//! The settings that users of the Hub already have in their environment.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{Endpoint, HubError, Proxies, Token, TokenStore};

/// What the environment says: endpoint, token, folders, timeouts, offline mode, proxies.
///
/// The names and their order of precedence are those of `huggingface_hub`. Nothing is read but
/// through the function that is passed in, so that a test needs no process to itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Environment {
    /// `HF_ENDPOINT`; Hugging Face's own without it.
    pub endpoint: Endpoint,
    /// `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE`: no request is sent.
    pub offline: bool,
    /// `HF_HOME`; else `$XDG_CACHE_HOME/huggingface`, else `~/.cache/huggingface`.
    pub home: PathBuf,
    /// `HF_HUB_CACHE` or `HUGGINGFACE_HUB_CACHE`; else `hub` in `home`.
    pub cache: PathBuf,
    /// Where the token comes from.
    pub token: TokenSource,
    /// The file that a log-in writes: `HF_TOKEN_PATH`; else `token` in `home`.
    pub token_path: PathBuf,
    /// `HF_HUB_ETAG_TIMEOUT`: how long the answer to a question about a file may take.
    pub metadata_timeout: Duration,
    /// `HF_HUB_DOWNLOAD_TIMEOUT`: how long nothing may come.
    pub read_timeout: Duration,
    /// `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`, in either case.
    pub proxies: Proxies,
    /// Whether snapshots in the cache may link symbolically: not with `HF_HUB_DISABLE_SYMLINKS`.
    pub symlinks: bool,
    /// `HF_HUB_USER_AGENT_ORIGIN`: who drives this program.
    pub user_agent_origin: Option<String>,
}

/// Where a token comes from.
#[derive(Clone)]
#[non_exhaustive]
pub enum TokenSource {
    /// A variable holds it.
    Variable {
        /// Its name.
        name: &'static str,
        /// Its value.
        token: Token,
    },
    /// The file [`Environment::token_path`] holds it, if there is one.
    File,
    /// `HF_HUB_DISABLE_IMPLICIT_TOKEN`: none is sent unless the caller gives it.
    Disabled,
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable { name, .. } => write!(f, "Variable({name})"),
            Self::File => f.write_str("File"),
            Self::Disabled => f.write_str("Disabled"),
        }
    }
}

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

impl Environment {
    /// The settings of this process.
    ///
    /// # Errors
    /// As [`Environment::from_lookup`].
    pub fn from_process() -> Result<Self, HubError> {
        // What is not Unicode can't be an address or a token, and is rare as a folder.
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// The settings that `lookup` gives for the variables' names.
    ///
    /// # Errors
    /// [`HubError::InvalidVariable`], naming the variable.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, HubError> {
        let variables = Variables { lookup: &lookup };
        let user_home = variables
            .folder("HOME")
            .or_else(|| variables.folder("USERPROFILE"))
            .unwrap_or_else(|| PathBuf::from("."));
        let home = variables.folder("HF_HOME").unwrap_or_else(|| {
            variables
                .folder("XDG_CACHE_HOME")
                .unwrap_or_else(|| user_home.join(".cache"))
                .join("huggingface")
        });
        let cache = variables
            .folder("HF_HUB_CACHE")
            .or_else(|| variables.folder("HUGGINGFACE_HUB_CACHE"))
            .unwrap_or_else(|| home.join("hub"));
        let token_path = variables
            .folder("HF_TOKEN_PATH")
            .unwrap_or_else(|| home.join("token"));
        let endpoint = match variables.text("HF_ENDPOINT") {
            None => Endpoint::hugging_face()?,
            Some(text) => Endpoint::parse(&text).map_err(|e| invalid("HF_ENDPOINT", &e))?,
        };
        Ok(Self {
            endpoint,
            offline: variables.flag("HF_HUB_OFFLINE") || variables.flag("TRANSFORMERS_OFFLINE"),
            token: variables.token()?,
            metadata_timeout: variables.seconds("HF_HUB_ETAG_TIMEOUT")?,
            read_timeout: variables.seconds("HF_HUB_DOWNLOAD_TIMEOUT")?,
            proxies: variables.proxies(),
            symlinks: !variables.flag("HF_HUB_DISABLE_SYMLINKS"),
            user_agent_origin: variables.text("HF_HUB_USER_AGENT_ORIGIN"),
            home,
            cache,
            token_path,
        })
    }

    /// The token, read from its source now.
    ///
    /// # Errors
    /// [`HubError::TokenFile`] if the file is there and can't be read.
    pub fn read_token(&self) -> Result<Option<Token>, HubError> {
        match &self.token {
            TokenSource::Variable { token, .. } => Ok(Some(token.clone())),
            TokenSource::File => self.token_store().read(),
            TokenSource::Disabled => Ok(None),
        }
    }

    /// The file that a log-in writes.
    pub fn token_store(&self) -> TokenStore {
        TokenStore::new(&self.token_path)
    }
}

fn invalid(name: &'static str, error: &dyn fmt::Display) -> HubError {
    HubError::InvalidVariable {
        name,
        reason: error.to_string(),
    }
}

struct Variables<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl Variables<'_> {
    /// A value that is not blank.
    fn text(&self, name: &str) -> Option<String> {
        let value = (self.lookup)(name)?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    fn flag(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| {
            ["1", "on", "yes", "true"].contains(&value.to_ascii_lowercase().as_str())
        })
    }

    fn seconds(&self, name: &'static str) -> Result<Duration, HubError> {
        let Some(value) = self.text(name) else {
            return Ok(DEFAULT_TIMEOUT);
        };
        value
            .parse::<f64>()
            .ok()
            .filter(|seconds| *seconds > 0.0)
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .ok_or_else(|| invalid(name, &"it must be a number of seconds above 0"))
    }

    fn token(&self) -> Result<TokenSource, HubError> {
        if self.flag("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            return Ok(TokenSource::Disabled);
        }
        for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"] {
            if let Some(text) = self.text(name) {
                let token = Token::new(&text).map_err(|e| invalid(name, &e.reason))?;
                return Ok(TokenSource::Variable { name, token });
            }
        }
        Ok(TokenSource::File)
    }

    fn proxies(&self) -> Proxies {
        let either = |lower: &str| {
            self.text(lower)
                .or_else(|| self.text(&lower.to_ascii_uppercase()))
        };
        let all = either("all_proxy");
        let http = either("http_proxy").or_else(|| all.clone());
        let https = either("https_proxy").or(all);
        if http.is_none() && https.is_none() {
            return Proxies::System;
        }
        Proxies::Given {
            http: http.map(Into::into),
            https: https.map(Into::into),
            except: either("no_proxy"),
        }
    }

    fn folder(&self, name: &str) -> Option<PathBuf> {
        let text = self.text(name)?;
        Some(self.expanded(&text))
    }

    /// With `~`, `$NAME` and `${NAME}` replaced, as Python's `expanduser` and `expandvars` do;
    /// what has no value stays as it is.
    fn expanded(&self, text: &str) -> PathBuf {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            expanded.push_str(before);
            let braced = after
                .strip_prefix('{')
                .and_then(|inner| inner.split_once('}'));
            let (name, following) = braced.unwrap_or_else(|| {
                let end = after
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .unwrap_or(after.len());
                after.split_at(end)
            });
            match (self.lookup)(name) {
                Some(value) if !name.is_empty() => expanded.push_str(&value),
                _ => {
                    let written = after.len() - following.len();
                    expanded.push('$');
                    expanded.push_str(after.get(..written).unwrap_or_default());
                }
            }
            rest = following;
        }
        expanded.push_str(rest);
        let under_home = expanded
            .strip_prefix('~')
            .filter(|rest| rest.is_empty() || rest.starts_with(['/', '\\']));
        let home = || (self.lookup)("HOME").or_else(|| (self.lookup)("USERPROFILE"));
        match under_home.and_then(|rest| Some((rest, home()?))) {
            Some((rest, home)) => Path::new(&home).join(rest.trim_start_matches(['/', '\\'])),
            None => PathBuf::from(expanded),
        }
    }
}
