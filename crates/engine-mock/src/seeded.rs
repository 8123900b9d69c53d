//! Made-up text: words drawn from a seed and from the tokens before.

use engine_core::TokenId;

use crate::{
    prefix::{Prefix, mix},
    vocabulary::Vocabulary,
};

/// What does not fit here at all. At ordinary temperatures it never comes up.
const UNFIT: f32 = -12.0;
/// Words since the last full stop are counted up to here.
const LONGEST_SENTENCE: usize = 12;
const FULL_STOP: TokenId = b'.' as TokenId;
const COMMA: TokenId = b',' as TokenId;

/// Fills a row of logits: a function of the seed and of the tokens before, and of nothing else.
///
/// Words get logits spread over a range of 4, so that the likeliest of them is far from certain and
/// temperature, truncation, penalties and seeds all show.
pub(crate) fn fill(seed: u64, prefix: Prefix<'_>, row: &mut [f32]) {
    let vocabulary = Vocabulary::get();
    let hash = mix(prefix.hash ^ mix(seed));
    // From 0 up to but not including 1.
    let noise = |token: TokenId| (mix(hash ^ u64::from(token)) >> 40) as f32 / (1u64 << 24) as f32;
    for (token, logit) in row.iter_mut().enumerate() {
        *logit = UNFIT + noise(token as TokenId);
    }
    let mut set = |token: TokenId, logit: f32| {
        if let Some(slot) = row.get_mut(token as usize) {
            *slot = logit;
        }
    };

    let begun = begun_symbols(vocabulary, prefix.tokens);
    if !begun.is_empty() {
        for next in begun {
            set(next, 8.0 + 3.0 * noise(next));
        }
        return;
    }
    for word in &vocabulary.words {
        set(*word, 4.0 + 4.0 * noise(*word));
    }
    let space = TokenId::from(b' ');
    set(space, 5.0 + 3.6 * noise(space));

    let recent = prefix.tokens.iter().rev().take(LONGEST_SENTENCE);
    let words = recent.take_while(|token| **token != FULL_STOP).count();
    if words >= 3 {
        let stop = 2.0 + 0.5 * words as f32 + 2.0 * noise(FULL_STOP);
        set(FULL_STOP, stop);
        if prefix.tokens.last() != Some(&COMMA) {
            set(COMMA, 3.0 + 4.0 * noise(COMMA));
        }
    }
    // A text ends behind one sentence of four.
    if prefix.tokens.last() == Some(&FULL_STOP) && noise(vocabulary.message_end) < 0.25 {
        set(vocabulary.message_end, 9.5);
    }
}

/// The tokens that continue a symbol whose first tokens have been written.
fn begun_symbols(vocabulary: &Vocabulary, tokens: &[TokenId]) -> Vec<TokenId> {
    let written = |symbol: &[TokenId]| {
        (1..symbol.len())
            .rev()
            .find(|len| tokens.ends_with(&symbol[..*len]))
            .unwrap_or(0)
    };
    let symbols = || vocabulary.symbols.iter();
    let longest = symbols().map(|symbol| written(symbol)).max().unwrap_or(0);
    if longest == 0 {
        return Vec::new();
    }
    symbols()
        .filter(|symbol| written(symbol) == longest)
        .map(|symbol| symbol[longest])
        .collect()
}
