//! Tools and thoughts: shown or refused, and delivered apart from the text.

use engine_core::{
    Capabilities, Engine, Error, Field, GenerateRequest, ReasoningOptions, ToolChoice,
    ToolDefinition, ToolOptions,
};
use futures_executor::block_on;
use serde_json::json;

use super::{
    recording::{Answer, Recording},
    subject::Subject,
};
use crate::case::{Case, CaseResult, OrFail, Stop, cases, ensure, fail, in_words};

pub(super) const CASES: &[Case<Subject>] = cases![
    the_text_of_a_prompt_is_what_the_model_reads,
    tools_are_shown_or_refused,
    a_tool_that_must_be_called_is_called_or_refused,
    thinking_is_switched_or_refused,
    the_parts_of_a_chats_answer_add_up,
    a_call_is_of_a_tool_that_was_offered,
    what_is_shown_of_a_call_comes_true,
    thinking_ends_when_its_limit_is_reached,
];

/// A name that no chat has by chance.
const TOOL: &str = "look_up_7f3a";

fn tool() -> CaseResult<ToolDefinition> {
    let tool = ToolDefinition::without_parameters(TOOL, "Looks something up.");
    tool.or_fail("describe a tool")
}

fn chat(subject: &mut Subject) -> CaseResult<GenerateRequest> {
    subject.needs(&[Field::Messages])?;
    Ok(GenerateRequest::chat(subject.settings.chat.clone()).with_params(subject.greedy_params()))
}

/// The text that is read for a request, or why it is refused.
fn prompt_text(engine: &dyn Engine, request: GenerateRequest) -> Result<String, Error> {
    let capabilities: Capabilities = engine.capabilities();
    let request = request.validate(&engine.info().model.backend.name, &capabilities)?;
    Ok(engine.prompt_text(&request)?.unwrap_or_default())
}

fn answer(engine: &dyn Engine, request: GenerateRequest) -> CaseResult<Answer> {
    let name = &engine.info().model.backend.name;
    let request = request.validate(name, &engine.capabilities());
    let stream = engine
        .generate(request.or_fail("check a request")?)
        .or_fail("start a generation")?;
    block_on(Recording::of(stream)).into_answer()
}

fn the_text_of_a_prompt_is_what_the_model_reads(subject: &mut Subject) -> CaseResult {
    let request = chat(subject)?;
    let engine = subject.engine()?;
    let text = prompt_text(engine.as_ref(), request).or_fail("make the text of a chat")?;
    let rendered = engine
        .render_chat(&subject.settings.chat)
        .or_fail("render a chat")?;
    ensure!(
        text == rendered,
        "a request reads {text:?}, and its messages are rendered as {rendered:?}"
    );
    let prompt = subject.prompt();
    let text = prompt_text(engine.as_ref(), GenerateRequest::text(prompt.as_str()))
        .or_fail("make the text of a text")?;
    ensure!(text == prompt, "the text {prompt:?} is read as {text:?}");
    Ok(())
}

fn tools_are_shown_or_refused(subject: &mut Subject) -> CaseResult {
    let request = chat(subject)?.with_tools(ToolOptions::new([tool()?]));
    let engine = subject.engine()?;
    let claimed = engine.capabilities().fields.contains(Field::Tools);
    for request in [request.clone(), request.lenient()] {
        match prompt_text(engine.as_ref(), request) {
            Ok(text) if claimed => ensure!(
                text.contains(TOOL),
                "a tool was offered, and the model is not told of it: {text:?}"
            ),
            Err(Error::UnsupportedByModel {
                field: Field::Tools,
                ..
            }) => {}
            Ok(_) => fail!("tools are not claimed, and were accepted"),
            Err(error) => fail!("tools gave another error: {}", in_words(&error)),
        }
    }
    Ok(())
}

