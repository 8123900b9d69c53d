//! Requests that begin like earlier ones.

use std::path::PathBuf;

use engine_core::{Error, Field, Prompt, TokenId};
use futures_executor::block_on;
use futures_util::future::join_all;

use super::{
    recording::{Answer, Recording, first_delta},
    subject::Subject,
};
use crate::case::{Case, CaseResult, OrFail, Stop, cases, ensure, fail, in_words};

pub(super) const CASES: &[Case<Subject>] = cases![
    cached_tokens_are_part_of_the_prompt,
    a_repeated_prompt_is_answered_alike,
    a_prompt_that_goes_on_is_answered_as_without_a_cache,
    a_divergent_prompt_is_answered_as_without_a_cache,
    a_cancelled_generation_leaves_a_sound_cache,
    concurrent_prompts_that_begin_alike_are_answered_as_without_a_cache,
    trimming_empties_the_prompt_cache,
    a_saved_prompt_cache_goes_on_alike,
    a_damaged_prompt_cache_is_refused,
];

/// Skips the case if the engine reads every prompt from its beginning.
fn needs_a_cache(subject: &mut Subject) -> CaseResult {
    let prompt = subject.prompt();
    subject.greedy(&prompt)?;
    let params = subject.greedy_params();
    let again = subject.answer(prompt, params)?;
    if again.summary.usage.cached_prompt_tokens == 0 {
        return Err(Stop::NotApplicable(
            "the engine reads a repeated prompt from its beginning".to_owned(),
        ));
    }
    Ok(())
}

/// The greedy answer of an engine that remembers nothing.
fn without_a_cache(subject: &mut Subject, tokens: &[TokenId]) -> CaseResult<Answer> {
    trim(subject)?;
    let params = subject.greedy_params();
    let answer = subject.answer(Prompt::Tokens(tokens.to_vec()), params)?;
    let cached = answer.summary.usage.cached_prompt_tokens;
    ensure!(
        cached == 0,
        "{cached} tokens of a prompt are cached right after trimming"
    );
    Ok(answer)
}

fn trim(subject: &mut Subject) -> CaseResult {
    block_on(subject.engine()?.trim()).or_fail("trim")
}

fn ensure_alike(subject: &Subject, what: &str, answer: &Answer, expected: &Answer) -> CaseResult {
    let agreement = subject.settings.agreement;
    let alike = if agreement < expected.tokens.len() {
        answer.tokens.starts_with(&expected.tokens[..agreement])
    } else {
        answer.is_same_as(expected)
    };
    ensure!(
        alike,
        "{what} the answer is {} instead of {}",
        answer.in_words(),
        expected.in_words()
    );
    Ok(())
}

fn prompt_tokens(subject: &mut Subject) -> CaseResult<Vec<TokenId>> {
    let prompt = subject.prompt();
    subject.engine()?.tokenize(&prompt).or_fail("tokenize")
}

fn cached_tokens_are_part_of_the_prompt(subject: &mut Subject) -> CaseResult {
    for prompt in subject.prompts() {
        let params = subject.greedy_params();
        for _ in 0..2 {
            let usage = subject
                .answer(prompt.as_str(), params.clone())?
                .summary
                .usage;
            ensure!(
                usage.cached_prompt_tokens < usage.prompt_tokens,
                "{} tokens of a prompt of {} came from a cache, and its last one must be read",
                usage.cached_prompt_tokens,
                usage.prompt_tokens
            );
        }
    }
    Ok(())
}

fn a_repeated_prompt_is_answered_alike(subject: &mut Subject) -> CaseResult {
    needs_a_cache(subject)?;
    let tokens = prompt_tokens(subject)?;
    let expected = without_a_cache(subject, &tokens)?;
    let params = subject.greedy_params();
    let answer = subject.answer(Prompt::Tokens(tokens.clone()), params)?;
    ensure_alike(subject, "to a repeated prompt", &answer, &expected)?;
    let cached = answer.summary.usage.cached_prompt_tokens;
    ensure!(
        cached + 1 == tokens.len(),
        "{cached} of {} tokens of a repeated prompt are cached",
        tokens.len()
    );
    Ok(())
}

