//! One generation on the model's thread: from its prompt to its last event.

use std::time::{Duration, Instant};

use engine_core::{
    DeviceToken, Error, Field, FinishReason, GenerateParams, GenerationEvent, GenerationSummary,
    Result, SequenceId, Timings, TokenId, TokenLogprobs, Usage,
};

use super::{answer::Answer, events::EventSender, loops::Loops};
use crate::{Sampler, constraint::Follower};

/// What a generation waits for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    /// The first `read` tokens of the prompt are in the sequence.
    Prefill { read: usize },
    /// The host chose this token; it is to be appended.
    Host { last: TokenId },
    /// The device chose this token; the host has not seen it.
    Device { chosen: DeviceToken },
    /// The last event has been sent.
    Ended,
}

/// One generation.
pub(super) struct Generation {
    pub(super) prompt: Vec<TokenId>,
    pub(super) phase: Phase,
    /// Open from admission until the scheduler closes it.
    pub(super) sequence: Option<SequenceId>,
    sampler: Sampler,
    constraint: Option<Follower>,
    loops: Option<Loops>,
    pub(super) events: EventSender,
    params: GenerateParams,
    ignored: Vec<Field>,
    answer: Answer,
    /// The model's own end-of-text tokens; empty if the request ignores them.
    end_tokens: Vec<TokenId>,
    context_length: usize,
    generated: usize,
    clock: Clock,
}

/// The moments that the timings are made of.
#[derive(Clone, Copy, Debug)]
struct Clock {
    arrived: Instant,
    started: Option<Instant>,
    first_token: Option<Instant>,
    last_token: Option<Instant>,
}

/// What a generation is made from.
pub(super) struct Prepared {
    pub(super) prompt: Vec<TokenId>,
    pub(super) params: GenerateParams,
    pub(super) ignored: Vec<Field>,
    pub(super) answer: Answer,
    pub(super) sampler: Sampler,
    pub(super) constraint: Option<Follower>,
    pub(super) end_tokens: Vec<TokenId>,
    pub(super) context_length: usize,
    pub(super) arrived: Instant,
}

impl Generation {
    pub(super) fn new(prepared: Prepared, events: EventSender) -> Self {
        let Prepared {
            prompt,
            params,
            ignored,
            answer,
            sampler,
            constraint,
            end_tokens,
            context_length,
            arrived,
        } = prepared;
        Self {
            prompt,
            phase: Phase::Prefill { read: 0 },
            sequence: None,
            sampler,
            constraint,
            loops: params.loop_guard.map(Loops::new),
            events,
            params,
            ignored,
            answer,
            end_tokens,
            context_length,
            generated: 0,
            clock: Clock {
                arrived,
                started: None,
                first_token: None,
                last_token: None,
            },
        }
    }

    /// Whether it needs nothing but the likeliest token of each step.
    pub(super) fn is_plain_greedy(&self) -> bool {
        self.params.is_plain_greedy()
    }

    /// Whether its last event has been sent.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    /// Whether a token may follow the one being chosen.
    pub(super) fn has_room_after_next(&self) -> bool {
        self.limit(self.generated + 1).is_none()
    }

    /// Notes that prefill begins.
    pub(super) fn start(&mut self) {
        self.clock.started.get_or_insert_with(Instant::now);
    }

    /// Reports that `read` tokens of the prompt are in the sequence.
    pub(super) fn report_prefill(&mut self, read: usize) {
        self.events.send(Ok(GenerationEvent::Prefill {
            processed: read,
            total: self.prompt.len(),
        }));
    }

    /// Chooses the next token from a row of logits and takes it.
    ///
    /// # Errors
    /// As [`Sampler::choose`], and if the constraint can't be followed any further.
    pub(super) fn choose(&mut self, row: &[f32]) -> Result<()> {
        let mask = self.constraint.as_ref().map(Follower::mask);
        let token = self.sampler.choose(row, mask)?;
        let logprobs = self.sampler.logprobs(row, token)?;
        self.phase = Phase::Host { last: token };
        self.accept(token, logprobs)
    }

    /// Takes the next token: delivers its text, or ends the answer.
    ///
    /// # Errors
    /// If the constraint can't be followed any further.
    pub(super) fn accept(&mut self, token: TokenId, logprobs: Option<TokenLogprobs>) -> Result<()> {
        let now = Instant::now();
        self.clock.first_token.get_or_insert(now);
        if self.end_tokens.binary_search(&token).is_ok() {
            self.finish(FinishReason::EndOfText(token), Delta::default());
            return Ok(());
        }
        if self.params.stop_tokens.contains(&token) {
            self.finish(FinishReason::StopToken(token), Delta::default());
            return Ok(());
        }
        self.clock.last_token = Some(now);
        self.generated += 1;
        self.sampler.note(token);
        let piece = self.answer.push(token);
        let delta = Delta {
            text: piece.text,
            tokens: vec![token],
            logprobs: logprobs.into_iter().collect(),
        };
        if let Some(stop) = piece.stop {
            self.end_with_delta(self.stop_string(stop), delta);
        } else if let Some(reason) = self.end_after(token)? {
            self.finish(reason, delta);
        } else {
            self.events.send(Ok(delta.into()));
        }
        Ok(())
    }

