//! `mlxengine generate`: one prompt, one answer.

use std::io::{self, IsTerminal as _, Read as _};

use mlxengine::{
    Field, GenerateRequest, GenerationEvent, GenerationStream, InferenceEngine, Message, Prompt,
    TokenId, ToolDefinition, ToolOptions,
};

use crate::{
    answer,
    args::GenerateArgs,
    failure::Failure,
    interrupt::Interrupt,
    load, messages, note,
    output::Output,
    report::{self, End, Line, Report, Start},
    thoughts::Thoughts,
};

/// What the command line asks to be answered.
enum Question {
    Text(String),
    Messages(Vec<Message>),
    Tokens(Vec<TokenId>),
}

pub(crate) async fn run(args: GenerateArgs) -> Result<(), Failure> {
    // Before Ctrl-C is caught: while stdin is awaited it ends the program at once.
    let question = question(&args)?;
    let tools = match &args.tools {
        Some(path) => messages::read_tools(path)?,
        None => Vec::new(),
    };
    let mut interrupt = Interrupt::new();
    let engine = load::load(&args.model, &args.params, args.quiet, &mut interrupt).await?;
    let result = answer(&args, &engine, question, tools, &mut interrupt).await;
    // The model's thread ends before the process does, so that no library is torn down under it.
    let unloaded = engine.unload().await;
    result?;
    unloaded.map_err(Failure::Run)
}

fn question(args: &GenerateArgs) -> Result<Question, Failure> {
    if let Some(tokens) = &args.tokens {
        return Ok(Question::Tokens(tokens.clone()));
    }
    if let Some(path) = &args.messages {
        return messages::read(path).map(Question::Messages);
    }
    match args.prompt.as_deref() {
        Some("-") => read_stdin(),
        Some(text) => Ok(text.to_owned()),
        None if io::stdin().is_terminal() => Err(Failure::Usage {
            message: "there is no prompt".to_owned(),
            hint: "write it after the options, or pipe it in; see `mlxengine generate --help`",
        }),
        None => read_stdin(),
    }
    .map(Question::Text)
}

/// All of stdin, without the line end that `echo` and editors leave behind.
fn read_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    io::stdin()
        .read_to_string(&mut text)
        .map_err(|source| Failure::Read {
            what: "the prompt from stdin".to_owned(),
            source,
        })?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// The prompt in the form that this model takes.
fn prompt(args: &GenerateArgs, engine: &InferenceEngine, question: Question) -> Prompt {
    let text = match question {
        Question::Tokens(tokens) => return Prompt::Tokens(tokens),
        Question::Messages(messages) => return Prompt::Messages(messages),
        Question::Text(text) => text,
    };
    let has_template = engine.capabilities().fields.contains(Field::Messages);
    if args.raw || text.is_empty() {
        return Prompt::Text(text);
    }
    if !has_template && args.system.is_none() {
        if !args.quiet {
            note::say("this model has no chat template; the prompt is continued as plain text");
        }
        return Prompt::Text(text);
    }
    let system = args.system.as_deref().map(Message::system);
    Prompt::Messages(system.into_iter().chain([Message::user(text)]).collect())
}

/// The rendered text, and the tokens, that the model will read.
fn as_read(
    engine: &InferenceEngine,
    request: &GenerateRequest,
) -> mlxengine::Result<(Option<String>, Vec<TokenId>)> {
    if let Prompt::Tokens(tokens) = &request.prompt {
        return Ok((None, tokens.clone()));
    }
    let text = engine.prompt_text(request.clone())?;
    let tokens = text.as_deref().map(|text| engine.tokenize(text));
    Ok((text.clone(), tokens.transpose()?.unwrap_or_default()))
}

async fn answer(
    args: &GenerateArgs,
    engine: &InferenceEngine,
    question: Question,
    tools: Vec<ToolDefinition>,
    interrupt: &mut Interrupt,
) -> Result<(), Failure> {
    let mut request = GenerateRequest::new(prompt(args, engine, question))
        .with_params(engine.params().clone())
        .with_tools(ToolOptions::new(tools).with_choice(args.tool_choice()))
        .with_reasoning(args.reasoning.options());
    if args.lenient {
        request = request.lenient();
    }
    let start = if args.json {
        let (text, tokens) = as_read(engine, &request).map_err(Failure::Run)?;
        Some(Start::new(engine, text, tokens))
    } else {
        None
    };
    let events = engine.start(request).map_err(Failure::Run)?;
    let mut output = Output::new();
    match &start {
        None => print_text(args, events, interrupt, &mut output).await,
        Some(start) if args.stream => print_events(start, events, interrupt, &mut output).await,
        Some(start) => print_report(start, events, interrupt, &mut output).await,
    }
}

async fn print_text(
    args: &GenerateArgs,
    events: GenerationStream,
    interrupt: &mut Interrupt,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut thoughts = Thoughts::new(args.reasoning.are_shown());
    let answer = answer::receive(events, interrupt, |event| {
        output.event(event, &mut thoughts)
    })
    .await;
    thoughts.end();
    output.end_line()?;
    match answer?.summary() {
        None => Err(Failure::Interrupted),
        Some(_) if args.quiet => Ok(()),
        Some(summary) => {
            note::say(&report::statistics(summary));
            Ok(())
        }
    }
}

async fn print_events(
    start: &Start,
    events: GenerationStream,
    interrupt: &mut Interrupt,
    output: &mut Output,
) -> Result<(), Failure> {
    output.json(&Line::Start(start))?;
    let answer = answer::receive(events, interrupt, |event| match event {
        GenerationEvent::Done(_) => Ok(()),
        event => output.json(event),
    })
    .await?;
    let end = End::of(&answer);
    output.json(&Line::Done(&end))?;
    end.into_result()
}

async fn print_report(
    start: &Start,
    events: GenerationStream,
    interrupt: &mut Interrupt,
    output: &mut Output,
) -> Result<(), Failure> {
    let answer = answer::receive(events, interrupt, |_| Ok(())).await?;
    let end = End::of(&answer);
    output.json(&Report::of(start, &answer, &end))?;
    end.into_result()
}
