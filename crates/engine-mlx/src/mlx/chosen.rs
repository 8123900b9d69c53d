//! Tokens that the device has chosen and nobody has read yet.

use std::{collections::HashMap, rc::Rc};

use engine_core::{DeviceToken, Error, Result, TokenId};
use mlx_rs::Array;

use super::{
    exception::{Doing, MlxResult},
    slices,
};
use crate::backend::NAME;

/// What one step chose: a token for each of its runs.
#[derive(Debug)]
struct Step {
    /// `[runs]`, u32.
    tokens: Array,
    /// `[runs]`, f32: the logits of the tokens.
    logits: Array,
}

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    step: Rc<Step>,
    run: usize,
}

impl Choice {
    /// Waits for the token.
    fn read(&self) -> Result<TokenId> {
        let operation = "evaluate a step";
        let logits = self.step.logits.to_vec_exact::<f32>().doing(operation)?;
        let tokens = self.step.tokens.to_vec_exact::<u32>().doing(operation)?;
        // Of logits that are not all numbers no token is the likeliest.
        match logits.get(self.run).zip(tokens.get(self.run)) {
            Some((logit, token)) if logit.is_finite() => Ok(*token),
            Some((logit, _)) => Err(Error::backend(
                NAME,
                operation,
                format!(
                    "the largest logit is {logit}: the weights are damaged, or the compute type \
                     is too small for them"
                ),
            )),
            None => Err(Error::backend(NAME, operation, "the step chose no token")),
        }
    }
}

/// The choices that wait to be read, by the numbers given out for them.
#[derive(Debug, Default)]
pub(super) struct Choices {
    waiting: HashMap<DeviceToken, Choice>,
    given_out: u64,
}

impl Choices {
    /// Keeps a step's choices: tokens and logits of `runs` runs.
    pub(super) fn keep(&mut self, tokens: Array, logits: Array, runs: usize) -> Vec<DeviceToken> {
        let step = Rc::new(Step { tokens, logits });
        (0..runs)
            .map(|run| {
                self.given_out += 1;
                let token = DeviceToken::new(self.given_out);
                let step = Rc::clone(&step);
                self.waiting.insert(token, Choice { step, run });
                token
            })
            .collect()
    }

    /// A choice that is still to be read.
    pub(super) fn get(&self, token: DeviceToken) -> Result<&Choice> {
        self.waiting.get(&token).ok_or_else(|| unknown(token))
    }

    /// Waits for a token, and forgets it.
    pub(super) fn read(&mut self, token: DeviceToken) -> Result<TokenId> {
        self.waiting
            .remove(&token)
            .ok_or_else(|| unknown(token))?
            .read()
    }

    pub(super) fn discard(&mut self, token: DeviceToken) {
        self.waiting.remove(&token);
    }
}

/// The tokens of several choices as one array `[choices]`; none is waited for.
pub(super) fn as_inputs(choices: &[&Choice]) -> MlxResult<Array> {
    if let Some(first) = choices.first()
        && first.step.tokens.dim(0) as usize == choices.len()
        && choices
            .iter()
            .enumerate()
            .all(|(run, choice)| choice.run == run && Rc::ptr_eq(&choice.step, &first.step))
    {
        return Ok(first.step.tokens.clone());
    }
    let tokens = choices
        .iter()
        .map(|choice| {
            let run = choice.run as i32;
            slices::rows(&choice.step.tokens, run..run + 1)
        })
        .collect::<MlxResult<Vec<_>>>()?;
    mlx_rs::ops::concatenate(&tokens, 0)
}

fn unknown(token: DeviceToken) -> Error {
    Error::backend(
        NAME,
        "use a token chosen on the device",
        format!("token {} was read, dropped or never chosen", token.get()),
    )
}
