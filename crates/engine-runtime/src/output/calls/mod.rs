//! Calls in an answer, format by format.

mod body;
mod candidate;
mod gemma4;
mod glm4;
mod leading;
mod llama4;
mod marked;
mod mistral;
mod tagged;

use engine_core::ToolFormat;

pub(super) use self::body::{DEEPSEEK_BEGIN, DEEPSEEK_BLOCK, DEEPSEEK_END, DEEPSEEK_SEPARATOR};
use self::{glm4::Glm4, leading::Leading, llama4::Llama4, mistral::Mistral, tagged::Tagged};
use super::{Parts, Step};

/// Finds calls in the text of an answer.
#[derive(Debug)]
pub(super) enum Calls {
    /// All is text.
    None,
    Tagged(Tagged),
    Mistral(Mistral),
    Leading(Leading),
    Llama4(Llama4),
    Glm4(Glm4),
}

impl Calls {
    /// Calls of this format, where tools of these names were offered.
    pub(super) fn new(format: Option<ToolFormat>, tools: &[String]) -> Self {
        if let Some(tags) = format.and_then(tagged::tags) {
            return Self::Tagged(Tagged::new(tags));
        }
        match format {
            Some(ToolFormat::Mistral) => Self::Mistral(Mistral::default()),
            Some(ToolFormat::Llama3) => Self::Leading(Leading::llama3()),
            Some(ToolFormat::Llama4) => Self::Llama4(Llama4::new()),
            Some(ToolFormat::Glm4) => Self::Glm4(Glm4::new(tools)),
            Some(ToolFormat::Gemma) => Self::Leading(Leading::gemma()),
            Some(ToolFormat::Json) => Self::Leading(Leading::json()),
            // gpt-oss's calls are found with its channels.
            _ => Self::None,
        }
    }

    pub(super) fn step(&mut self, held: &mut String, ended: bool, parts: &mut Parts) -> Step {
        match self {
            Self::None => {
                parts.text(&std::mem::take(held));
                Step::Wait
            }
            Self::Tagged(calls) => calls.step(held, ended, parts),
            Self::Mistral(calls) => calls.step(held, ended, parts),
            Self::Leading(calls) => calls.step(held, ended, parts),
            Self::Llama4(calls) => calls.step(held, ended, parts),
            Self::Glm4(calls) => calls.step(held, ended, parts),
        }
    }
}

/// Texts that have a meaning in a format.
pub(super) fn markers(format: ToolFormat) -> Vec<&'static str> {
    match format {
        ToolFormat::Mistral => mistral::MARKERS.to_vec(),
        ToolFormat::Llama3 => leading::LLAMA3_MARKERS.to_vec(),
        ToolFormat::Llama4 => llama4::MARKERS.to_vec(),
        ToolFormat::Glm4 => glm4::MARKERS.to_vec(),
        format => tagged::tags(format).map_or_else(Vec::new, tagged::Tags::markers),
    }
}

/// What is said of a call that the end of the answer cuts off.
const CUT_OFF: &str = "the answer ended inside it";
