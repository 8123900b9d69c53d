//! The settings of a mock.

use std::{borrow::Cow, num::NonZeroU32, time::Duration};

use engine_core::{Error, Field, Result};

use crate::{Fault, MockBackend, Script, answers::Answers, pace::Pace};

/// Settings of a [`MockBackend`], checked by [`MockBuilder::build`].
#[derive(Clone, Debug)]
#[must_use]
pub struct MockBuilder {
    pub(crate) answers: Answers,
    pub(crate) pace: Pace,
    pub(crate) faults: Vec<Fault>,
    pub(crate) on_device: bool,
    pub(crate) window: Option<usize>,
    pub(crate) chat_template: Option<String>,
    pub(crate) context_length: u32,
    pub(crate) prefill_chunk: u32,
    pub(crate) max_concurrent: u32,
    pub(crate) weight_bytes: u64,
    pub(crate) load_steps: NonZeroU32,
}

impl Default for MockBuilder {
    fn default() -> Self {
        Self {
            answers: Answers::Seeded(0),
            pace: Pace::default(),
            faults: Vec::new(),
            on_device: false,
            window: None,
            chat_template: None,
            context_length: 1 << 17,
            prefill_chunk: 512,
            max_concurrent: 4,
            weight_bytes: 64 << 20,
            load_steps: NonZeroU32::MIN.saturating_add(7),
        }
    }
}

impl MockBuilder {
    /// Answers with words drawn from this seed. The default, with seed 0.
    ///
    /// The seed stands for a model's weights: another seed is another model. Which of its likely
    /// words come is decided by the request's temperature and its own seed, as with any model.
    pub fn seeded(mut self, seed: u64) -> Self {
        self.answers = Answers::Seeded(seed);
        self
    }

    /// Answers with these replies.
    pub fn scripted(mut self, script: Script) -> Self {
        self.answers = Answers::Scripted(script);
        self
    }

    /// Lets a load take this long. Default: no time.
    pub fn load_delay(mut self, delay: Duration) -> Self {
        self.pace.load = delay;
        self
    }

    /// Lets each token of a prompt take this long. Default: no time.
    pub fn prefill_delay(mut self, delay: Duration) -> Self {
        self.pace.prompt_token = delay;
        self
    }

    /// Lets each step of generating take this long, however many generations take part in it.
    /// Default: no time.
    pub fn token_delay(mut self, delay: Duration) -> Self {
        self.pace.step = delay;
        self
    }

    /// Reports weights of this many bytes, while loading and after. They are not allocated.
    /// Default 64 MiB.
    pub fn weight_bytes(mut self, bytes: u64) -> Self {
        self.weight_bytes = bytes;
        self
    }

    /// Reports the weights in this many steps. Default 8.
    pub fn load_steps(mut self, steps: NonZeroU32) -> Self {
        self.load_steps = steps;
        self
    }

    /// Tokens that a sequence holds, at least 1. Default 131072, which takes a second to fill.
    pub fn context_length(mut self, tokens: u32) -> Self {
        self.context_length = tokens;
        self
    }

    /// Prompt tokens read in one piece, at least 1, unless the load asks for another number.
    /// Default 512.
    pub fn prefill_chunk(mut self, tokens: u32) -> Self {
        self.prefill_chunk = tokens;
        self
    }

    /// Generations at the same time, at least 1, unless the load asks for another number.
    /// Default 4.
    pub fn max_concurrent(mut self, generations: u32) -> Self {
        self.max_concurrent = generations;
        self
    }

    /// Whether greedy tokens are chosen as a GPU would choose them, one step ahead of the host.
    /// Default: no.
    pub fn device_choice(mut self, on_device: bool) -> Self {
        self.on_device = on_device;
        self
    }

    /// Lets a sequence give up all but its last positions, as layers with a sliding window of this
    /// many tokens do: it can't be cut back further. Answers stay the same. Default: no window.
    pub fn sliding_window(mut self, tokens: NonZeroU32) -> Self {
        self.window = Some(tokens.get() as usize);
        self
    }

    /// Puts chats into text by this Jinja template. Default: `ChatML`, with tools and a switch for
    /// thinking as Qwen 3 has them.
    ///
    /// A script finds its place in a chat only if the template writes `<|im_start|>` and a role
    /// before each message, and `<|im_start|>assistant` with a line break at the end.
    pub fn chat_template(mut self, template: impl Into<String>) -> Self {
        self.chat_template = Some(template.into());
        self
    }

    /// Makes something go wrong. May be called again for more.
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// The backend.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a size of 0, a script without replies, or a rule with an
    /// empty pattern.
    pub fn build(self) -> Result<MockBackend> {
        for (field, value) in [
            (Field::ContextLength, self.context_length),
            (Field::PrefillChunk, self.prefill_chunk),
            (Field::MaxConcurrent, self.max_concurrent),
        ] {
            if value == 0 {
                return Err(Error::InvalidParameter {
                    field,
                    value: "0".to_owned(),
                    expected: Cow::Borrowed("a whole number, at least 1"),
                });
            }
        }
        self.answers.validate()?;
        Ok(MockBackend::new(self))
    }
}