/// A tool whose every call is short.
fn short_tool(name: &str) -> CaseResult<ToolDefinition> {
    let parameters = json!({
        "type": "object",
        "properties": { "place": { "enum": ["river", "sea"] } },
        "required": ["place"],
        "additionalProperties": false,
    });
    ToolDefinition::new(name, "Looks a place up.", parameters).or_fail("describe a tool")
}

fn a_tool_that_must_be_called_is_called_or_refused(subject: &mut Subject) -> CaseResult {
    let request = chat(subject)?;
    let tools = [short_tool("other_7f3a")?, short_tool(TOOL)?];
    let engine = subject.engine()?;
    let named = ToolChoice::Named(TOOL.to_owned());
    let fields = engine.capabilities().fields;
    for choice in [named.clone(), ToolChoice::Required] {
        let mut options = ToolOptions::new(tools.clone()).with_choice(choice.clone());
        if !fields.contains(Field::Tools) {
            options = options.described_by_messages();
        }
        let mut request = request.clone().with_tools(options);
        if !fields.contains(Field::ToolChoice) {
            match prompt_text(engine.as_ref(), request) {
                Err(Error::Unsupported {
                    field: Field::ToolChoice,
                    ..
                }) => continue,
                Ok(_) => fail!("a tool that must be called is not claimed, and was accepted"),
                Err(error) => fail!("it gave another error: {}", in_words(&error)),
            }
        }
        if fields.contains(Field::ReasoningTokens) {
            request = request.with_reasoning(ReasoningOptions::default().with_max_tokens(8));
        }
        // White space may come between the parts of the arguments.
        request.params.max_tokens = 400;
        let answer = answer(engine.as_ref(), request)?;
        let [call] = answer.calls.as_slice() else {
            fail!(
                "{choice:?} gave {} calls: {}",
                answer.calls.len(),
                answer.in_words()
            );
        };
        ensure!(
            answer.text.is_empty() && answer.invalid_calls == 0,
            "{choice:?} gave more than a call: {}",
            answer.in_words()
        );
        ensure!(
            choice != named || call.name == TOOL,
            "{TOOL} had to be called, and {} was",
            call.name
        );
        let place = call.arguments.get("place").and_then(|place| place.as_str());
        ensure!(
            call.arguments.len() == 1 && matches!(place, Some("river" | "sea")),
            "the arguments are not those of the tool: {:?}",
            call.arguments
        );
    }
    Ok(())
}

fn thinking_is_switched_or_refused(subject: &mut Subject) -> CaseResult {
    let request = chat(subject)?;
    let engine = subject.engine()?;
    let claimed = engine.capabilities().fields.contains(Field::Thinking);
    let text = |on: bool| {
        let options = ReasoningOptions::default().with_thinking(on);
        prompt_text(engine.as_ref(), request.clone().with_reasoning(options))
    };
    match (text(true), text(false)) {
        (Ok(on), Ok(off)) if claimed => ensure!(
            on != off,
            "with and without thinking the model reads the same: {on:?}"
        ),
        // A model that always thinks, or never does, may say so for one of them.
        (Ok(_), Err(error)) if claimed => ensure!(is_about_thinking(&error), "{error}"),
        (Err(error), _) => ensure!(is_about_thinking(&error), "{error}"),
        (Ok(_), _) => fail!("thinking is not claimed, and was accepted"),
    }
    Ok(())
}

fn is_about_thinking(error: &Error) -> bool {
    matches!(
        error,
        Error::UnsupportedByModel {
            field: Field::Thinking,
            ..
        }
    )
}

