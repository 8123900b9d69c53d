//! Info, memory, and the end of an engine.

use engine_core::{Engine, EngineExt, Error, GenerateRequest};
use futures_executor::block_on;
use futures_util::future::join;

use super::{
    recording::{Recording, first_delta},
    subject::Subject,
};
use crate::case::{Case, CaseResult, OrFail, cases, ensure, fail, in_words};

pub(super) const CASES: &[Case<Subject>] = cases![
    info_and_capabilities_are_constant,
    info_makes_sense,
    memory_makes_sense,
    trimming_changes_no_answer,
    unloading_can_be_repeated,
    generating_after_unloading_is_an_error,
    unloading_ends_a_running_generation,
    dropping_the_last_handle_ends_a_running_generation,
];

fn info_and_capabilities_are_constant(subject: &mut Subject) -> CaseResult {
    let engine = subject.engine()?;
    let (info, capabilities) = (engine.info().clone(), engine.capabilities());
    let prompt = subject.prompt();
    let params = subject.greedy_params();
    subject.answer(prompt, params)?;
    ensure!(
        *engine.info() == info,
        "info changed from {info:?} to {:?}",
        engine.info()
    );
    ensure!(
        engine.capabilities() == capabilities,
        "the capabilities changed from {capabilities:?} to {:?}",
        engine.capabilities()
    );
    Ok(())
}

fn info_makes_sense(subject: &mut Subject) -> CaseResult {
    let engine = subject.engine()?;
    let (info, capabilities) = (engine.info(), engine.capabilities());
    for (what, text) in [
        ("model's", &info.name),
        ("backend's", &info.model.backend.name),
        ("backend's version's", &info.model.backend.version),
        ("device's", &info.model.device),
        ("architecture's", &info.model.architecture),
    ] {
        ensure!(!text.trim().is_empty(), "the {what} name is blank");
    }
    ensure!(
        info.model.vocab_size > 0 && info.model.context_length > 0,
        "the vocabulary or the context is empty: {info:?}"
    );
    ensure!(
        capabilities.simulated == info.model.backend.simulated,
        "simulated is {} in the capabilities and {} in info",
        capabilities.simulated,
        info.model.backend.simulated
    );
    ensure!(
        capabilities.concurrent_generations >= 1,
        "the engine claims to run no generation at a time"
    );
    Ok(())
}

fn memory_makes_sense(subject: &mut Subject) -> CaseResult {
    subject.idle_sequences()?;
    let engine = subject.engine()?;
    let memory = block_on(engine.memory()).or_fail("ask for the memory")?;
    ensure!(
        memory.weight_bytes == engine.info().model.weight_bytes,
        "the weights take {} bytes in the report and {} in info",
        memory.weight_bytes,
        engine.info().model.weight_bytes
    );
    if let (Some(active), Some(peak)) = (memory.active_bytes, memory.peak_bytes) {
        ensure!(
            active <= peak,
            "{active} bytes are in use, and the most ever was {peak}"
        );
    }
    let (prompt, params) = (subject.prompt(), subject.long_params()?);
    let mut stream = subject.start(prompt, params)?;
    block_on(first_delta(&mut stream))?;
    let running = block_on(engine.memory()).or_fail("ask for the memory")?;
    ensure!(
        running.kv_bytes >= memory.kv_bytes,
        "the caches shrank from {} to {} bytes when a generation began",
        memory.kv_bytes,
        running.kv_bytes
    );
    Ok(())
}

fn trimming_changes_no_answer(subject: &mut Subject) -> CaseResult {
    let prompt = subject.prompt();
    let expected = subject.greedy(&prompt)?;
    let engine = subject.engine()?;
    block_on(engine.trim()).or_fail("trim")?;
    subject.ensure_usable("after trimming")?;
    let params = subject.greedy_params();
    let stream = subject.start(prompt, params)?;
    let (trimmed, recording) = block_on(join(engine.trim(), Recording::of(stream)));
    trimmed.or_fail("trim while a generation runs")?;
    let answer = recording.into_answer()?;
    ensure!(
        answer.is_same_as(&expected),
        "trimming while a generation ran changed its answer from {} to {}",
        expected.in_words(),
        answer.in_words()
    );
    Ok(())
}

fn unloading_can_be_repeated(subject: &mut Subject) -> CaseResult {
    let engine = subject.take_engine()?;
    block_on(engine.unload()).or_fail("unload")?;
    block_on(engine.unload()).or_fail("unload again")?;
    let (second, third) = block_on(join(engine.unload(), engine.unload()));
    second.or_fail("unload twice at once")?;
    third.or_fail("unload twice at once")
}

fn generating_after_unloading_is_an_error(subject: &mut Subject) -> CaseResult {
    let request = GenerateRequest::text(subject.prompt()).with_params(subject.greedy_params());
    let engine = subject.take_engine()?;
    let name = engine.info().name.clone();
    block_on(engine.unload()).or_fail("unload")?;
    match engine.stream(request) {
        Err(Error::Unloaded { model }) => ensure!(
            model == name,
            "the model {name} is unloaded, and the error names {model}"
        ),
        Err(error) => fail!(
            "an unloaded engine gave another error: {}",
            in_words(&error)
        ),
        Ok(_) => fail!("an unloaded engine started a generation"),
    }
    Ok(())
}

fn unloading_ends_a_running_generation(subject: &mut Subject) -> CaseResult {
    let (prompt, params) = (subject.prompt(), subject.endless_params()?);
    let mut stream = subject.start(prompt, params)?;
    let engine = subject.take_engine()?;
    block_on(first_delta(&mut stream))?;
    let (unloaded, recording) = block_on(join(engine.unload(), Recording::of(stream)));
    unloaded.or_fail("unload while a generation runs")?;
    ensure_ended_by_unloading(recording)
}

fn ensure_ended_by_unloading(recording: Recording) -> CaseResult {
    let after = recording.after_the_end.join("; ");
    match recording.into_error()? {
        Error::Unloaded { .. } => {}
        error => fail!(
            "the generation ended in another error: {}",
            in_words(&error)
        ),
    }
    ensure!(after.is_empty(), "after the error came {after}");
    Ok(())
}

fn dropping_the_last_handle_ends_a_running_generation(subject: &mut Subject) -> CaseResult {
    let (prompt, params) = (subject.prompt(), subject.endless_params()?);
    let mut stream = subject.start(prompt, params)?;
    let engine = subject.take_engine()?;
    block_on(first_delta(&mut stream))?;
    drop::<std::sync::Arc<dyn Engine>>(engine);
    ensure_ended_by_unloading(block_on(Recording::of(stream)))
}
