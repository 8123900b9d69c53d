//! Making a chat fit into the context.

use std::ops::Range;

use engine_core::{Error, GenerateParams};

use super::{
    error::ChatResult,
    history::History,
    options::{ChatOptions, Overflow},
};
use crate::InferenceEngine;

/// Leaves out the oldest turns, if that is the policy and it takes that; says which messages the
/// model no longer reads.
pub(super) fn fit(
    history: &mut History,
    engine: &InferenceEngine,
    options: &ChatOptions,
    params: &GenerateParams,
) -> ChatResult<Option<Range<usize>>> {
    if options.overflow == Overflow::Refuse {
        return Ok(None);
    }
    let context = engine.info().model.context_length;
    let room = options
        .answer_room
        .unwrap_or_else(|| (params.max_tokens as usize).min(context / 4));
    // Room for one token at least: a prompt that fills the context is refused.
    let most = context.saturating_sub(room.max(1));
    let prompt_tokens = |history: &History| prompt_tokens(history, engine, options, params);
    if prompt_tokens(history)? <= most {
        return Ok(None);
    }
    let begin = history.left_out();
    let target = most.min(context / 2);
    loop {
        let left_out = history.leave_out_a_turn();
        let tokens = prompt_tokens(history)?;
        if tokens <= target || (left_out.is_none() && tokens <= most) {
            return Ok(Some(begin..history.left_out()));
        }
        if left_out.is_none() {
            return Err(Error::ContextOverflow {
                prompt_tokens: tokens,
                context_length: context,
            }
            .into());
        }
    }
}

/// Tokens of the rendered chat; a token too many where the template itself begins the text.
fn prompt_tokens(
    history: &History,
    engine: &InferenceEngine,
    options: &ChatOptions,
    params: &GenerateParams,
) -> ChatResult<usize> {
    let request = options.request(history.read(), params.clone());
    let text = engine.prompt_text(request)?.unwrap_or_default();
    Ok(engine.tokenize(&text)?.len())
}
