//! What several cases look for in answers.

use engine_core::{Engine, GenerateParams, Prompt, TokenId};

use super::{recording::Answer, subject::Subject};
use crate::case::{CaseResult, OrFail, ensure};

/// What a decoder puts in place of bytes that are no character.
pub(super) const REPLACEMENT: char = '\u{FFFD}';

/// Seeds that are tried until an effect shows. The first difference ends the search.
pub(super) const SEEDS: std::ops::Range<u64> = 0..16;

/// The lengths at which the tokens, cut there, end inside a character.
pub(super) fn cuts_inside_characters(
    engine: &dyn Engine,
    tokens: &[TokenId],
) -> CaseResult<Vec<usize>> {
    let mut cuts = Vec::new();
    for len in 1..tokens.len() {
        let text = engine.detokenize(&tokens[..len]).or_fail("detokenize")?;
        let more = engine
            .detokenize(&tokens[..(len + 4).min(tokens.len())])
            .or_fail("detokenize")?;
        // A model may also write bytes that never become a character.
        if text.ends_with(REPLACEMENT) && !more.starts_with(&text) {
            cuts.push(len);
        }
    }
    Ok(cuts)
}

/// Whether the two settings give different answers for some prompt under some seed; both get the
/// same seed.
pub(super) fn differs_for_some_seed(
    subject: &mut Subject,
    base: impl Fn(&Subject, u64) -> GenerateParams,
    change: impl Fn(&mut GenerateParams),
) -> CaseResult<bool> {
    for seed in SEEDS {
        for prompt in subject.prompts() {
            let params = base(subject, seed);
            let mut changed = params.clone();
            change(&mut changed);
            let before = subject.answer(prompt.as_str(), params)?;
            let after = subject.answer(prompt.as_str(), changed)?;
            if !after.is_same_as(&before) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// A prompt and a seed under which the model's own distribution gives another answer than the
/// likeliest one.
pub(super) fn wandering_seed(subject: &mut Subject) -> CaseResult<Option<(String, u64)>> {
    for seed in SEEDS {
        for prompt in subject.prompts() {
            let greedy = subject.greedy(&prompt)?;
            let params = subject.sampled_params(seed);
            if !subject.answer(prompt.as_str(), params)?.is_same_as(&greedy) {
                return Ok(Some((prompt, seed)));
            }
        }
    }
    Ok(None)
}

/// Fails unless the same request gives the same answer again.
pub(super) fn ensure_repeats(
    subject: &mut Subject,
    what: &str,
    prompt: impl Into<Prompt>,
    params: GenerateParams,
) -> CaseResult<Answer> {
    let prompt = prompt.into();
    let first = subject.answer(prompt.clone(), params.clone())?;
    let second = subject.answer(prompt, params)?;
    ensure!(
        second.is_same_as(&first),
        "{what} gave {} and then {}",
        first.in_words(),
        second.in_words()
    );
    Ok(first)
}
