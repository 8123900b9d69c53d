//! The messages of a chat, and what a turn does to them.

use std::ops::Range;

use engine_core::{Message, Role};

use super::error::{ChatError, ChatResult};

/// The messages, and how many of the oldest the model no longer reads.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct History {
    messages: Vec<Message>,
    /// Of the first so many messages only the instructions are read.
    left_out: usize,
}

/// What is to be answered.
#[derive(Clone, Debug)]
pub(super) enum Turn {
    /// The history as it stands, with this message behind it.
    Add(Message),
    /// The history as it stands.
    Answer,
    /// The last answer once more.
    Regenerate,
    /// Another text in place of the user's message of this number; what came after it goes.
    Edit { index: usize, content: String },
}

impl History {
    pub(super) fn new(messages: Vec<Message>, left_out: usize) -> Self {
        let left_out = left_out.min(messages.len());
        Self { messages, left_out }
    }

    pub(super) fn messages(&self) -> &[Message] {
        &self.messages
    }

    pub(super) fn left_out(&self) -> usize {
        self.left_out
    }

    /// The history with which a turn is answered.
    pub(super) fn with_turn(&self, turn: &Turn) -> ChatResult<Self> {
        let mut next = self.clone();
        match turn {
            Turn::Add(message) => next.push(message.clone()),
            Turn::Answer => {}
            Turn::Regenerate => next.truncate(next.last_question()?),
            Turn::Edit { index, content } => {
                let old = next.message(*index)?;
                if old.role != Role::User {
                    return Err(ChatError::WrongRole {
                        index: *index,
                        role: old.role,
                        expected: Role::User,
                    });
                }
                let mut message = old.clone();
                message.content.clone_from(content);
                next.truncate(*index);
                next.push(message);
            }
        }
        match next.messages.last() {
            Some(last) if matches!(last.role, Role::User | Role::Tool) => Ok(next),
            _ => Err(ChatError::NothingToAnswer),
        }
    }

    pub(super) fn push(&mut self, message: Message) {
        self.messages.push(message);
    }

    /// Cuts the history back to its first `len` messages.
    pub(super) fn truncate(&mut self, len: usize) {
        self.messages.truncate(len);
        if self.left_out >= len {
            self.left_out = 0;
        }
    }

    /// Forgets everything but the instructions.
    pub(super) fn clear(&mut self) {
        self.messages.retain(|message| message.role == Role::System);
        self.left_out = 0;
    }

    /// Puts instructions in place of those that there are; a blank text takes them away.
    pub(super) fn set_system(&mut self, content: &str) {
        let read = &self.messages[..self.left_out];
        let instructions = |message: &&Message| message.role == Role::System;
        self.left_out -= read.iter().filter(instructions).count();
        self.messages.retain(|message| message.role != Role::System);
        if !content.trim().is_empty() {
            self.messages.insert(0, Message::system(content));
            if self.left_out > 0 {
                self.left_out += 1;
            }
        }
    }

    pub(super) fn message(&self, index: usize) -> ChatResult<&Message> {
        self.messages.get(index).ok_or(ChatError::NoSuchMessage {
            index,
            len: self.messages.len(),
        })
    }

    /// What the model reads: instructions, and the messages that are not left out.
    pub(super) fn read(&self) -> Vec<Message> {
        self.messages
            .iter()
            .enumerate()
            .filter(|(index, message)| *index >= self.left_out || message.role == Role::System)
            .map(|(_, message)| message.clone())
            .collect()
    }

    /// Leaves out the oldest turn that is read, and says which messages that were; `None` if it is
    /// the last one.
    pub(super) fn leave_out_a_turn(&mut self) -> Option<Range<usize>> {
        let is_user = |index: &usize| self.messages[*index].role == Role::User;
        let first = (self.left_out..self.messages.len())
            .find(|index| self.messages[*index].role != Role::System)?;
        let next = (first + 1..self.messages.len()).find(is_user)?;
        let left_out = self.left_out..next;
        self.left_out = next;
        Some(left_out)
    }

    /// The number of messages up to the last one that is not the model's.
    fn last_question(&self) -> ChatResult<usize> {
        self.messages
            .iter()
            .rposition(|message| message.role != Role::Assistant)
            .map(|index| index + 1)
            .ok_or(ChatError::NothingToAnswer)
    }
}