fn a_prompt_that_goes_on_is_answered_as_without_a_cache(subject: &mut Subject) -> CaseResult {
    needs_a_cache(subject)?;
    let begin = prompt_tokens(subject)?;
    let first = without_a_cache(subject, &begin)?;
    let longer = [&begin[..], &first.tokens, &begin].concat();
    let expected = without_a_cache(subject, &longer)?;
    without_a_cache(subject, &begin)?;
    let params = subject.greedy_params();
    let answer = subject.answer(Prompt::Tokens(longer), params)?;
    ensure_alike(subject, "to a prompt that goes on", &answer, &expected)?;
    let cached = answer.summary.usage.cached_prompt_tokens;
    let read = begin.len() + first.tokens.len() - 1;
    ensure!(
        cached >= read,
        "{cached} tokens are cached of a prompt whose first {read} had been read"
    );
    Ok(())
}

fn a_divergent_prompt_is_answered_as_without_a_cache(subject: &mut Subject) -> CaseResult {
    needs_a_cache(subject)?;
    let begin = [prompt_tokens(subject)?, prompt_tokens(subject)?].concat();
    let cut = begin.len() - 2;
    let divergent = [&begin[..cut], &begin[..2]].concat();
    let expected = without_a_cache(subject, &divergent)?;
    let of_begin = without_a_cache(subject, &begin)?;
    let params = subject.greedy_params();
    let answer = subject.answer(Prompt::Tokens(divergent), params.clone())?;
    ensure_alike(subject, "to a divergent prompt", &answer, &expected)?;
    let back = subject.answer(Prompt::Tokens(begin), params)?;
    ensure_alike(
        subject,
        "to a prompt that another one diverged from",
        &back,
        &of_begin,
    )
}

fn a_cancelled_generation_leaves_a_sound_cache(subject: &mut Subject) -> CaseResult {
    needs_a_cache(subject)?;
    let begin = prompt_tokens(subject)?;
    let expected = without_a_cache(subject, &begin)?;
    let longer = [&begin[..], &begin].concat();
    let of_longer = without_a_cache(subject, &longer)?;
    trim(subject)?;
    for _ in 0..2 {
        let params = subject.long_params()?;
        let mut stream = subject.start(Prompt::Tokens(begin.clone()), params)?;
        block_on(first_delta(&mut stream))?;
        drop(stream);
        for (tokens, expected) in [(&begin, &expected), (&longer, &of_longer)] {
            let params = subject.greedy_params();
            let answer = subject.answer(Prompt::Tokens(tokens.clone()), params)?;
            ensure_alike(subject, "after a cancellation", &answer, expected)?;
        }
    }
    Ok(())
}

fn concurrent_prompts_that_begin_alike_are_answered_as_without_a_cache(
    subject: &mut Subject,
) -> CaseResult {
    needs_a_cache(subject)?;
    let begin = prompt_tokens(subject)?;
    let prompts: Vec<Vec<TokenId>> = (0..4)
        .map(|more| [&begin[..], &begin[..more]].concat())
        .collect();
    let mut expected = Vec::new();
    for prompt in &prompts {
        expected.push(without_a_cache(subject, prompt)?);
    }
    trim(subject)?;
    for round in ["at first", "then"] {
        let mut streams = Vec::new();
        for prompt in &prompts {
            let params = subject.greedy_params();
            streams.push(subject.start(Prompt::Tokens(prompt.clone()), params)?);
        }
        let recordings = block_on(join_all(streams.into_iter().map(Recording::of)));
        for (recording, expected) in recordings.into_iter().zip(&expected) {
            let answer = recording.into_answer()?;
            ensure_alike(
                subject,
                &format!("beside others, {round}"),
                &answer,
                expected,
            )?;
        }
    }
    Ok(())
}

