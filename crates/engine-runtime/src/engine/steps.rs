//! The steps of the model: reading prompts, and choosing tokens on the host or on the device.

use engine_core::{
    DeviceInput, DeviceRun, DeviceToken, Error, Logits, LogitsWanted, Model, Result, Run,
};

use super::{
    generation::{Generation, Phase},
    guarded::Guarded,
    scheduler::Scheduler,
};
use crate::prompt_cache::{self, PromptCache};

impl<M: Model> Scheduler<M> {
    /// Reads one piece of the prompt of every generation that is not through with it.
    pub(super) fn prefill(&mut self) {
        for generation in &mut self.running {
            let Phase::Prefill { read } = generation.phase else {
                continue;
            };
            let Some(sequence) = generation.sequence else {
                continue;
            };
            generation.start();
            let mut end = (read + self.prefill_chunk).min(generation.prompt.len());
            let checkpoints = self.cache.needs_checkpoints();
            // A piece in which the sequence begins to give something up is divided as well, once
            // one of its length has been seen to do so.
            let divides = checkpoints
                && (read == 0
                    || end >= self.gives_up_at
                    || prompt_cache::gives_up(&mut self.model, sequence));
            if divides {
                end = generation.border_within(read, end);
            }
            let last = end == generation.prompt.len();
            let outcome = if last && self.on_device && generation.is_plain_greedy() {
                let run = DeviceRun {
                    sequence,
                    input: DeviceInput::Tokens(&generation.prompt[read..end]),
                };
                step_greedy(&mut self.model, &mut self.cache, &[run]).map(|chosen| {
                    generation.report_prefill(end);
                    generation.phase = Phase::Device { chosen: chosen[0] };
                })
            } else {
                let run = Run {
                    sequence,
                    tokens: &generation.prompt[read..end],
                    logits: if last {
                        LogitsWanted::Last
                    } else {
                        LogitsWanted::None
                    },
                };
                forward(&mut self.model, &mut self.cache, &[run], &mut self.logits).and_then(|()| {
                    generation.report_prefill(end);
                    if last {
                        choose(generation, &self.logits, 0, self.model.backend())
                    } else {
                        generation.phase = Phase::Prefill { read: end };
                        if checkpoints {
                            let read = &generation.prompt[..end];
                            self.cache.keep_checkpoint(&mut self.model, read, sequence);
                        }
                        Ok(())
                    }
                })
            };
            if let Err(error) = outcome {
                generation.fail(error);
            } else if checkpoints
                && end < self.gives_up_at
                && prompt_cache::gives_up(&mut self.model, sequence)
            {
                self.gives_up_at = end;
            }
        }
    }

    /// One step of all generations whose tokens are chosen on the host.
    pub(super) fn decode_on_host(&mut self) {
        let inputs: Vec<_> = self
            .running
            .iter()
            .enumerate()
            .filter_map(|(index, generation)| match generation.phase {
                Phase::Host { last } => Some((index, generation.sequence?, [last])),
                _ => None,
            })
            .collect();
        let runs: Vec<_> = inputs
            .iter()
            .map(|(_, sequence, tokens)| Run {
                sequence: *sequence,
                tokens,
                logits: LogitsWanted::Last,
            })
            .collect();
        let indices = inputs.iter().map(|(index, ..)| *index);
        if runs.is_empty() {
            return;
        }
        match forward(&mut self.model, &mut self.cache, &runs, &mut self.logits) {
            Ok(()) => indices
                .enumerate()
                .for_each(|(run, index)| self.choose(index, run)),
            Err(error) if runs.len() == 1 => self.running[inputs[0].0].fail(error),
            // A batch fails as a whole and leaves its sequences as they were: one by one, only
            // those at fault fail.
            Err(_) => {
                for (index, run) in indices.zip(&runs) {
                    match forward(&mut self.model, &mut self.cache, &[*run], &mut self.logits) {
                        Ok(()) => self.choose(index, 0),
                        Err(error) => self.running[index].fail(error),
                    }
                }
            }
        }
    }

