//! Engines whose other methods break the contract.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use engine_core::{
    BoxFuture, Engine, EngineInfo, Error, GenerationStream, MemoryReport, Message, Result, TokenId,
    ValidRequest,
};

use crate::flawed_engine::{Flaw, assert_fails, sound_mock, suite};

fn failed(reason: &str) -> Error {
    Error::backend("mock", "do as the test asks", reason)
}

#[derive(Default)]
struct UnloadsOnce(AtomicBool);

impl Flaw for UnloadsOnce {
    fn unload(&self, inner: &dyn Engine) -> BoxFuture<Result<()>> {
        if self.0.swap(true, Ordering::SeqCst) {
            return Box::pin(std::future::ready(Err(failed("unloaded already"))));
        }
        inner.unload()
    }
}

#[test]
fn an_unload_that_fails_the_second_time_fails() {
    assert_fails(UnloadsOnce::default, &["unloading_can_be_repeated"]);
}

struct NeverUnloads;

impl Flaw for NeverUnloads {
    fn unload(&self, _: &dyn Engine) -> BoxFuture<Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[test]
fn an_unload_that_does_nothing_fails() {
    let suite = suite(sound_mock(), || NeverUnloads).only(&[
        "generating_after_unloading_is_an_error",
        "unloading_can_be_repeated",
    ]);
    assert_eq!(
        suite.run().failed(),
        ["generating_after_unloading_is_an_error"]
    );
}

/// Reports another error than the contract's after an unload.
struct WrongErrorAfterUnload;

impl Flaw for WrongErrorAfterUnload {
    fn generate(&self, inner: &dyn Engine, request: ValidRequest) -> Result<GenerationStream> {
        inner
            .generate(request)
            .map_err(|_| failed("the thread is gone"))
    }
}

#[test]
fn another_error_after_an_unload_fails() {
    assert_fails(
        || WrongErrorAfterUnload,
        &["generating_after_unloading_is_an_error"],
    );
}

/// Says another name each time.
#[derive(Default)]
struct ChangesItsInfo {
    calls: AtomicU32,
    first: std::sync::OnceLock<EngineInfo>,
}

impl Flaw for ChangesItsInfo {
    fn info<'a>(&'a self, inner: &'a dyn Engine) -> &'a EngineInfo {
        let first = self.first.get_or_init(|| {
            let mut info = inner.info().clone();
            info.model.device.push_str(" (starting)");
            info
        });
        if self.calls.fetch_add(1, Ordering::SeqCst) == 0 {
            first
        } else {
            inner.info()
        }
    }
}

#[test]
fn info_that_changes_fails() {
    let suite = suite(sound_mock(), ChangesItsInfo::default)
        .only(&["info_and_capabilities_are_constant", "info_makes_sense"]);
    assert_eq!(suite.run().failed(), ["info_and_capabilities_are_constant"]);
}

/// Calls itself real.
#[derive(Default)]
struct HidesItsSimulation(std::sync::OnceLock<EngineInfo>);

impl Flaw for HidesItsSimulation {
    fn info<'a>(&'a self, inner: &'a dyn Engine) -> &'a EngineInfo {
        self.0.get_or_init(|| {
            let mut info = inner.info().clone();
            info.model.backend.simulated = false;
            info
        })
    }
}

#[test]
fn a_hidden_simulation_fails() {
    assert_fails(HidesItsSimulation::default, &["info_makes_sense"]);
}

/// Reports no sequences, or memory that makes no sense.
struct Reports(fn(&mut MemoryReport));

impl Flaw for Reports {
    fn memory(&self, inner: &dyn Engine) -> BoxFuture<Result<MemoryReport>> {
        let (report, change) = (inner.memory(), self.0);
        Box::pin(async move {
            let mut report = report.await?;
            change(&mut report);
            Ok(report)
        })
    }
}

#[test]
fn sequences_that_are_not_counted_fail() {
    assert_fails(
        || Reports(|report| report.sequences = 0),
        &["a_running_generation_holds_a_sequence"],
    );
}

#[test]
fn a_memory_report_that_makes_no_sense_fails() {
    assert_fails(
        || Reports(|report| report.weight_bytes += 1),
        &["memory_makes_sense"],
    );
    assert_fails(
        || {
            Reports(|report| {
                report.active_bytes = Some(2);
                report.peak_bytes = Some(1);
            })
        },
        &["memory_makes_sense"],
    );
}

/// Forgets a sequence of each generation that fails.
#[derive(Default)]
struct LeaksOnErrors(Arc<AtomicU32>);

impl Flaw for LeaksOnErrors {
    fn generate(&self, inner: &dyn Engine, request: ValidRequest) -> Result<GenerationStream> {
        use futures_util::StreamExt;
        let leaked = Arc::clone(&self.0);
        let events = inner.generate(request)?.inspect(move |event| {
            if event.is_err() {
                leaked.fetch_add(1, Ordering::SeqCst);
            }
        });
        Ok(Box::pin(events))
    }