fn trimming_empties_the_prompt_cache(subject: &mut Subject) -> CaseResult {
    needs_a_cache(subject)?;
    let engine = subject.engine()?;
    let full = block_on(engine.memory()).or_fail("ask for the memory")?;
    ensure!(
        full.cached_prompts > 0 && full.prompt_cache_bytes <= full.kv_bytes,
        "{} prompts with {} bytes are reported in a cache that served one, of {} in all",
        full.cached_prompts,
        full.prompt_cache_bytes,
        full.kv_bytes
    );
    trim(subject)?;
    let empty = block_on(engine.memory()).or_fail("ask for the memory")?;
    ensure!(
        empty.cached_prompts == 0 && empty.prompt_cache_bytes == 0,
        "{} prompts with {} bytes are left after trimming",
        empty.cached_prompts,
        empty.prompt_cache_bytes
    );
    let tokens = prompt_tokens(subject)?;
    without_a_cache(subject, &tokens)?;
    Ok(())
}

/// A file that goes when it is dropped.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> Self {
        let name = format!(
            "{name}-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        );
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Saves the cache; the case is skipped if the engine can't.
fn save(subject: &mut Subject, file: &File) -> CaseResult<engine_core::PromptCacheReport> {
    match block_on(subject.engine()?.save_prompt_cache(&file.0)) {
        Err(Error::Unsupported {
            field: Field::PromptCache,
            ..
        }) => Err(Stop::NotApplicable(
            "the engine saves no prompts".to_owned(),
        )),
        other => other.or_fail("save the prompt cache"),
    }
}

fn a_saved_prompt_cache_goes_on_alike(subject: &mut Subject) -> CaseResult {
    needs_a_cache(subject)?;
    let tokens = prompt_tokens(subject)?;
    let expected = without_a_cache(subject, &tokens)?;
    let file = File::new("conformance-prompts");
    let saved = save(subject, &file)?;
    trim(subject)?;
    let engine = subject.engine()?;
    let loaded = block_on(engine.load_prompt_cache(&file.0)).or_fail("load the prompt cache")?;
    ensure!(
        saved == loaded && saved.prompts > 0,
        "{saved:?} was saved, and {loaded:?} loaded"
    );
    let params = subject.greedy_params();
    let answer = subject.answer(Prompt::Tokens(tokens.clone()), params)?;
    ensure_alike(subject, "from a loaded cache", &answer, &expected)?;
    let cached = answer.summary.usage.cached_prompt_tokens;
    ensure!(
        cached + 1 == tokens.len(),
        "{cached} of {} tokens come from a loaded cache that has the prompt",
        tokens.len()
    );
    Ok(())
}

fn a_damaged_prompt_cache_is_refused(subject: &mut Subject) -> CaseResult {
    needs_a_cache(subject)?;
    let file = File::new("conformance-damaged-prompts");
    save(subject, &file)?;
    let whole = std::fs::read(&file.0)
        .map_err(|error| Stop::Failed(format!("the saved prompts can't be read: {error}")))?;
    trim(subject)?;
    let engine = subject.engine()?;
    for damaged in [&whole[..whole.len() / 2], &whole[..whole.len() - 1], &[]] {
        std::fs::write(&file.0, damaged)
            .map_err(|error| Stop::Failed(format!("no file can be written: {error}")))?;
        match block_on(engine.load_prompt_cache(&file.0)) {
            Err(Error::InvalidState { .. }) => {}
            Err(error) => fail!("a damaged file gave another error: {}", in_words(&error)),
            Ok(_) => fail!("a file cut to {} bytes was loaded", damaged.len()),
        }
    }
    let memory = block_on(engine.memory()).or_fail("ask for the memory")?;
    ensure!(
        memory.cached_prompts == 0,
        "{} prompts of damaged files are cached",
        memory.cached_prompts
    );
    subject.ensure_usable("after damaged files were refused")
}