    /// Why the answer ends with this token, if it does.
    fn end_after(&mut self, token: TokenId) -> Result<Option<FinishReason>> {
        let period = self.loops.as_mut().and_then(|loops| loops.push(token));
        if let Some(constraint) = &mut self.constraint
            && constraint.take(token)?
        {
            return Ok(Some(FinishReason::ConstraintMet));
        }
        let reason = period
            .map(FinishReason::Loop)
            .or_else(|| self.limit(self.generated));
        if let (None, Some(constraint)) = (&reason, &mut self.constraint) {
            constraint.find_mask()?;
        }
        Ok(reason)
    }

    /// Ends with an error.
    pub(super) fn fail(&mut self, error: Error) {
        if !self.has_ended() {
            tracing::debug!(%error, "generation failed");
            self.events.send(Err(error));
            self.phase = Phase::Ended;
        }
    }

    /// Ends because nobody listens.
    pub(super) fn cancel(&mut self) {
        tracing::debug!(generated = self.generated, "generation cancelled");
        self.phase = Phase::Ended;
    }

    /// Why the answer can't be longer than `generated` tokens.
    fn limit(&self, generated: usize) -> Option<FinishReason> {
        if generated >= self.params.max_tokens as usize {
            Some(FinishReason::MaxTokens)
        } else if self.prompt.len() + generated >= self.context_length {
            Some(FinishReason::ContextFull)
        } else {
            None
        }
    }

    fn stop_string(&self, index: usize) -> FinishReason {
        FinishReason::StopString(self.params.stop.get(index).cloned().unwrap_or_default())
    }

    /// Ends the text, which may show a stop string after all.
    fn finish(&mut self, reason: FinishReason, mut delta: Delta) {
        match self.answer.finish() {
            Err(error) => self.fail(error),
            Ok(rest) => {
                delta.text.push_str(&rest.text);
                let reason = rest.stop.map_or(reason, |stop| self.stop_string(stop));
                self.end_with_delta(reason, delta);
            }
        }
    }

    fn end_with_delta(&mut self, finish: FinishReason, delta: Delta) {
        if !delta.text.is_empty() || !delta.tokens.is_empty() {
            self.events.send(Ok(delta.into()));
        }
        let summary = GenerationSummary {
            finish,
            usage: Usage {
                prompt_tokens: self.prompt.len(),
                generated_tokens: self.generated,
            },
            timings: self.clock.timings(),
            seed: self.sampler.seed(),
            ignored: std::mem::take(&mut self.ignored),
        };
        tracing::debug!(
            finish = summary.finish.name(),
            prompt_tokens = summary.usage.prompt_tokens,
            generated_tokens = summary.usage.generated_tokens,
            queue = ?summary.timings.queue,
            prefill = ?summary.timings.prefill,
            decode = ?summary.timings.decode,
            "generation done"
        );
        self.events.send(Ok(GenerationEvent::Done(summary)));
        self.phase = Phase::Ended;
    }
}

/// What an answer has grown by.
#[derive(Default)]
struct Delta {
    text: String,
    tokens: Vec<TokenId>,
    logprobs: Vec<TokenLogprobs>,
}

impl From<Delta> for GenerationEvent {
    fn from(delta: Delta) -> Self {
        Self::Delta {
            text: delta.text,
            tokens: delta.tokens,
            logprobs: delta.logprobs,
        }
    }
}

impl Clock {
    fn timings(&self) -> Timings {
        let between = |from: Option<Instant>, to: Option<Instant>| match (from, to) {
            (Some(from), Some(to)) => to.saturating_duration_since(from),
            _ => Duration::ZERO,
        };
        Timings {
            queue: between(Some(self.arrived), self.started),
            prefill: between(self.started, self.first_token),
            decode: between(self.first_token, self.last_token),
        }
    }
}

/// Checks that every token is one of the model's.
pub(super) fn check_tokens(tokens: &[TokenId], vocab_size: usize) -> Result<()> {
    match tokens.iter().find(|token| **token as usize >= vocab_size) {
        None => Ok(()),
        Some(token) => Err(Error::InvalidToken {
            token: *token,
            vocab_size,
        }),
    }
}
