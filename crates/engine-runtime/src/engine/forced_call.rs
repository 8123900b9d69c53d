//! A tool that must be called: the constraint that sees to it.

use std::borrow::Cow;

use engine_core::{Error, Field, Result, ToolChoice, ToolOptions};

use crate::{OutputGrammar, TextPipeline, constraint::Guide};

/// The constraint of an answer that must be a call; `None` if it need not be one.
///
/// # Errors
/// [`Error::UnsupportedByModel`] if calls of this format can't be forced,
/// [`Error::InvalidConstraint`] if a tool's schema can't be enforced.
pub(super) fn guide(
    answer: &OutputGrammar,
    tools: &ToolOptions,
    text: &TextPipeline,
) -> Result<Option<Guide>> {
    let (ToolChoice::Required | ToolChoice::Named(_), Some(format)) = (&tools.choice, answer.calls)
    else {
        return Ok(None);
    };
    let form =
        text.call_form(format)
            .filter(|_| !answer.harmony)
            .ok_or(Error::UnsupportedByModel {
                field: Field::ToolChoice,
                reason: Cow::Borrowed("calls of tools in its format can't be enforced"),
            })?;
    let thinks = answer.thinking.as_ref().is_some_and(|start| start.begun);
    text.force_call(form, tools, thinks).map(Some)
}
