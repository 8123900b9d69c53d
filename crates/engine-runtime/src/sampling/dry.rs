//! DRY: penalties for tokens that would prolong a repetition.

use engine_core::{Dry, TokenId};

use super::TokenClasses;

/// Finds repetitions in prompt and answer.
#[derive(Debug)]
pub(super) struct Repetitions {
    multiplier: f32,
    base: f32,
    allowed_length: usize,
    range: usize,
    /// Prompt and answer.
    history: Vec<TokenId>,
    /// Whether the token at the same place in `history` breaks a repetition.
    breaks: Vec<bool>,
    /// Tokens with a penalty, and the length of the repetition that each would prolong.
    found: Vec<(TokenId, usize)>,
}

impl Repetitions {
    pub(super) fn new(dry: &Dry, prompt: &[TokenId], classes: &TokenClasses) -> Self {
        let mut repetitions = Self {
            multiplier: dry.multiplier,
            base: dry.base,
            allowed_length: dry.allowed_length as usize,
            range: dry.range.map_or(usize::MAX, |range| range as usize),
            history: Vec::with_capacity(prompt.len()),
            breaks: Vec::with_capacity(prompt.len()),
            found: Vec::new(),
        };
        for token in prompt {
            repetitions.note(*token, classes);
        }
        repetitions
    }

    /// Adds a generated token.
    pub(super) fn note(&mut self, token: TokenId, classes: &TokenClasses) {
        self.history.push(token);
        self.breaks.push(classes.breakers.contains(&token));
    }

    /// Looks for what the next token could repeat.
    pub(super) fn find(&mut self) {
        self.found.clear();
        let from = self.history.len().saturating_sub(self.range);
        let (text, breaks) = (&self.history[from..], &self.breaks[from..]);
        let (Some((last, before)), Some(false)) = (text.split_last(), breaks.last()) else {
            return;
        };
        for end in (0..before.len()).filter(|index| before[*index] == *last) {
            // What came after the earlier place would come again.
            let next = text[end + 1];
            if breaks[end + 1] {
                continue;
            }
            let longest = (end + 1).min(Dry::LONGEST as usize);
            let length = 1
                + (1..longest)
                    .take_while(|back| {
                        let (earlier, now) = (end - back, text.len() - 1 - back);
                        text[earlier] == text[now] && !breaks[now]
                    })
                    .count();
            if length < self.allowed_length {
                continue;
            }
            match self.found.iter_mut().find(|(token, _)| *token == next) {
                Some((_, longest)) => *longest = length.max(*longest),
                None => self.found.push((next, length)),
            }
        }
    }

    /// The tokens found and what is subtracted from their logits.
    pub(super) fn penalties(&self) -> impl Iterator<Item = (TokenId, f32)> + '_ {
        self.found.iter().map(|(token, length)| {
            let excess = (length - self.allowed_length) as i32;
            (*token, self.multiplier * self.base.powi(excess))
        })
    }
}
