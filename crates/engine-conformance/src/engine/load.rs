//! Loading, and what its options do.

use std::sync::{Arc, Mutex, PoisonError};

use engine_core::{
    Availability, Backend, ComputeType, DeviceChoice, Engine, EngineExt, Error, Field,
    FinishReason, GenerateRequest, LoadOptions, LoadProgress, LoadRequest, LoadStage, Progress,
    Prompt,
};
use futures_executor::block_on;
use futures_util::FutureExt;

use super::{recording::Recording, subject::Subject};
use crate::case::{Case, CaseResult, OrFail, Stop, cases, ensure, fail, in_words};

pub(super) const CASES: &[Case<Subject>] = cases![
    the_backend_names_itself_and_is_available,
    loading_reports_what_was_asked_for,
    loading_goes_through_its_stages_in_order,
    every_load_option_is_honoured_or_refused_by_name,
    a_load_option_out_of_range_is_refused,
    a_smaller_context_holds_prompt_and_answer,
    one_generation_at_a_time_can_be_asked_for,
    a_cancelled_load_ends_and_another_one_works,
    dropping_a_load_leaves_the_backend_usable,
];

/// Sets an option; the number is the model's own context length.
type Change = fn(&mut LoadOptions, u32);

fn backend(subject: &Subject) -> CaseResult<(Arc<dyn Backend>, LoadRequest)> {
    subject
        .settings
        .backend
        .clone()
        .ok_or_else(|| Stop::NotApplicable("the suite was given engines and no backend".to_owned()))
}

fn load(
    subject: &Subject,
    options: LoadOptions,
    progress: Progress,
) -> CaseResult<engine_core::Result<Arc<dyn Engine>>> {
    let (backend, request) = backend(subject)?;
    Ok(block_on(
        backend.load(request.with_options(options), progress),
    ))
}

fn options(subject: &Subject) -> CaseResult<LoadOptions> {
    Ok(backend(subject)?.1.options)
}

fn unload(engine: &Arc<dyn Engine>) -> CaseResult {
    block_on(engine.unload()).or_fail("unload")
}

fn the_backend_names_itself_and_is_available(subject: &mut Subject) -> CaseResult {
    let (backend, _) = backend(subject)?;
    let info = backend.info();
    ensure!(
        !info.name.is_empty() && info.name == info.name.to_lowercase(),
        "the backend's name {:?} is not a short lower-case name",
        info.name
    );
    if let Availability::Unavailable { reason } = backend.availability() {
        fail!("the backend is not available: {reason}");
    }
    let engine = subject.engine()?;
    ensure!(
        engine.info().model.backend == info && backend.info() == info,
        "the backend calls itself {info:?}, and its engine says {:?}",
        engine.info().model.backend
    );
    Ok(())
}

fn loading_reports_what_was_asked_for(subject: &mut Subject) -> CaseResult {
    let (backend, mut request) = backend(subject)?;
    "a name of the suite's own".clone_into(&mut request.name);
    let (name, path) = (request.name.clone(), request.path.clone());
    let engine = block_on(backend.load(request, Progress::silent())).or_fail("load")?;
    let info = engine.info();
    ensure!(
        info.name == name && info.path.as_ref().is_none_or(|there| *there == path),
        "{name} of {} was asked for, and {} of {:?} is loaded",
        path.display(),
        info.name,
        info.path
    );
    unload(&engine)
}

fn loading_goes_through_its_stages_in_order(subject: &mut Subject) -> CaseResult {
    let seen = Arc::new(Mutex::new(Vec::<LoadProgress>::new()));
    let sink = Arc::clone(&seen);
    let progress = Progress::new(move |event| {
        sink.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(event);
    });
    let options = options(subject)?;
    let engine = load(subject, options, progress)?.or_fail("load")?;
    let events = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    ensure!(
        events.windows(2).all(|pair| pair[0].stage <= pair[1].stage),
        "the stages are out of order: {events:?}"
    );
    ensure!(
        events
            .windows(2)
            .all(|pair| pair[0].done_bytes <= pair[1].done_bytes),
        "the bytes in place shrink: {events:?}"
    );
    ensure!(
        events
            .iter()
            .all(|event| event.total_bytes == 0 || event.done_bytes <= event.total_bytes),
        "more bytes are in place than there are: {events:?}"
    );
    let ready = events
        .iter()
        .filter(|event| event.stage == LoadStage::Ready);
    ensure!(
        ready.count() == 1
            && events
                .last()
                .is_some_and(|last| last.stage == LoadStage::Ready),
        "the load does not end in one Ready: {events:?}"
    );
    unload(&engine)
}