fn the_parts_of_a_chats_answer_add_up(subject: &mut Subject) -> CaseResult {
    let request = chat(subject)?;
    let engine = subject.engine()?;
    let answer = answer(engine.as_ref(), request)?;
    let usage = answer.summary.usage;
    ensure!(
        usage.generated_tokens == answer.tokens.len(),
        "{} generated tokens are reported, and {} were delivered",
        usage.generated_tokens,
        answer.tokens.len()
    );
    ensure!(
        answer.calls.is_empty() && answer.invalid_calls == 0,
        "nothing was offered, and the answer has calls"
    );
    ensure!(
        usage.reasoning_tokens <= usage.generated_tokens,
        "{} of {} tokens are reported as thought",
        usage.reasoning_tokens,
        usage.generated_tokens
    );
    ensure!(
        answer.reasoning.is_empty() || usage.reasoning_tokens > 0,
        "a thought took no tokens"
    );
    let decoded = engine.detokenize(&answer.tokens).or_fail("detokenize")?;
    if answer.reasoning.is_empty() && usage.reasoning_tokens == 0 {
        ensure!(
            answer.text == decoded,
            "the deltas join to {:?}, and the tokens decode to {decoded:?}",
            answer.text
        );
    } else {
        let place = decoded.find(&answer.reasoning);
        let behind = place.map(|at| &decoded[at + answer.reasoning.len()..]);
        ensure!(
            behind.is_some_and(|rest| rest.ends_with(&answer.text)),
            "the thought {:?} and the text {:?} are not what the tokens decode to: {decoded:?}",
            answer.reasoning,
            answer.text
        );
    }
    Ok(())
}

fn what_is_shown_of_a_call_comes_true(subject: &mut Subject) -> CaseResult {
    let request = chat(subject)?;
    subject.needs(&[Field::Tools])?;
    let engine = subject.engine()?;
    let request = request.with_tools(ToolOptions::new([tool()?]));
    let previews = answer(engine.as_ref(), request)?.previews;
    ensure!(previews.faults.is_empty(), "{}", previews.faults.join("; "));
    if previews.begun == 0 {
        return Err(Stop::NotApplicable(
            "no call was shown while it was written; another chat may get one".to_owned(),
        ));
    }
    Ok(())
}

fn a_call_is_of_a_tool_that_was_offered(subject: &mut Subject) -> CaseResult {
    let request = chat(subject)?;
    subject.needs(&[Field::Tools])?;
    let engine = subject.engine()?;
    let request = request.with_tools(ToolOptions::new([tool()?]));
    let answer = answer(engine.as_ref(), request)?;
    if answer.calls.is_empty() && answer.invalid_calls == 0 {
        return Err(Stop::NotApplicable(
            "the answer has no call; another chat may get one".to_owned(),
        ));
    }
    ensure!(
        answer.calls.iter().all(|call| call.name == TOOL),
        "{TOOL} was offered, and {:?} was called",
        answer.calls
    );
    let usage = answer.summary.usage;
    ensure!(
        usage.generated_tokens == answer.tokens.len(),
        "{} generated tokens are reported, and {} were delivered with calls",
        usage.generated_tokens,
        answer.tokens.len()
    );
    Ok(())
}

/// What ends a thought may take some tokens itself.
const LONGEST_ENDING: usize = 32;

fn thinking_ends_when_its_limit_is_reached(subject: &mut Subject) -> CaseResult {
    let request = chat(subject)?;
    subject.needs(&[Field::ReasoningTokens])?;
    let engine = subject.engine()?;
    let free = answer(engine.as_ref(), request.clone())?;
    let most = 2;
    if free.summary.usage.reasoning_tokens <= most + LONGEST_ENDING {
        return Err(Stop::NotApplicable(
            "the answer has no long thought; another chat may get one".to_owned(),
        ));
    }
    let options = ReasoningOptions::default().with_max_tokens(most as u32);
    let limited = answer(engine.as_ref(), request.with_reasoning(options))?;
    let spent = limited.summary.usage.reasoning_tokens;
    ensure!(
        (most..=most + LONGEST_ENDING).contains(&spent),
        "{most} tokens of thinking were allowed, and {spent} were spent"
    );
    ensure!(
        free.reasoning.starts_with(&limited.reasoning),
        "a limited thought is another: {:?} instead of {:?}",
        limited.reasoning,
        free.reasoning
    );
    Ok(())
}