    /// Lets a generation choose its next token from the logits of a run.
    fn choose(&mut self, index: usize, run: usize) {
        let generation = &mut self.running[index];
        if let Err(error) = choose(generation, &self.logits, run, self.model.backend()) {
            generation.fail(error);
        }
    }

    /// One step of all generations whose tokens are chosen on the device: the next step is on its
    /// way before the token of the last one is read.
    pub(super) fn decode_on_device(&mut self) {
        let mut chosen = Vec::new();
        let mut runs = Vec::new();
        for (index, generation) in self.running.iter().enumerate() {
            let (Phase::Device { chosen: token }, Some(sequence)) =
                (generation.phase, generation.sequence)
            else {
                continue;
            };
            chosen.push((index, token));
            if generation.has_room_after_next() {
                let input = DeviceInput::Chosen(token);
                runs.push((index, DeviceRun { sequence, input }));
            }
        }
        let mut next = self.follow(&runs).into_iter().peekable();
        for (index, token) in chosen {
            let follower = next.next_if(|(follows, _)| *follows == index);
            self.take_chosen(index, token, follower.map(|(_, next)| next));
        }
    }

    /// Starts the next step of these generations.
    fn follow(
        &mut self,
        runs: &[(usize, DeviceRun<'static>)],
    ) -> Vec<(usize, Result<DeviceToken>)> {
        if runs.is_empty() {
            return Vec::new();
        }
        let batch: Vec<_> = runs.iter().map(|(_, run)| *run).collect();
        let indices = runs.iter().map(|(index, _)| *index);
        match step_greedy(&mut self.model, &mut self.cache, &batch) {
            Ok(tokens) => indices.zip(tokens.into_iter().map(Ok)).collect(),
            Err(error) if batch.len() == 1 => indices.zip([Err(error)]).collect(),
            Err(_) => indices
                .zip(batch.iter().map(|run| {
                    step_greedy(&mut self.model, &mut self.cache, &[*run]).map(|tokens| tokens[0])
                }))
                .collect(),
        }
    }

    /// Reads a token that the device chose, and what follows from it.
    fn take_chosen(
        &mut self,
        index: usize,
        chosen: DeviceToken,
        follower: Option<Result<DeviceToken>>,
    ) {
        let token = self
            .model
            .call("read a token", |model| model.read_token(chosen));
        let generation = &mut self.running[index];
        // Whoever asks for log-probabilities has its tokens chosen on the host.
        if let Err(error) = token.and_then(|token| generation.accept(token)) {
            generation.fail(error);
        }
        match follower {
            Some(Ok(next)) if generation.has_ended() => {
                let _ = self.model.call("drop a token", |model| {
                    model.discard_token(next);
                    Ok(())
                });
            }
            Some(Ok(next)) => generation.phase = Phase::Device { chosen: next },
            // It may have ended with the token before the step that failed; then all is well.
            Some(Err(error)) => generation.fail(error),
            None => {}
        }
    }
}

/// Lets a generation choose its next token from a run's logits.
fn choose(generation: &mut Generation, logits: &Logits, run: usize, backend: &str) -> Result<()> {
    let row = logits.last(run).ok_or_else(|| {
        Error::backend(backend, "evaluate a step", "the model returned no logits")
    })?;
    generation.choose(row)
}

fn forward<M: Model>(
    model: &mut Guarded<M>,
    cache: &mut PromptCache,
    runs: &[Run<'_>],
    logits: &mut Logits,
) -> Result<()> {
    cache.with_room(model, |model| {
        model.call("evaluate a step", |model| model.forward(runs, logits))
    })
}

/// Starts a step on the device; as many tokens as runs.
fn step_greedy<M: Model>(
    model: &mut Guarded<M>,
    cache: &mut PromptCache,
    runs: &[DeviceRun<'_>],
) -> Result<Vec<DeviceToken>> {
    let tokens = cache.with_room(model, |model| {
        model.call("start a step", |model| model.step_greedy(runs))
    })?;
    if tokens.len() != runs.len() {
        return Err(Error::backend(
            model.backend(),
            "start a step",
            format!("{} tokens came back for {} runs", tokens.len(), runs.len()),
        ));
    }
    Ok(tokens)
}