fn every_load_option_is_honoured_or_refused_by_name(subject: &mut Subject) -> CaseResult {
    let usual = options(subject)?;
    let context = subject.engine()?.info().model.context_length as u32;
    let set: [(Field, Change); 8] = [
        (Field::Device, |to, _| to.device = DeviceChoice::Cpu),
        (Field::Device, |to, _| to.device = DeviceChoice::Cuda),
        (Field::Device, |to, _| to.device = DeviceChoice::Metal),
        (Field::Compute, |to, _| to.compute = ComputeType::F32),
        (Field::ContextLength, |to, context| {
            to.context_length = Some(context.div_ceil(2));
        }),
        (Field::PrefillChunk, |to, _| to.prefill_chunk = Some(3)),
        (Field::MaxConcurrent, |to, _| to.max_concurrent = Some(2)),
        (Field::CacheLimitBytes, |to, _| {
            to.cache_limit_bytes = Some(1 << 20);
        }),
    ];
    let prompt = subject.prompt();
    for (asked, change) in set {
        let mut options = usual.clone();
        change(&mut options, context);
        match load(subject, options.clone(), Progress::silent())? {
            Ok(engine) => {
                ensure_honoured(engine.as_ref(), asked, &options)?;
                let request = GenerateRequest::text(prompt.as_str())
                    .with_params(subject.greedy_params().with_max_tokens(2));
                block_on(engine.complete(request))
                    .or_fail(&format!("generate with {asked} set"))?;
                unload(&engine)?;
            }
            Err(Error::Unsupported { field, .. }) => {
                ensure!(field == asked, "{asked} was set, and {field} was refused");
            }
            // A device that this machine does not have.
            Err(Error::Unavailable { .. }) if asked == Field::Device => {}
            Err(error) => fail!("{asked} gave another error: {}", in_words(&error)),
        }
    }
    Ok(())
}

/// What shows in info or capabilities when an option is honoured.
fn ensure_honoured(engine: &dyn Engine, asked: Field, options: &LoadOptions) -> CaseResult {
    let info = &engine.info().model;
    let honoured = match asked {
        Field::Compute => info.compute == options.compute,
        Field::ContextLength => Some(info.context_length as u32) == options.context_length,
        Field::MaxConcurrent => {
            Some(engine.capabilities().concurrent_generations) == options.max_concurrent
        }
        _ => true,
    };
    ensure!(
        honoured,
        "{asked} was accepted and not honoured: {info:?}, {:?}",
        engine.capabilities()
    );
    Ok(())
}

fn a_load_option_out_of_range_is_refused(subject: &mut Subject) -> CaseResult {
    let usual = options(subject)?;
    let set: [(Field, Change); 3] = [
        (Field::ContextLength, |to, _| to.context_length = Some(0)),
        (Field::PrefillChunk, |to, _| to.prefill_chunk = Some(0)),
        (Field::MaxConcurrent, |to, _| to.max_concurrent = Some(0)),
    ];
    for (expected, change) in set {
        let mut options = usual.clone();
        change(&mut options, 0);
        match load(subject, options, Progress::silent())? {
            Err(Error::InvalidParameter { field, .. } | Error::Unsupported { field, .. })
                if field == expected => {}
            Err(error) => fail!("{expected} of 0 gave another error: {}", in_words(&error)),
            Ok(_) => fail!("{expected} of 0 was accepted"),
        }
    }
    Ok(())
}

/// Loads with one option, and skips the case if the backend refuses it.
fn load_with(
    subject: &Subject,
    asked: Field,
    change: impl Fn(&mut LoadOptions),
) -> CaseResult<Arc<dyn Engine>> {
    let mut options = options(subject)?;
    change(&mut options);
    match load(subject, options, Progress::silent())? {
        Err(Error::Unsupported { field, .. }) if field == asked => Err(Stop::NotApplicable(
            format!("the backend does not support {asked}"),
        )),
        result => result.or_fail(&format!("load with {asked} set")),
    }
}

