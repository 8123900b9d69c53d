//! One generation on the model's thread: from its prompt to its last event.

use std::time::{Duration, Instant};

use engine_core::{
    DeviceToken, Error, Field, FinishReason, GenerateParams, GenerationEvent, GenerationSummary,
    Result, SequenceId, Timings, TokenId, TokenLogprobs, Usage,
};

use super::{
    answer::{Answer, Piece},
    budget::Budget,
    events::EventSender,
    loops::Loops,
};
use crate::{Sampler, constraint::Guide, prompt_cache::Opened};

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
    constraint: Option<Guide>,
    thought_mask: Option<Vec<u32>>,
    loops: Option<Loops>,
    pub(super) events: EventSender,
    params: GenerateParams,
    ignored: Vec<Field>,
    answer: Answer,
    budget: Option<Budget>,
    /// The model's own end-of-text tokens; empty if the request ignores them.
    end_tokens: Vec<TokenId>,
    borders: Vec<usize>,
    context_length: usize,
    generated: usize,
    /// Tokens of the prompt that the sequence had when it was opened.
    cached: usize,
    /// Every token that was chosen, the one that ended the answer included: what the sequence holds
    /// behind the prompt.
    chosen: Vec<TokenId>,
    /// Whether a step of its sequence failed.
    failed: bool,
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
    pub(super) budget: Option<Budget>,
    pub(super) sampler: Sampler,
    pub(super) constraint: Option<Guide>,
    /// The tokens that may come in a thought before an answer with a constraint: all but those that
    /// would end the answer there. `None`: all.
    pub(super) thought_mask: Option<Vec<u32>>,
    pub(super) end_tokens: Vec<TokenId>,
    /// Places in the prompt right behind a message: behind an end-of-text token.
    pub(super) borders: Vec<usize>,
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
            budget,
            sampler,
            constraint,
            thought_mask,
            end_tokens,
            borders,
            context_length,
            arrived,
        } = prepared;
        Self {
            prompt,
            phase: Phase::Prefill { read: 0 },
            sequence: None,
            sampler,
            constraint,
            thought_mask,
            loops: params.loop_guard.map(Loops::new),
            events,
            params,
            ignored,
            answer,
            budget,
            end_tokens,
            borders,
            context_length,
            generated: 0,
            cached: 0,
            chosen: Vec::new(),
            failed: false,
            clock: Clock {
                arrived,
                started: None,
                first_token: None,
                last_token: None,
            },
        }
    }

    /// Begins with a sequence that holds the first `cached` tokens of the prompt.
    pub(super) fn begin(&mut self, Opened { sequence, cached }: Opened) {
        self.sequence = Some(sequence);
        self.cached = cached;
        self.phase = Phase::Prefill { read: cached };
    }

    /// The first end of a message behind `read` and before `end`, or `end`.
    pub(super) fn border_within(&self, read: usize, end: usize) -> usize {
        let behind = self.borders.partition_point(|border| *border <= read);
        self.borders
            .get(behind)
            .map_or(end, |border| end.min(*border))
    }

    /// Whether its sequence had a part of the prompt when it was opened.
    pub(super) fn began_cached(&self) -> bool {
        self.cached > 0
    }

    /// Whether a step of it failed, so that its sequence is not to be trusted.
    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    /// All that its sequence may hold: the prompt, and what was chosen after it.
    pub(super) fn into_ledger(self) -> Vec<TokenId> {
        let mut ledger = self.prompt;
        ledger.extend(self.chosen);
        ledger
    }

    /// Whether it needs nothing but the likeliest token of each step.
    pub(super) fn is_plain_greedy(&self) -> bool {
        self.params.is_plain_greedy() && self.budget.is_none() && self.constraint.is_none()
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

    /// Chooses the next token from a row of logits, unless the engine is to write one, and takes
    /// it.
    ///
    /// # Errors
    /// As [`Sampler::choose`], and if the constraint can't be followed any further.
    pub(super) fn choose(&mut self, row: &[f32]) -> Result<()> {
        let forced = self
            .budget
            .as_mut()
            .and_then(|budget| budget.next(&self.answer));
        // What is thought has no form, nor what ends a thought; the answer behind it has.
        let has_form = forced.is_none() && !self.answer.is_reasoning();
        let (token, logprobs) = if let Some(token) = forced {
            (token, self.sampler.logprobs(row, token)?)
        } else {
            let sampler = &mut self.sampler;
            match self.constraint.as_ref().filter(|_| has_form) {
                None => sampler.choose_with_logprobs(row, self.thought_mask.as_deref())?,
                Some(constraint) => {
                    constraint.with_mask(|mask| sampler.choose_with_logprobs(row, Some(mask)))?
                }
            }
        };
        self.phase = Phase::Host { last: token };
        self.take(token, logprobs, has_form)
    }

    /// Takes a token that the device chose, where nothing but the likeliest one was asked for.
    ///
    /// # Errors
    /// As where the host chose it; a request with a constraint does not come here.
    pub(super) fn accept(&mut self, token: TokenId) -> Result<()> {
        self.take(token, None, true)
    }

    /// Takes the next token: delivers its text, or ends the answer. `has_form` if the constraint is
    /// to follow it.
    ///
    /// # Errors
    /// If the constraint can't be followed any further.
    fn take(
        &mut self,
        token: TokenId,
        logprobs: Option<TokenLogprobs>,
        has_form: bool,
    ) -> Result<()> {
        let now = Instant::now();
        self.clock.first_token.get_or_insert(now);
        self.chosen.push(token);
        if self.end_tokens.binary_search(&token).is_ok() {
            self.finish(FinishReason::EndOfText(token), Piece::default());
            return Ok(());
        }
        if self.params.stop_tokens.contains(&token) {
            self.finish(FinishReason::StopToken(token), Piece::default());
            return Ok(());
        }
        self.clock.last_token = Some(now);
        self.generated += 1;
        self.sampler.note(token);
        let piece = self.answer.push(token, logprobs);
        if let Some(stop) = piece.stop {
            self.end(self.stop_string(stop), piece);
        } else if let Some(reason) = self.end_after(token, has_form)? {
            self.finish(reason, piece);
        } else {
            self.deliver(piece);
        }
        Ok(())
    }

    /// Why the answer ends with this token, if it does.
    fn end_after(&mut self, token: TokenId, has_form: bool) -> Result<Option<FinishReason>> {
        let period = self.loops.as_mut().and_then(|loops| loops.push(token));
        let constraint = self.constraint.as_ref().filter(|_| has_form);
        if let Some(constraint) = constraint
            && constraint.take(token)?
        {
            return Ok(Some(FinishReason::ConstraintMet));
        }
        let reason = period
            .map(FinishReason::Loop)
            .or_else(|| self.limit(self.generated));
        if let (None, Some(constraint)) = (&reason, constraint) {
            constraint.look_ahead();
        }
        Ok(reason)
    }

    /// Ends with an error, unless it has ended with its last token already. Its sequence is not
    /// kept either way.
    pub(super) fn fail(&mut self, error: Error) {
        self.failed = true;
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
    fn finish(&mut self, reason: FinishReason, mut piece: Piece) {
        match self.answer.finish() {
            Err(error) => self.fail(error),
            Ok(rest) => {
                let reason = rest.stop.map_or(reason, |stop| self.stop_string(stop));
                piece.append(rest);
                self.end(reason, piece);
            }
        }
    }

    fn deliver(&mut self, piece: Piece) {
        for event in piece.events {
            self.events.send(Ok(event));
        }
    }

    fn end(&mut self, finish: FinishReason, piece: Piece) {
        self.deliver(piece);
        let summary = GenerationSummary {
            finish,
            usage: Usage {
                prompt_tokens: self.prompt.len(),
                cached_prompt_tokens: self.cached,
                generated_tokens: self.generated,
                reasoning_tokens: self.answer.reasoning_tokens(),
            },
            timings: self.clock.timings(),
            seed: self.sampler.seed(),
            ignored: std::mem::take(&mut self.ignored),
        };
        tracing::debug!(
            finish = summary.finish.name(),
            prompt_tokens = summary.usage.prompt_tokens,
            cached_prompt_tokens = summary.usage.cached_prompt_tokens,
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
