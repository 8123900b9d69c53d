//! The thread that turns requests into tokens, so that a long prompt delays neither its caller nor
//! the generations that run.

use std::{
    borrow::Cow,
    sync::mpsc::{Receiver, Sender},
    time::Instant,
};

use engine_core::{Error, Field, ModelInfo, Prompt, Result, TokenId, ValidRequest};

use super::{
    answer::Answer,
    budget::Budget,
    chat,
    command::Command,
    events::EventSender,
    forced_call,
    generation::{Generation, Prepared, check_tokens},
};
use crate::{Sampler, TextPipeline, text::KnownPrompts};

/// A request on its way to the model's thread.
pub(super) struct Arrival {
    pub(super) request: ValidRequest,
    pub(super) events: EventSender,
    pub(super) arrived: Instant,
}

/// Prepares requests in the order of their arrival until the last handle is gone.
pub(super) fn prepare_all(
    arrivals: &Receiver<Arrival>,
    commands: &Sender<Command>,
    text: &TextPipeline,
    model: &ModelInfo,
) {
    let mut chats = text.known_prompts();
    for Arrival {
        request,
        events,
        arrived,
    } in arrivals
    {
        if events.is_closed() {
            continue;
        }
        match prepare(request, arrived, text, &mut chats, model) {
            Ok(prepared) => {
                let generation = Box::new(Generation::new(prepared, events));
                // If the model is gone, dropping the generation tells its caller.
                let _ = commands.send(Command::Generate(generation));
            }
            Err(error) => {
                tracing::debug!(%error, "generation refused");
                events.send(Err(error));
            }
        }
    }
}

/// Tokenizes and checks one request.
fn prepare(
    request: ValidRequest,
    arrived: Instant,
    text: &TextPipeline,
    chats: &mut KnownPrompts,
    model: &ModelInfo,
) -> Result<Prepared> {
    let (tools, reasoning) = (request.tools().clone(), request.reasoning());
    let (prompt, params, ignored) = request.into_parts();
    let (prompt, answer, budget, forced_call) = match &prompt {
        Prompt::Messages(messages) => {
            let chat = chat::render(messages, &tools, reasoning, text)?;
            let budget = Budget::new(reasoning, &chat.grammar, text)?;
            let forced_call = forced_call::guide(&chat.grammar, &tools, text)?;
            let prompt = chats.encode(&chat.text)?;
            let answer = chat.into_answer(&params.stop, text);
            (prompt, answer, budget, forced_call)
        }
        _ => (
            tokens(prompt, text)?,
            Answer::plain(text.detokenizer(), &params.stop),
            None,
            None,
        ),
    };
    check_not_empty(&prompt)?;
    if prompt.len() >= model.context_length {
        return Err(Error::ContextOverflow {
            prompt_tokens: prompt.len(),
            context_length: model.context_length,
        });
    }
    check_tokens(&prompt, model.vocab_size)?;
    check_tokens(&params.stop_tokens, model.vocab_size)?;
    for token in params.logit_bias.keys() {
        check_tokens(&[*token], model.vocab_size)?;
    }
    // A valid request has one of the two at most.
    let constraint = match &params.constraint {
        Some(constraint) => Some(text.constrain(constraint)?),
        None => forced_call,
    };
    let end_tokens = if params.ignore_eos {
        Vec::new()
    } else {
        text.eos_tokens().to_vec()
    };
    let thinks_first = constraint.is_some() && answer.is_reasoning();
    let classes = text.token_classes(&params)?;
    tracing::debug!(
        prompt_tokens = prompt.len(),
        max_tokens = params.max_tokens,
        "generation accepted"
    );
    Ok(Prepared {
        answer,
        budget,
        sampler: Sampler::new(&model.backend.name, &params, &prompt, classes)?,
        constraint,
        thought_mask: thinks_first.then(|| all_but(&end_tokens, model.vocab_size)),
        end_tokens,
        borders: borders(&prompt, text.eos_tokens()),
        context_length: model.context_length,
        arrived,
        prompt,
        params,
        ignored,
    })
}

/// A mask of all tokens but these: one bit each, in words of 32, lowest first.
fn all_but(tokens: &[TokenId], vocab_size: usize) -> Vec<u32> {
    let mut mask = vec![u32::MAX; vocab_size.div_ceil(32)];
    for token in tokens {
        if let Some(word) = mask.get_mut(*token as usize / 32) {
            *word &= !(1 << (token % 32));
        }
    }
    mask
}

/// Where messages end, as far as their template ends them as the model does.
fn borders(prompt: &[TokenId], end_tokens: &[TokenId]) -> Vec<usize> {
    (1..prompt.len())
        .filter(|border| end_tokens.contains(&prompt[border - 1]))
        .collect()
}

fn tokens(prompt: Prompt, text: &TextPipeline) -> Result<Vec<TokenId>> {
    match prompt {
        Prompt::Tokens(tokens) => Ok(tokens),
        Prompt::Text(prompt) => text.encode_prompt(&prompt),
        _ => Err(Error::Tokenizer {
            reason: "this kind of prompt is not known here".to_owned(),
        }),
    }
}

fn check_not_empty(tokens: &[TokenId]) -> Result<()> {
    if tokens.is_empty() {
        return Err(Error::InvalidParameter {
            field: Field::Prompt,
            value: "a text without tokens".to_owned(),
            expected: Cow::Borrowed("a text of at least one token"),
        });
    }
    Ok(())
}
