//! Engines whose prompt cache breaks the contract.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use engine_core::{
    BoxFuture, Engine, GenerateRequest, GenerationEvent, GenerationStream, Prompt,
    PromptCacheReport, Result, TokenId, ValidRequest,
};
use futures_util::StreamExt as _;

use crate::flawed_engine::{Flaw, assert_fails};

/// Answers a prompt that goes on as if it did not.
#[derive(Default)]
struct AnswersTheBeginning(Mutex<Vec<TokenId>>);

impl Flaw for AnswersTheBeginning {
    fn generate(&self, inner: &dyn Engine, request: ValidRequest) -> Result<GenerationStream> {
        let Prompt::Tokens(tokens) = request.prompt().clone() else {
            return inner.generate(request);
        };
        let mut last = self.0.lock().expect("no thread panicked");
        let more = tokens.len().saturating_sub(last.len());
        if last.len() > 3 && (1..50).contains(&more) && tokens.starts_with(&last) {
            let params = request.params().clone();
            return inner.generate(
                GenerateRequest::new(Prompt::Tokens(last.clone()))
                    .with_params(params)
                    .validate("mock", &inner.capabilities())?,
            );
        }
        *last = tokens;
        inner.generate(request)
    }

    fn trim(&self, inner: &dyn Engine) -> BoxFuture<Result<()>> {
        self.0.lock().expect("no thread panicked").clear();
        inner.trim()
    }
}

#[test]
fn an_answer_to_the_cached_beginning_fails() {
    assert_fails(
        AnswersTheBeginning::default,
        &[
            // Both send tokens that go on from those of the case before.
            "a_chat_is_answered_as_its_rendered_text",
            "a_prompt_that_fills_the_context_is_an_error",
            "a_prompt_that_goes_on_is_answered_as_without_a_cache",
            "a_cancelled_generation_leaves_a_sound_cache",
            "concurrent_prompts_that_begin_alike_are_answered_as_without_a_cache",
        ],
    );
}

/// Trims nothing.
struct KeepsEverything;

impl Flaw for KeepsEverything {
    fn trim(&self, _: &dyn Engine) -> BoxFuture<Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

#[test]
fn a_cache_that_stays_full_fails() {
    assert_fails(
        || KeepsEverything,
        &[
            "a_repeated_prompt_is_answered_alike",
            "a_prompt_that_goes_on_is_answered_as_without_a_cache",
            "a_divergent_prompt_is_answered_as_without_a_cache",
            "a_cancelled_generation_leaves_a_sound_cache",
            "concurrent_prompts_that_begin_alike_are_answered_as_without_a_cache",
            "trimming_empties_the_prompt_cache",
            "a_saved_prompt_cache_goes_on_alike",
            "a_damaged_prompt_cache_is_refused",
        ],
    );
}

/// Says that all of a prompt was cached.
struct CountsAll;

impl Flaw for CountsAll {
    fn generate(&self, inner: &dyn Engine, request: ValidRequest) -> Result<GenerationStream> {
        let events = inner.generate(request)?.map(|event| match event {
            Ok(GenerationEvent::Done(mut summary)) if summary.usage.cached_prompt_tokens > 0 => {
                summary.usage.cached_prompt_tokens = summary.usage.prompt_tokens;
                Ok(GenerationEvent::Done(summary))
            }
            other => other,
        });
        Ok(Box::pin(events))
    }
}

#[test]
fn a_prompt_cached_to_its_last_token_fails() {
    assert_fails(
        || CountsAll,
        &[
            "cached_tokens_are_part_of_the_prompt",
            "a_repeated_prompt_is_answered_alike",
            "a_saved_prompt_cache_goes_on_alike",
        ],
    );
}

/// Says that it has loaded what it had saved.
#[derive(Default)]
struct LoadsNothing(Arc<Mutex<PromptCacheReport>>);

impl Flaw for LoadsNothing {
    fn save_prompt_cache(
        &self,
        inner: &dyn Engine,
        path: &Path,
    ) -> BoxFuture<Result<PromptCacheReport>> {
        let (saving, saved) = (inner.save_prompt_cache(path), Arc::clone(&self.0));
        Box::pin(async move {
            let report = saving.await?;
            *saved.lock().expect("no thread panicked") = report;
            Ok(report)
        })
    }

    fn load_prompt_cache(&self, _: &dyn Engine, _: &Path) -> BoxFuture<Result<PromptCacheReport>> {
        let saved = *self.0.lock().expect("no thread panicked");
        Box::pin(async move { Ok(saved) })
    }
}

#[test]
fn prompts_that_are_not_loaded_fail() {
    assert_fails(
        LoadsNothing::default,
        &[
            "a_saved_prompt_cache_goes_on_alike",
            "a_damaged_prompt_cache_is_refused",
        ],
    );
}
