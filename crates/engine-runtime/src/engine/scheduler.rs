//! The loop of the model's thread: it takes commands and lets generations take turns.

use std::{
    collections::VecDeque,
    sync::mpsc::{Receiver, TryRecvError},
};

use engine_core::{Logits, MemoryReport, Model, Result, TokenId};
use futures_channel::oneshot;

use super::{
    command::{Command, EmbedCommand},
    generation::{Generation, Phase},
    guarded::Guarded,
};
use crate::prompt_cache::{self, PromptCache};

/// Runs generations on one model.
///
/// In each round every generation still reading its prompt reads one piece of it, and those that
/// write take one step together. Between rounds commands are taken and generations whose caller has
/// gone are ended, so both wait for one round at most.
pub(super) struct Scheduler<M> {
    pub(super) model: Guarded<M>,
    pub(super) cache: PromptCache,
    pub(super) running: Vec<Generation>,
    pub(super) logits: Logits,
    pub(super) prefill_chunk: usize,
    pub(super) on_device: bool,
    /// The least tokens with which a sequence was seen to have given something up.
    pub(super) gives_up_at: usize,
    waiting: VecDeque<Generation>,
    max_concurrent: usize,
}

/// Senders that say by their end that the model is gone.
pub(super) type Farewells = Vec<oneshot::Sender<()>>;

impl<M: Model> Scheduler<M> {
    pub(super) fn new(
        model: Guarded<M>,
        cache: PromptCache,
        on_device: bool,
        prefill_chunk: usize,
        max_concurrent: u32,
    ) -> Self {
        Self {
            model,
            cache,
            running: Vec::new(),
            logits: Logits::new(),
            prefill_chunk: prefill_chunk.max(1),
            on_device,
            gives_up_at: usize::MAX,
            waiting: VecDeque::new(),
            max_concurrent: max_concurrent.max(1) as usize,
        }
    }

    /// Works until the engine is unloaded, every handle is gone, or the model has panicked; then
    /// frees the model. What is to be dropped after the model is returned.
    pub(super) fn run(mut self, commands: &Receiver<Command>) -> Farewells {
        let mut farewells = Vec::new();
        while self.take_commands(commands, &mut farewells) {
            self.admit();
            self.prefill();
            self.decode_on_host();
            self.decode_on_device();
            // Before commands are taken, so that a memory report counts no sequence left behind.
            self.end_cancelled();
            if self.model.has_panicked() {
                self.fail_all();
                break;
            }
        }
        // Dropped unfinished, they tell their callers that the model has been unloaded.
        drop(self.running);
        drop(self.waiting);
        self.model.free();
        farewells
    }

    /// Takes what has come, waiting for it if there is nothing to do; `false` at the end.
    fn take_commands(&mut self, commands: &Receiver<Command>, farewells: &mut Farewells) -> bool {
        loop {
            let command = if self.running.is_empty() && self.waiting.is_empty() {
                match commands.recv() {
                    Ok(command) => command,
                    Err(_) => return false,
                }
            } else {
                match commands.try_recv() {
                    Ok(command) => command,
                    Err(TryRecvError::Empty) => return true,
                    Err(TryRecvError::Disconnected) => return false,
                }
            };
            match command {
                Command::Generate(generation) => self.waiting.push_back(*generation),
                Command::Embed(command) => self.embed(command),
                Command::Memory(reply) => {
                    let _ = reply.send(self.memory());
                }
                Command::Trim(reply) => {
                    self.cache.clear(&mut self.model);
                    let _ = reply.send(self.model.call("give back memory", Model::trim));
                }
                Command::SavePrompts(path, reply) => {
                    let saved = prompt_cache::save(&mut self.cache, &mut self.model, &path);
                    let _ = reply.send(saved);
                }
                Command::LoadPrompts(path, reply) => {
                    let loaded = prompt_cache::load(&mut self.cache, &mut self.model, &path);
                    let _ = reply.send(loaded);
                }
                Command::Unload(farewell) => {
                    farewells.extend(farewell);
                    return false;
                }
            }
            if self.model.has_panicked() {
                self.fail_all();
                return false;
            }
        }
    }

    /// Ends generations whose caller has gone.
    fn end_cancelled(&mut self) {
        self.waiting
            .retain(|generation| !generation.events.is_closed());
        for index in 0..self.running.len() {
            if self.running[index].events.is_closed() {
                self.discard_chosen(index);
                self.running[index].cancel();
            }
        }
        self.close_ended();
    }

    /// Lets waiting generations run, oldest first, while there is room.
    fn admit(&mut self) {
        while self.running.len() < self.max_concurrent {
            let Some(mut generation) = self.waiting.pop_front() else {
                return;
            };
            if generation.events.is_closed() {
                continue;
            }
            match self.cache.open_for(&mut self.model, &generation.prompt) {
                Ok(opened) => {
                    generation.begin(opened);
                    self.running.push(generation);
                }
                Err(error) => generation.fail(error),
            }
        }
    }

    /// Drops the token that the device chose for a generation about to end.
    fn discard_chosen(&mut self, index: usize) {
        if let Phase::Device { chosen } = self.running[index].phase {
            let _ = self.model.call("drop a token", |model| {
                model.discard_token(chosen);
                Ok(())
            });
        }
    }

    /// Takes the sequences of generations that have ended into the cache, or frees them.
    fn close_ended(&mut self) {
        for generation in self
            .running
            .extract_if(.., |generation| generation.has_ended())
        {
            let Some(sequence) = generation.sequence else {
                continue;
            };
            if generation.has_failed() {
                prompt_cache::close(&mut self.model, sequence);
                if generation.began_cached() {
                    self.cache.forget(&mut self.model, &generation.prompt);
                }
            } else {
                let tokens = generation.into_ledger();
                self.cache.keep(&mut self.model, tokens, sequence);
            }
        }
    }

    /// Embeds texts, unless nobody waits for them any more.
    fn embed(&mut self, command: EmbedCommand) {
        let EmbedCommand {
            texts,
            pooling,
            reply,
        } = command;
        if reply.is_canceled() {
            return;
        }
        let texts: Vec<&[TokenId]> = texts.iter().map(Vec::as_slice).collect();
        let vectors = self.cache.with_room(&mut self.model, |model| {
            model.call("embed texts", |model| model.embed(&texts, pooling))
        });
        let _ = reply.send(vectors);
    }

    /// What the model holds, and how much of it is cached prompts.
    fn memory(&mut self) -> Result<MemoryReport> {
        let mut report = self
            .model
            .call("report memory", |model| Ok(model.memory()))?;
        let held = self.cache.held(&mut self.model);
        report.prompt_cache_bytes = held.bytes;
        report.cached_prompts = held.prompts;
        report.sequences = report.sequences.saturating_sub(held.prompts);
        Ok(report)
    }

    /// Tells everyone that the model has panicked.
    fn fail_all(&mut self) {
        for mut generation in self.running.drain(..).chain(self.waiting.drain(..)) {
            generation.fail(self.model.panic_error("run the model"));
        }
    }
}
