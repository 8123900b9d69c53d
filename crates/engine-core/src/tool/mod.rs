//! Tools: what a model may call, and what it did call.

mod call;
mod definition;
mod options;
mod problem;

pub use call::ToolCall;
pub use definition::ToolDefinition;
pub use options::{ToolChoice, ToolFormat, ToolOptions, ToolPrompt};
pub use problem::{InvalidToolCall, ToolCallProblem};
