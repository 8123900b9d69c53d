//! Tokenizer and chat.

use engine_core::{Error, Field, GenerateRequest, Message, Prompt};

use super::{recording::Answer, subject::Subject};
use crate::case::{Case, CaseResult, OrFail, Stop, cases, ensure, fail, in_words};

pub(super) const CASES: &[Case<Subject>] = cases![
    tokens_turn_back_into_their_text,
    tokenizing_repeats,
    text_and_token_prompts_agree,
    a_chat_is_answered_as_its_rendered_text,
    rendering_repeats_and_holds_every_message,
    without_a_chat_template_messages_are_refused,
];

fn tokens_turn_back_into_their_text(subject: &mut Subject) -> CaseResult {
    let engine = subject.engine()?;
    let mut texts = subject.prompts();
    texts.extend(
        [
            "plain words, and 1234 numbers",
            "fn main() {\n    println!(\"{}\", 1 + 1);\n}",
            "你好，世界",
            "crabs 🦀🦀 and families 👨‍👩‍👧",
            "naïve café — Ωμέγα",
        ]
        .map(str::to_owned),
    );
    for text in texts {
        let tokens = engine.tokenize(&text).or_fail("tokenize")?;
        let back = engine.detokenize(&tokens).or_fail("detokenize")?;
        ensure!(back == text, "{text:?} came back as {back:?}");
        let vocab_size = engine.info().model.vocab_size;
        ensure!(
            tokens.iter().all(|token| (*token as usize) < vocab_size),
            "{text:?} has a token outside the vocabulary of {vocab_size}"
        );
    }
    Ok(())
}

fn tokenizing_repeats(subject: &mut Subject) -> CaseResult {
    let engine = subject.engine()?;
    for text in subject.prompts() {
        let first = engine.tokenize(&text).or_fail("tokenize")?;
        let second = engine.tokenize(&text).or_fail("tokenize")?;
        ensure!(first == second, "{text:?} gave different tokens");
    }
    Ok(())
}

fn text_and_token_prompts_agree(subject: &mut Subject) -> CaseResult {
    let engine = subject.engine()?;
    for prompt in subject.prompts() {
        let expected = subject.greedy(&prompt)?;
        let tokens = engine.tokenize(&prompt).or_fail("tokenize")?;
        let params = subject.greedy_params();
        let answer = subject.answer(Prompt::Tokens(tokens), params)?;
        ensure_same(&answer, &expected, "tokens", "text")?;
    }
    Ok(())
}

fn ensure_same(answer: &Answer, expected: &Answer, what: &str, other: &str) -> CaseResult {
    ensure!(
        answer.is_same_as(expected)
            && answer.summary.usage.prompt_tokens == expected.summary.usage.prompt_tokens,
        "as {what} ({} tokens) the prompt was answered with {}, as {other} ({} tokens) with {}",
        answer.summary.usage.prompt_tokens,
        answer.in_words(),
        expected.summary.usage.prompt_tokens,
        expected.in_words()
    );
    Ok(())
}

fn a_chat_is_answered_as_its_rendered_text(subject: &mut Subject) -> CaseResult {
    subject.needs(&[Field::Messages])?;
    let engine = subject.engine()?;
    let mut chat = subject.settings.chat.clone();
    for _ in 0..2 {
        let params = subject.greedy_params();
        let answer = subject.answer(chat.clone(), params.clone())?;
        let rendered = engine.render_chat(&chat).or_fail("render a chat")?;
        let mut tokens = engine.tokenize(&rendered).or_fail("tokenize")?;
        // A template writes the special tokens that a plain text gets from the tokenizer, so there
        // they would come twice.
        let special = engine.tokenize("").or_fail("tokenize nothing")?;
        let prompt_tokens = answer.summary.usage.prompt_tokens;
        if tokens.len() > prompt_tokens && tokens.starts_with(&special) {
            tokens.drain(..special.len());
        }
        let expected = subject.answer(Prompt::Tokens(tokens), params)?;
        // A thought is parted from the text of a chat's answer, and of no other.
        let expected = Answer {
            text: if answer.reasoning.is_empty() {
                expected.text
            } else {
                answer.text.clone()
            },
            ..expected
        };
        ensure_same(&answer, &expected, "messages", "rendered text")?;
        // The second round is a chat of several turns.
        chat.push(Message::assistant(answer.text));
        chat.push(Message::user("And then?"));
    }
    Ok(())
}

fn rendering_repeats_and_holds_every_message(subject: &mut Subject) -> CaseResult {
    subject.needs(&[Field::Messages])?;
    let engine = subject.engine()?;
    let chat = subject.settings.chat.clone();
    let first = engine.render_chat(&chat).or_fail("render a chat")?;
    let second = engine.render_chat(&chat).or_fail("render it again")?;
    ensure!(
        first == second,
        "the chat was rendered as {first:?} and then as {second:?}"
    );
    for message in &chat {
        ensure!(
            first.contains(message.content.trim()),
            "the {}'s {:?} is missing in {first:?}",
            message.role,
            message.content
        );
    }
    Ok(())
}

fn without_a_chat_template_messages_are_refused(subject: &mut Subject) -> CaseResult {
    let engine = subject.engine()?;
    if engine.capabilities().fields.contains(Field::Messages) {
        return Err(Stop::NotApplicable("the engine claims messages".to_owned()));
    }
    let chat = subject.settings.chat.clone();
    let by_rendering = engine.render_chat(&chat).map(drop);
    let by_request = GenerateRequest::chat(chat)
        .lenient()
        .validate("the engine", &engine.capabilities())
        .map(drop);
    for (what, result) in [("rendering", by_rendering), ("a request", by_request)] {
        match result {
            Err(Error::Unsupported {
                field: Field::Messages,
                ..
            }) => {}
            Ok(()) => fail!("{what} accepted messages that the engine does not claim"),
            Err(error) => fail!("{what} gave another error: {}", in_words(&error)),
        }
    }
    Ok(())
}
