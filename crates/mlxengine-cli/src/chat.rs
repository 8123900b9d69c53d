//! `mlxengine chat`: a conversation, from a terminal or a pipe.

mod command;
mod input;

use mlxengine::{Field, GenerateRequest, InferenceEngine, Message, Role};

use crate::{
    answer,
    args::{ChatArgs, ReasoningArgs},
    failure::Failure,
    interrupt::Interrupt,
    load, messages, note,
    output::Output,
    report,
    thoughts::Thoughts,
};
use command::Command;
use input::{Input, Line};

pub(crate) async fn run(args: ChatArgs) -> Result<(), Failure> {
    let messages = match &args.messages {
        Some(path) => messages::read(path)?,
        None => args.system.iter().map(Message::system).collect(),
    };
    let mut interrupt = Interrupt::new();
    let engine = load::load(&args.model, &args.params, args.quiet, &mut interrupt).await?;
    drop(interrupt);
    let chat = Chat {
        engine: engine.clone(),
        messages,
        lenient: args.lenient,
        reasoning: args.reasoning,
        quiet: args.quiet,
        output: Output::new(),
    };
    let result = chat.run().await;
    let unloaded = engine.unload().await;
    result?;
    unloaded.map_err(Failure::Run)
}

struct Chat {
    engine: InferenceEngine,
    messages: Vec<Message>,
    lenient: bool,
    reasoning: ReasoningArgs,
    quiet: bool,
    output: Output,
}

/// Whether the conversation goes on.
#[derive(PartialEq)]
enum Next {
    Line,
    Leave,
}

impl Chat {
    async fn run(mut self) -> Result<(), Failure> {
        if !self.engine.capabilities().fields.contains(Field::Messages) {
            // The engine's own words, before anybody types.
            self.engine
                .render_chat(&[Message::user("?")])
                .map_err(Failure::Run)?;
        }
        let mut input = Input::new()?;
        if input.is_terminal() && !self.quiet {
            note::say("Ctrl-C stops an answer, Ctrl-D leaves, /help lists the commands.");
        }
        loop {
            let line = match input.next().await? {
                Line::Text(line) => line,
                Line::End => return Ok(()),
                Line::Interrupted => return Err(Failure::Interrupted),
            };
            match self.take(&line).await {
                Ok(Next::Line) => {}
                Ok(Next::Leave) => return Ok(()),
                // At a terminal a person reads it and goes on; a pipe has nobody to do so.
                Err(failure @ Failure::Output(_)) => return Err(failure),
                Err(failure) if input.is_terminal() => failure.report(),
                Err(failure) => return Err(failure),
            }
        }
    }

    async fn take(&mut self, line: &str) -> Result<Next, Failure> {
        if line.trim().is_empty() {
            return Ok(Next::Line);
        }
        match Command::parse(line)? {
            Command::Say(text) => self.turn(text).await?,
            Command::Exit => return Ok(Next::Leave),
            Command::Help => note::say(command::HELP),
            Command::Clear => self.messages.retain(|message| message.role == Role::System),
            Command::System(text) => {
                self.messages.retain(|message| message.role != Role::System);
                if !text.is_empty() {
                    self.messages.insert(0, Message::system(text));
                }
            }
            Command::Save(path) => messages::save(&self.messages, path)?,
        }
        Ok(Next::Line)
    }

    /// One question and its answer. What was not answered is not remembered; what was stopped by
    /// Ctrl-C is remembered as far as it came.
    async fn turn(&mut self, question: &str) -> Result<(), Failure> {
        let mut messages = self.messages.clone();
        messages.push(Message::user(question));
        let mut request = GenerateRequest::chat(messages.clone())
            .with_params(self.engine.params().clone())
            .with_reasoning(self.reasoning.options());
        if self.lenient {
            request = request.lenient();
        }
        let events = self.engine.start(request).map_err(Failure::Run)?;
        let mut interrupt = Interrupt::new();
        let output = &mut self.output;
        let mut thoughts = Thoughts::new(self.reasoning.are_shown());
        let answer = answer::receive(events, &mut interrupt, |event| {
            output.event(event, &mut thoughts)
        })
        .await;
        thoughts.end();
        self.output.end_line()?;
        let answer = answer?;
        match &answer.summary {
            Some(summary) if !self.quiet => note::say(&report::statistics(summary)),
            None if !self.quiet => note::say("stopped"),
            _ => {}
        }
        if answer.summary.is_some() || !answer.text.is_empty() {
            messages.push(answer.into_message());
            self.messages = messages;
        }
        Ok(())
    }
}
