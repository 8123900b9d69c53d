//! `mlxengine chat`: a conversation, from a terminal or a pipe.

mod command;
mod input;

use std::path::Path;

use futures_util::StreamExt as _;
use mlxengine::{
    ChatError, ChatEvent, ChatFormat, ChatOptions, ChatSession, ChatStream, Field, InferenceEngine,
    Message, Overflow, Role,
};

use crate::{
    answer, args::ChatArgs, failure::Failure, interrupt::Interrupt, load, messages, note,
    output::Output, report, thoughts::Thoughts,
};
use command::Command;
use input::{Input, Line};

pub(crate) async fn run(args: ChatArgs) -> Result<(), Failure> {
    if let Some(path) = &args.messages {
        // Before a model is loaded for nothing.
        messages::read(path)?;
    }
    let mut interrupt = Interrupt::new();
    let engine = load::load(&args.model, &args.params, args.quiet, &mut interrupt).await?;
    drop(interrupt);
    let result = talk(&args, &engine).await;
    let unloaded = engine.unload().await;
    result?;
    unloaded.map_err(Failure::Run)
}

async fn talk(args: &ChatArgs, engine: &InferenceEngine) -> Result<(), Failure> {
    let mut options = ChatOptions::default().with_reasoning(args.reasoning.options());
    if args.lenient {
        options = options.lenient();
    }
    if args.drop_oldest {
        options = options.with_overflow(Overflow::DropOldest);
    }
    let session = if let Some(path) = &args.messages {
        messages::read_chat(path, engine, options)?
    } else {
        let session = ChatSession::new(engine).with_options(options);
        session.with_system(args.system.as_deref().unwrap_or_default())
    };
    let chat = Chat {
        session,
        shows_thoughts: args.reasoning.are_shown(),
        quiet: args.quiet,
        output: Output::new(),
    };
    chat.run().await
}

struct Chat {
    session: ChatSession,
    shows_thoughts: bool,
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
        let engine = self.session.engine();
        if !engine.capabilities().fields.contains(Field::Messages) {
            // The engine's own words, before anybody types.
            engine
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
            Command::Say(text) => self.turn(self.session.send(text)).await?,
            Command::Again => self.turn(self.session.regenerate()).await?,
            Command::Edit(text) => {
                let stream = self.session.edit(self.last_question()?, text);
                self.turn(stream).await?;
            }
            Command::Back => self.session.truncate(self.last_question()?)?,
            Command::Exit => return Ok(Next::Leave),
            Command::Help => note::say(command::HELP),
            Command::Clear => self.session.clear()?,
            Command::System(text) => self.session.set_system(text)?,
            Command::Save(path) => self.write(path, ChatFormat::Json)?,
            Command::Export(path, format) => self.write(path, format)?,
            Command::Load(path) => {
                let options = self.session.options().clone();
                self.session = messages::read_chat(path, self.session.engine(), options)?;
            }
        }
        Ok(Next::Line)
    }

    /// The number of the person's last message.
    fn last_question(&self) -> Result<usize, Failure> {
        let messages = self.session.messages();
        messages
            .iter()
            .rposition(|message| message.role == Role::User)
            .ok_or(Failure::Chat(ChatError::NothingToAnswer))
    }

    fn write(&self, path: &Path, format: ChatFormat) -> Result<(), Failure> {
        messages::write(&self.session.export(format), path)
    }

    /// One question and its answer. What was not answered is not remembered; what was stopped by
    /// Ctrl-C is remembered as far as it came.
    async fn turn(&mut self, stream: ChatStream) -> Result<(), Failure> {
        let quiet = self.quiet;
        let events = stream.filter_map(|event| {
            std::future::ready(match event {
                Ok(ChatEvent::Generation(event)) => Some(Ok(event)),
                Ok(ChatEvent::LeftOut(messages)) => {
                    if !quiet {
                        note::say(&format!(
                            "the context is full: the model no longer reads messages {} to {}",
                            messages.start + 1,
                            messages.end
                        ));
                    }
                    None
                }
                Ok(_) => None,
                Err(error) => Some(Err(error)),
            })
        });
        let mut interrupt = Interrupt::new();
        let output = &mut self.output;
        let mut thoughts = Thoughts::new(self.shows_thoughts);
        let answer = answer::receive(events, &mut interrupt, |event| {
            output.event(event, &mut thoughts)
        })
        .await;
        thoughts.end();
        self.output.end_line()?;
        match answer?.summary() {
            Some(summary) if !quiet => note::say(&report::statistics(summary)),
            None if !quiet => note::say("stopped"),
            _ => {}
        }
        Ok(())
    }
}
