//! Answers that are given in advance.

use std::borrow::Cow;

use engine_core::{Error, Field, Result, TokenId};
use engine_runtime::TextPipeline;

use crate::{
    backend::NAME,
    prefix::Prefix,
    vocabulary::{ANSWER_HEADER, NO_THINKING, Vocabulary},
};

/// The logit of the one token that the script wants. The others have 0, so that no penalty and no
/// temperature in its range brings another token up.
const WANTED: f32 = 10_000.0;

/// Replies, chosen by the prompt: the same prompt gets the same reply, as from a model.
///
/// A rule whose pattern occurs in the last message of a chat, or in a plain text, chooses its
/// reply; the first such rule wins. Otherwise the first answer of a chat gets the first reply, the
/// second answer the second, and so on; the last one repeats. Plain text gets the first reply.
/// A prompt for which the script has no reply fails.
///
/// A reply may begin with a thought between `<think>` and `</think>`, which is left out where the
/// request turns thinking off, and hold calls of tools between `<tool_call>` and `</tool_call>`.
///
/// The answer to a plain text begins with the special token `<|answer|>`, which has no text: without
/// it a model, which sees nothing but tokens, could not tell the prompt's end from the answer's
/// beginning.
///
/// ```
/// use engine_mock::Script;
///
/// let script = Script::new()
///     .when("France", "The capital of France is Paris.")
///     .reply("Good morning!")
///     .reply("As I said: good morning.");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    replies: Vec<String>,
    rules: Vec<(String, String)>,
}

impl Script {
    /// Without any reply yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers the next turn of a chat with this text.
    #[must_use]
    pub fn reply(mut self, reply: impl Into<String>) -> Self {
        self.replies.push(reply.into());
        self
    }

    /// Answers a prompt in which `pattern` occurs with this text.
    #[must_use]
    pub fn when(mut self, pattern: impl Into<String>, reply: impl Into<String>) -> Self {
        self.rules.push((pattern.into(), reply.into()));
        self
    }

    /// Checks that there is something to say.
    pub(crate) fn validate(&self) -> Result<()> {
        let invalid = |value: &str, expected| {
            Err(Error::InvalidParameter {
                field: Field::Prompt,
                value: value.to_owned(),
                expected: Cow::Borrowed(expected),
            })
        };
        if self.replies.is_empty() && self.rules.is_empty() {
            return invalid("a script without replies", "answered by at least one reply");
        }
        if self.rules.iter().any(|(pattern, _)| pattern.is_empty()) {
            return invalid("an empty pattern", "patterns of at least one character");
        }
        Ok(())
    }

    /// Turns the replies into tokens.
    pub(crate) fn tokenize(&self, text: &TextPipeline) -> Result<TokenScript> {
        let end = Vocabulary::get().message_end;
        let tokens = |reply: &String| {
            let mut tokens = text.encode(reply, false)?;
            tokens.push(end);
            Ok(tokens)
        };
        Ok(TokenScript {
            replies: self.replies.iter().map(tokens).collect::<Result<_>>()?,
            rules: self
                .rules
                .iter()
                .map(|(pattern, reply)| Ok((pattern.clone().into_bytes(), tokens(reply)?)))
                .collect::<Result<_>>()?,
            header: text.encode(ANSWER_HEADER, false)?,
            no_thinking: text.encode(NO_THINKING, false)?,
        })
    }
}

/// A script in tokens. Every reply ends with the token that ends a message.
#[derive(Debug)]
pub(crate) struct TokenScript {
    replies: Vec<Vec<TokenId>>,
    rules: Vec<(Vec<u8>, Vec<TokenId>)>,
    /// The tokens of [`ANSWER_HEADER`].
    header: Vec<TokenId>,
    /// The tokens of [`NO_THINKING`].
    no_thinking: Vec<TokenId>,
}

impl TokenScript {
    /// Fills a row of logits: a function of the tokens before, and of nothing else.
    ///
    /// # Errors
    /// [`Error::Backend`] if the script has no reply to the prompt.
    pub(crate) fn fill(&self, prefix: Prefix<'_>, row: &mut [f32]) -> Result<()> {
        row.fill(0.0);
        let wanted = self.next(prefix.tokens)?;
        if let Some(logit) = row.get_mut(wanted as usize) {
            *logit = WANTED;
        }
        Ok(())
    }