fn a_smaller_context_holds_prompt_and_answer(subject: &mut Subject) -> CaseResult {
    const CONTEXT: usize = 48;
    let engine = load_with(subject, Field::ContextLength, |options| {
        options.context_length = Some(CONTEXT as u32);
    })?;
    let token = engine.tokenize(&subject.prompt()).or_fail("tokenize")?[0];
    let mut params = subject.long_params()?;
    // Far beyond the context, and not so far that an engine which ignores it never ends.
    params.max_tokens = 2 * CONTEXT as u32;
    let ask = |count: usize| {
        let request =
            GenerateRequest::new(Prompt::Tokens(vec![token; count])).with_params(params.clone());
        let stream = engine.stream(request).or_fail("start a generation")?;
        Ok(block_on(Recording::of(stream)))
    };
    match ask(CONTEXT)?.into_error()? {
        Error::ContextOverflow { .. } => {}
        error => fail!("too long a prompt gave another error: {}", in_words(&error)),
    }
    for prompt_tokens in [CONTEXT - 1, CONTEXT - 5] {
        let answer = ask(prompt_tokens)?.into_answer()?;
        let by_itself = matches!(answer.finish(), FinishReason::EndOfText(_));
        let held = prompt_tokens + answer.tokens.len();
        ensure!(
            by_itself && held <= CONTEXT
                || *answer.finish() == FinishReason::ContextFull && held == CONTEXT,
            "a context of {CONTEXT} took {prompt_tokens} tokens of a prompt and {} of an answer \
             that ended with {}",
            answer.tokens.len(),
            answer.finish().name()
        );
    }
    unload(&engine)
}

fn one_generation_at_a_time_can_be_asked_for(subject: &mut Subject) -> CaseResult {
    let engine = load_with(subject, Field::MaxConcurrent, |options| {
        options.max_concurrent = Some(1);
    })?;
    ensure!(
        engine.capabilities().concurrent_generations == 1,
        "one generation at a time was asked for, and the engine claims {}",
        engine.capabilities().concurrent_generations
    );
    let request = GenerateRequest::text(subject.prompt()).with_params(subject.greedy_params());
    let first = engine.stream(request.clone()).or_fail("start")?;
    let second = engine.stream(request).or_fail("start a second one")?;
    let (first, second) = block_on(futures_util::future::join(
        Recording::of(first),
        Recording::of(second),
    ));
    let (first, second) = (first.into_answer()?, second.into_answer()?);
    ensure!(
        first.is_same_as(&second),
        "one after another came {} and {}",
        first.in_words(),
        second.in_words()
    );
    unload(&engine)
}

fn a_cancelled_load_ends_and_another_one_works(subject: &mut Subject) -> CaseResult {
    let handle = Arc::new(Mutex::new(None::<Progress>));
    let ready = Arc::new(Mutex::new(false));
    let (inner, saw_ready) = (Arc::clone(&handle), Arc::clone(&ready));
    // The load is cancelled by its own first report.
    let progress = Progress::new(move |event| {
        if event.stage == LoadStage::Ready {
            *saw_ready.lock().unwrap_or_else(PoisonError::into_inner) = true;
        }
        if let Some(progress) = &*inner.lock().unwrap_or_else(PoisonError::into_inner) {
            progress.cancel();
        }
    });
    *handle.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress.clone());
    let options = options(subject)?;
    let result = load(subject, options.clone(), progress)?;
    // The callback holds the handle, and the handle the callback.
    handle.lock().unwrap_or_else(PoisonError::into_inner).take();
    match result {
        Err(Error::Cancelled { .. }) => {}
        Err(error) => fail!("a cancelled load gave another error: {}", in_words(&error)),
        Ok(_) => fail!("a load that was cancelled at its first report went on to its end"),
    }
    ensure!(
        !*ready.lock().unwrap_or_else(PoisonError::into_inner),
        "a cancelled load reported that it is ready"
    );
    let engine = load(subject, options, Progress::silent())?.or_fail("load again")?;
    unload(&engine)
}

fn dropping_a_load_leaves_the_backend_usable(subject: &mut Subject) -> CaseResult {
    let (backend, request) = backend(subject)?;
    for _ in 0..2 {
        // Once before it is asked at all, once after.
        drop(backend.load(request.clone(), Progress::silent()));
        drop(
            backend
                .load(request.clone(), Progress::silent())
                .now_or_never(),
        );
    }
    let engine = load(subject, request.options, Progress::silent())?.or_fail("load")?;
    unload(&engine)
}
