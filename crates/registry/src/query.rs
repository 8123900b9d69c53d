//! Looking for models.

use serde::Serialize;

use crate::{Capability, Machine, ModelEntry};

/// What to look for. All conditions must hold; an entry that does not say what a condition asks
/// about does not meet it.
///
/// ```
/// use registry::{Capability, Query, Registry};
///
/// let registry = Registry::built_in()?;
/// let small = Query::new().capability(Capability::Chat).max_memory(2 << 30, 4096).runnable();
/// assert!(registry.search(&small).iter().any(|model| model.name == "qwen3-0.6b"));
/// # Ok::<(), registry::RegistryError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Query {
    words: Vec<String>,
    family: Option<String>,
    model_type: Option<String>,
    license: Option<String>,
    capabilities: Vec<Capability>,
    parameters: (Option<u64>, Option<u64>),
    memory: Option<Memory>,
    runnable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Memory {
    bytes: u64,
    context: u32,
}

impl Query {
    /// Everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Each word of the text occurs in the name, the repository, the family or a tag.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        let words = text.split_whitespace().map(str::to_lowercase);
        self.words.extend(words);
        self
    }

    /// Of this family: `Qwen3`, or `gemma` for all whose family begins so.
    #[must_use]
    pub fn family(mut self, family: &str) -> Self {
        self.family = Some(family.to_lowercase());
        self
    }

    /// Of this architecture.
    #[must_use]
    pub fn model_type(mut self, model_type: impl Into<String>) -> Self {
        self.model_type = Some(model_type.into());
        self
    }

    /// Under this licence.
    #[must_use]
    pub fn license(mut self, license: &str) -> Self {
        self.license = Some(license.to_lowercase());
        self
    }

    /// That can do this. Several must all be there.
    #[must_use]
    pub fn capability(mut self, capability: Capability) -> Self {
        self.capabilities.push(capability);
        self
    }

    /// With at least this many parameters.
    #[must_use]
    pub fn min_parameters(mut self, least: u64) -> Self {
        self.parameters.0 = Some(least);
        self
    }

    /// With at most this many parameters.
    #[must_use]
    pub fn max_parameters(mut self, most: u64) -> Self {
        self.parameters.1 = Some(most);
        self
    }

    /// That need at most this many bytes with a sequence of `context` tokens, or of as many as the
    /// model was trained for if that is less.
    #[must_use]
    pub fn max_memory(mut self, bytes: u64, context: u32) -> Self {
        self.memory = Some(Memory { bytes, context });
        self
    }

    /// That fit into this machine with a sequence of `context` tokens.
    #[must_use]
    pub fn fits(self, machine: &Machine, context: u32) -> Self {
        self.max_memory(machine.usable_bytes(), context)
    }

    /// That this project can run today.
    #[must_use]
    pub fn runnable(mut self) -> Self {
        self.runnable = true;
        self
    }

    /// Whether an entry meets all conditions.
    pub fn matches(&self, entry: &ModelEntry) -> bool {
        self.matches_words(entry)
            && self.matches_family(entry)
            && is(self.model_type.as_deref(), entry.model_type.as_deref())
            && is(self.license.as_deref(), entry.license.as_deref())
            && self
                .capabilities
                .iter()
                .all(|wanted| entry.capabilities.contains(wanted))
            && self.matches_size(entry)
            && self.memory.is_none_or(|memory| memory.holds(entry))
            && (!self.runnable || entry.runs.is_yes())
    }

    fn matches_words(&self, entry: &ModelEntry) -> bool {
        let texts: Vec<String> = [
            Some(entry.name.as_str()),
            entry.repo(),
            entry.family.as_deref(),
        ]
        .into_iter()
        .flatten()
        .chain(entry.tags.iter().map(String::as_str))
        .map(str::to_lowercase)
        .collect();
        self.words
            .iter()
            .all(|word| texts.iter().any(|text| text.contains(word)))
    }

    fn matches_family(&self, entry: &ModelEntry) -> bool {
        self.family.as_ref().is_none_or(|wanted| {
            let family = entry.family.as_ref().map(|family| family.to_lowercase());
            family.is_some_and(|family| family.starts_with(wanted.as_str()))
        })
    }

    fn matches_size(&self, entry: &ModelEntry) -> bool {
        let (least, most) = self.parameters;
        let enough = least.is_none_or(|least| entry.parameters.is_some_and(|n| n >= least));
        let little = most.is_none_or(|most| entry.parameters.is_some_and(|n| n <= most));
        enough && little
    }
}

impl Memory {
    fn holds(self, entry: &ModelEntry) -> bool {
        let context = entry
            .context
            .map_or(self.context, |own| own.min(self.context));
        entry
            .memory_estimate(context)
            .is_some_and(|estimate| estimate.total_bytes() <= self.bytes)
    }
}

/// Whether what is wanted, if anything, is what there is, letter case aside.
fn is(wanted: Option<&str>, there: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| there.is_some_and(|there| there.eq_ignore_ascii_case(wanted)))
}