    fn next(&self, tokens: &[TokenId]) -> Result<TokenId> {
        let vocabulary = Vocabulary::get();
        let start = tokens
            .iter()
            .rposition(|token| *token == vocabulary.message_start);
        match start {
            Some(start) => self.next_of_chat(tokens, start),
            None => self.next_of_text(tokens),
        }
    }

    /// In a chat the answer begins behind the last header.
    fn next_of_chat(&self, tokens: &[TokenId], start: usize) -> Result<TokenId> {
        let vocabulary = Vocabulary::get();
        let end = vocabulary.message_end;
        let Some(written) = tokens[start + 1..].strip_prefix(self.header.as_slice()) else {
            // Inside a message that is not the answer: no prompt ends here.
            return Ok(end);
        };
        let before = &tokens[..start];
        let mut messages = before.split(|token| *token == vocabulary.message_start);
        let last_message = messages.next_back().unwrap_or_default();
        // Behind the line that names its role.
        let line_end = last_message
            .iter()
            .position(|token| *token == TokenId::from(b'\n'));
        let content = line_end.map_or(last_message, |end| &last_message[end + 1..]);
        let answers = before
            .split(|token| *token == vocabulary.message_start)
            .skip(1)
            .filter(|message| message.starts_with(&self.header))
            .count();
        let reply = self.choose(content, answers).ok_or_else(no_reply)?;
        Ok(match written.strip_prefix(self.no_thinking.as_slice()) {
            Some(written) => continued(without_thought(reply), written),
            None => continued(reply, written),
        })
    }

    /// In a plain text nothing marks where the prompt ends, so a special token begins the answer.
    fn next_of_text(&self, tokens: &[TokenId]) -> Result<TokenId> {
        let marker = Vocabulary::get().answer_start;
        let start = tokens.iter().rposition(|token| *token == marker);
        let prompt = &tokens[..start.unwrap_or(tokens.len())];
        let reply = self.choose(prompt, 0).ok_or_else(no_reply)?;
        Ok(start.map_or(marker, |start| continued(reply, &tokens[start + 1..])))
    }

    /// The reply to a prompt, behind this many earlier answers.
    fn choose(&self, prompt: &[TokenId], answers: usize) -> Option<&Vec<TokenId>> {
        let vocabulary = Vocabulary::get();
        let text: Vec<u8> = if self.rules.is_empty() {
            Vec::new()
        } else {
            let bytes = prompt.iter().flat_map(|token| vocabulary.bytes(*token));
            bytes.copied().collect()
        };
        let occurs = |pattern: &[u8]| text.windows(pattern.len()).any(|part| part == pattern);
        self.rules
            .iter()
            .find(|(pattern, _)| occurs(pattern))
            .map(|(_, reply)| reply)
            .or_else(|| {
                let last = self.replies.len().checked_sub(1)?;
                self.replies.get(answers.min(last))
            })
    }
}

/// A reply without the thought that it begins with.
fn without_thought(reply: &[TokenId]) -> &[TokenId] {
    let end = Vocabulary::get().thought_end;
    let Some(end) = reply.iter().position(|token| *token == end) else {
        return reply;
    };
    let answer = &reply[end + 1..];
    let line_break = TokenId::from(b'\n');
    let breaks = answer.iter().take_while(|token| **token == line_break);
    &answer[breaks.count()..]
}

/// What comes after this much of an answer: the reply's next token, or the end where the answer has
/// left the reply. Behind its end the reply begins again, for requests that ignore it.
fn continued(reply: &[TokenId], written: &[TokenId]) -> TokenId {
    let follows = written
        .iter()
        .zip(reply.iter().cycle())
        .all(|(written, scripted)| written == scripted);
    if follows {
        reply[written.len() % reply.len()]
    } else {
        Vocabulary::get().message_end
    }
}

fn no_reply() -> Error {
    Error::backend(
        NAME,
        "answer this prompt",
        "the script has no reply to it; add a rule that matches, or a reply for any prompt",
    )
}
