//! Which files of a repository are wanted.

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use crate::{Error, FilePath};

/// What a model needs to run: weights, configurations, tokenizer, templates.
const MODEL_FILES: [&str; 9] = [
    "*.safetensors",
    "*.json",
    "*.jinja",
    "*.txt",
    "*.tiktoken",
    "tokenizer.model",
    // Nothing here reads these, but mlx-lm takes no snapshot for complete without them.
    "tiktoken.model",
    "*.jsonl",
    "*.py",
];

/// Weights again, in the form of the original release.
const SECOND_COPIES: [&str; 3] = ["consolidated*.safetensors", "original/*", "onnx/*"];

/// Forms of Python's pickle, which runs code when it is read.
const PICKLES: [&str; 10] = [
    "*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle", "*.joblib", "*.dill", "*.npy", "*.mar",
];

/// Patterns for the paths that are wanted.
///
/// `*` stands for any characters, `/` included, as in Python's `fnmatch` and so in the `allow_patterns`
/// of its Hub client. Pickles are never wanted, whatever the patterns say.
#[derive(Debug, Clone)]
pub struct Selection {
    include: GlobSet,
    exclude: GlobSet,
    pickles: GlobSet,
}

impl Selection {
    /// What a model in MLX's or Hugging Face's safetensors form needs.
    pub fn model() -> Result<Self, Error> {
        Self::new(MODEL_FILES, SECOND_COPIES)
    }

    /// Everything but pickles.
    pub fn everything() -> Result<Self, Error> {
        Self::new(["*"], [])
    }

    /// The paths that match a pattern of `include` and none of `exclude`.
    pub fn new<'a>(
        include: impl IntoIterator<Item = &'a str>,
        exclude: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, Error> {
        Ok(Self {
            include: set(include, false)?,
            exclude: set(exclude, false)?,
            pickles: set(PICKLES, true)?,
        })
    }

    /// Whether a file is wanted.
    pub fn wants(&self, path: &FilePath) -> bool {
        self.include.is_match(path.as_str())
            && !self.exclude.is_match(path.as_str())
            && !self.is_pickle(path)
    }

    /// Whether a file has a form that runs code when it is read.
    pub fn is_pickle(&self, path: &FilePath) -> bool {
        self.pickles.is_match(path.as_str())
    }
}

fn set<'a>(patterns: impl IntoIterator<Item = &'a str>, any_case: bool) -> Result<GlobSet, Error> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(glob(pattern, any_case)?);
    }
    set.build().map_err(|e| invalid(&e))
}

fn glob(pattern: &str, any_case: bool) -> Result<Glob, Error> {
    GlobBuilder::new(pattern)
        .literal_separator(false)
        .case_insensitive(any_case)
        .build()
        .map_err(|e| invalid(&e))
}

fn invalid(error: &globset::Error) -> Error {
    Error::InvalidPattern {
        pattern: error.glob().unwrap_or_default().to_owned(),
        reason: error.kind().to_string(),
    }
}