    fn memory(&self, inner: &dyn Engine) -> BoxFuture<Result<MemoryReport>> {
        let (report, leaked) = (inner.memory(), self.0.load(Ordering::SeqCst));
        Box::pin(async move {
            let mut report = report.await?;
            report.sequences += leaked;
            Ok(report)
        })
    }
}

#[test]
fn a_sequence_leaked_by_an_error_fails() {
    assert_fails(
        LeaksOnErrors::default,
        &["a_failed_generation_frees_its_sequence"],
    );
}

/// Answers nothing any more once a generation has failed.
#[derive(Default)]
struct BrokenByAnError(Arc<AtomicBool>);

impl Flaw for BrokenByAnError {
    fn generate(&self, inner: &dyn Engine, request: ValidRequest) -> Result<GenerationStream> {
        use futures_util::StreamExt;
        if self.0.load(Ordering::SeqCst) {
            return Err(failed("broken by an earlier failure"));
        }
        let broken = Arc::clone(&self.0);
        let events = inner.generate(request)?.inspect(move |event| {
            if event.is_err() {
                broken.store(true, Ordering::SeqCst);
            }
        });
        Ok(Box::pin(events))
    }
}

#[test]
fn an_engine_broken_by_a_failed_generation_fails() {
    let suite = suite(sound_mock(), BrokenByAnError::default).only(&[
        "a_failed_generation_leaves_the_engine_usable",
        "nothing_follows_an_error",
    ]);
    assert_eq!(
        suite.run().failed(),
        ["a_failed_generation_leaves_the_engine_usable"]
    );
}

/// Loses the last character of what it decodes.
struct LosesTheEnd;

impl Flaw for LosesTheEnd {
    fn detokenize(&self, inner: &dyn Engine, tokens: &[TokenId]) -> Result<String> {
        let mut text = inner.detokenize(tokens)?;
        text.pop();
        Ok(text)
    }
}

#[test]
fn a_decoder_that_loses_the_end_fails() {
    let failed = suite(sound_mock(), || LosesTheEnd).run().failed();
    assert!(
        failed.contains(&"joined_text_is_the_decoded_tokens"),
        "{failed:?}"
    );
}

/// Loses characters that take several tokens.
struct LosesCharacters;

impl Flaw for LosesCharacters {
    fn tokenize(&self, inner: &dyn Engine, text: &str) -> Result<Vec<TokenId>> {
        inner.tokenize(&text.replace('🦀', "?"))
    }
}

#[test]
fn a_tokenizer_that_loses_characters_fails() {
    let failed = suite(sound_mock(), || LosesCharacters).run().failed();
    assert!(
        failed.contains(&"tokens_turn_back_into_their_text"),
        "{failed:?}"
    );
}

/// Renders a chat in another way than it answers it.
struct RendersOnlyTheLast;

impl Flaw for RendersOnlyTheLast {
    fn render_chat(&self, inner: &dyn Engine, messages: &[Message]) -> Result<String> {
        inner.render_chat(&messages[messages.len() - 1..])
    }
}

#[test]
fn a_chat_rendered_in_part_fails() {
    assert_fails(
        || RendersOnlyTheLast,
        &[
            "a_chat_is_answered_as_its_rendered_text",
            "rendering_repeats_and_holds_every_message",
            "the_text_of_a_prompt_is_what_the_model_reads",
        ],
    );
}

/// Answers otherwise once it has been trimmed.
#[derive(Default)]
struct ForgetsWhenTrimmed(AtomicBool);

impl Flaw for ForgetsWhenTrimmed {
    fn trim(&self, inner: &dyn Engine) -> BoxFuture<Result<()>> {
        self.0.store(true, Ordering::SeqCst);
        inner.trim()
    }

    fn generate(&self, inner: &dyn Engine, request: ValidRequest) -> Result<GenerationStream> {
        let trimmed = self.0.load(Ordering::SeqCst);
        inner.generate(crate::flawed_engine::with_params(
            request,
            inner,
            |params| {
                if trimmed {
                    params.max_tokens = params.max_tokens.min(3);
                }
            },
        ))
    }
}

#[test]
fn an_answer_changed_by_trimming_fails() {
    let suite = suite(sound_mock(), ForgetsWhenTrimmed::default)
        .only(&["trimming_changes_no_answer", "greedy_answers_repeat"]);
    assert_eq!(suite.run().failed(), ["trimming_changes_no_answer"]);
}

/// Adds a token every other time.
#[derive(Default)]
struct TokenizesDifferently(AtomicBool);

impl Flaw for TokenizesDifferently {
    fn tokenize(&self, inner: &dyn Engine, text: &str) -> Result<Vec<TokenId>> {
        let mut tokens = inner.tokenize(text)?;
        if self.0.fetch_xor(true, Ordering::SeqCst) {
            tokens.push(0);
        }
        Ok(tokens)
    }
}

#[test]
fn a_tokenizer_that_changes_its_mind_fails() {
    let cases = ["tokenizing_repeats", "greedy_answers_repeat"];
    let suite = suite(sound_mock(), TokenizesDifferently::default).only(&cases);
    assert_eq!(suite.run().failed(), cases[..1]);
}
