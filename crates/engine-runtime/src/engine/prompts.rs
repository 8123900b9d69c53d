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
    command::Command,
    events::EventSender,
    generation::{Generation, Prepared, check_tokens},
};
use crate::{Sampler, TextPipeline};

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
    for Arrival {
        request,
        events,
        arrived,
    } in arrivals
    {
        if events.is_closed() {
            continue;
        }
        match prepare(request, arrived, text, model) {
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
    model: &ModelInfo,
) -> Result<Prepared> {
    let (prompt, params, ignored) = request.into_parts();
    let prompt = tokens(prompt, text)?;
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
    let constraint = params
        .constraint
        .as_ref()
        .map(|constraint| text.constrain(constraint))
        .transpose()?;
    let classes = text.token_classes(&params)?;
    tracing::debug!(
        prompt_tokens = prompt.len(),
        max_tokens = params.max_tokens,
        "generation accepted"
    );
    Ok(Prepared {
        answer: Answer::new(text.detokenizer(), &params.stop),
        sampler: Sampler::new(&model.backend.name, &params, &prompt, classes)?,
        constraint,
        end_tokens: if params.ignore_eos {
            Vec::new()
        } else {
            text.eos_tokens().to_vec()
        },
        context_length: model.context_length,
        arrived,
        prompt,
        params,
        ignored,
    })
}

fn tokens(prompt: Prompt, text: &TextPipeline) -> Result<Vec<TokenId>> {
    let tokens = match prompt {
        Prompt::Tokens(tokens) => tokens,
        Prompt::Text(prompt) => text.encode_prompt(&prompt)?,
        Prompt::Messages(messages) => text.encode(&text.render_chat(&messages)?, false)?,
        _ => {
            return Err(Error::Tokenizer {
                reason: "this kind of prompt is not known here".to_owned(),
            });
        }
    };
    if tokens.is_empty() {
        return Err(Error::InvalidParameter {
            field: Field::Prompt,
            value: "a text without tokens".to_owned(),
            expected: Cow::Borrowed("a text of at least one token"),
        });
    }
    Ok(tokens)
}
