//! Calls that were shown while they were written, against what they turned out to be.

use engine_core::{InvalidToolCall, ToolCall, ToolCallProblem};
use serde_json::{Map, Value};

/// The previews of one answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Previews {
    /// Those whose call has not come.
    open: Vec<Preview>,
    /// Calls that have come.
    calls: usize,
    /// How many previews there were.
    pub(super) begun: usize,
    /// What did not come true: each in words.
    pub(super) faults: Vec<String>,
}

#[derive(Clone, Debug)]
struct Preview {
    index: usize,
    name: String,
    arguments: String,
}

impl Previews {
    pub(super) fn add(&mut self, index: usize, name: Option<String>, arguments: &str) {
        let place = self.open.iter().position(|preview| preview.index == index);
        match (place, name) {
            (Some(_), Some(name)) => self.fault(format!("call {index} is named again: {name:?}")),
            (None, None) => self.fault(format!("call {index} goes on, and was not begun")),
            (None, Some(_)) if index < self.calls => {
                self.fault(format!("call {index} is shown after it has come"));
            }
            (None, Some(name)) => {
                self.begun += 1;
                self.open.push(Preview {
                    index,
                    name,
                    arguments: arguments.to_owned(),
                });
            }
            (Some(place), None) => {
                if let Some(preview) = self.open.get_mut(place) {
                    preview.arguments.push_str(arguments);
                }
            }
        }
    }

    pub(super) fn end(&mut self, call: &ToolCall) {
        let Some(Preview {
            index,
            name,
            arguments,
        }) = self.take()
        else {
            return;
        };
        if name != call.name {
            self.fault(format!(
                "call {index} was shown as {name:?} and is {call:?}"
            ));
        }
        let read = serde_json::from_str::<Map<String, Value>>(&arguments);
        if !arguments.is_empty() && !read.is_ok_and(|read| read == call.arguments) {
            self.fault(format!(
                "call {index} was shown with {arguments:?} and is {call:?}"
            ));
        }
    }

    pub(super) fn end_invalid(&mut self, invalid: &InvalidToolCall) {
        self.take();
        if matches!(invalid.problem, ToolCallProblem::Malformed { .. }) {
            self.open.clear();
        }
    }

    /// Ends the answer.
    pub(super) fn finish(&mut self) {
        for preview in std::mem::take(&mut self.open) {
            self.fault(format!("{preview:?} was shown and never came"));
        }
    }

    /// The preview of the call that has come.
    fn take(&mut self) -> Option<Preview> {
        let index = self.calls;
        self.calls += 1;
        let place = self
            .open
            .iter()
            .position(|preview| preview.index == index)?;
        Some(self.open.remove(place))
    }

    fn fault(&mut self, fault: String) {
        self.faults.push(fault);
    }
}
