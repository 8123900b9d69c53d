//! Engines that break the contract when streams are dropped, or run side by side.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use engine_core::{
    Engine, Error, GenerateRequest, GenerationEvent, GenerationStream, Prompt, Result, ValidRequest,
};
use futures_core::Stream;
use futures_executor::block_on;
use futures_util::{StreamExt, future};

use crate::flawed_engine::{Flaw, assert_failed, assert_fails, sound_mock, suite};

/// Runs every generation to its end, whether anyone listens or not.
struct IgnoresDrop;

struct Kept(Option<GenerationStream>);

impl Stream for Kept {
    type Item = Result<GenerationEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut self.0 {
            Some(events) => events.as_mut().poll_next(cx),
            None => Poll::Ready(None),
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(events) = self.0.take() {
            std::thread::spawn(move || block_on(events.for_each(|_| future::ready(()))));
        }
    }
}

impl Flaw for IgnoresDrop {
    fn generate(&self, inner: &dyn Engine, request: ValidRequest) -> Result<GenerationStream> {
        Ok(Box::pin(Kept(Some(inner.generate(request)?))))
    }
}

#[test]
fn an_ignored_drop_fails() {
    // At this pace an endless generation takes more than a minute.
    let mock = sound_mock().token_delay(Duration::from_millis(1));
    let cases = [
        "dropping_a_stream_frees_its_sequence",
        "dropping_a_stream_that_was_never_read_frees_it",
        "dropping_a_stream_while_it_reads_the_prompt_frees_it",
        "dropping_a_waiting_generation_leaves_no_trace",
        "dropping_one_generation_leaves_the_others_alone",
    ];
    let report = suite(mock, || IgnoresDrop)
        .only(&cases)
        .with_deadline(Duration::from_secs(3))
        .run();
    assert_failed(&report, &cases);
}

/// Gives a generation the prompt of the one that runs beside it.
#[derive(Default)]
struct MixesUp {
    running: Arc<AtomicUsize>,
}

struct Counted {
    events: GenerationStream,
    running: Arc<AtomicUsize>,
}

impl Stream for Counted {
    type Item = Result<GenerationEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.as_mut().poll_next(cx)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Flaw for MixesUp {
    fn generate(&self, inner: &dyn Engine, request: ValidRequest) -> Result<GenerationStream> {
        let beside = self.running.fetch_add(1, Ordering::SeqCst) > 0;
        let request = if beside {
            let params = request.params().clone();
            GenerateRequest::new(Prompt::Text("another".to_owned()))
                .with_params(params)
                .validate("mock", &inner.capabilities())?
        } else {
            request
        };
        Ok(Box::pin(Counted {
            events: inner.generate(request)?,
            running: Arc::clone(&self.running),
        }))
    }
}

#[test]
fn generations_that_mix_up_fail() {
    assert_fails(
        MixesUp::default,
        &[
            "generations_side_by_side_give_what_they_give_alone",
            "more_generations_than_run_at_once_wait_and_are_answered",
            "threads_may_share_an_engine",
            "dropping_one_generation_leaves_the_others_alone",
            "concurrent_prompts_that_begin_alike_are_answered_as_without_a_cache",
        ],
    );
}

/// Runs two generations at a time and refuses the third.
#[derive(Default)]
struct RefusesToWait {
    running: Arc<AtomicUsize>,
}

impl Flaw for RefusesToWait {
    fn generate(&self, inner: &dyn Engine, request: ValidRequest) -> Result<GenerationStream> {
        if self.running.fetch_add(1, Ordering::SeqCst) >= 4 {
            self.running.fetch_sub(1, Ordering::SeqCst);
            return Err(Error::backend("mock", "generate", "busy"));
        }
        Ok(Box::pin(Counted {
            events: inner.generate(request)?,
            running: Arc::clone(&self.running),
        }))
    }
}

#[test]
fn an_engine_that_refuses_to_wait_fails() {
    assert_fails(
        RefusesToWait::default,
        &[
            "more_generations_than_run_at_once_wait_and_are_answered",
            "dropping_a_waiting_generation_leaves_no_trace",
        ],
    );
}

/// Works only on the thread that started it.
struct BoundToItsThread;

impl Flaw for BoundToItsThread {
    fn generate(&self, inner: &dyn Engine, request: ValidRequest) -> Result<GenerationStream> {
        let home = std::thread::current().id();
        Ok(Box::pin(inner.generate(request)?.map(move |event| {
            if std::thread::current().id() == home {
                event
            } else {
                Err(Error::backend("mock", "generate", "not on my thread"))
            }
        })))
    }
}

#[test]
fn a_stream_bound_to_its_thread_fails() {
    let cases = ["streams_move_between_threads", "greedy_answers_repeat"];
    let suite = suite(sound_mock(), || BoundToItsThread).only(&cases);
    assert_failed(&suite.run(), &cases[..1]);
}
