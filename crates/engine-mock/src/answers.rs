//! Where a mock's logits come from.

use engine_core::Result;
use engine_runtime::TextPipeline;

use crate::{
    prefix::Prefix,
    script::{Script, TokenScript},
    seeded,
};

/// What a mock answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    /// Words drawn from a seed.
    Seeded(u64),
    /// Replies given in advance.
    Scripted(Script),
}

impl Answers {
    pub(crate) fn validate(&self) -> Result<()> {
        match self {
            Self::Seeded(_) => Ok(()),
            Self::Scripted(script) => script.validate(),
        }
    }

    pub(crate) fn prepare(&self, text: &TextPipeline) -> Result<LogitSource> {
        Ok(match self {
            Self::Seeded(seed) => LogitSource::Seeded(*seed),
            Self::Scripted(script) => LogitSource::Scripted(script.tokenize(text)?),
        })
    }
}

/// The same, ready to give logits.
#[derive(Debug)]
pub(crate) enum LogitSource {
    Seeded(u64),
    Scripted(TokenScript),
}

impl LogitSource {
    /// Fills a row with what comes after the prefix.
    pub(crate) fn fill(&self, prefix: Prefix<'_>, row: &mut [f32]) -> Result<()> {
        match self {
            Self::Seeded(seed) => {
                seeded::fill(*seed, prefix, row);
                Ok(())
            }
            Self::Scripted(script) => script.fill(prefix, row),
        }
    }
}
