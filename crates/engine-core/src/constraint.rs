//! What form an answer must have.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The form that the whole answer must have. Tokens that would break it are never chosen.
///
/// An answer that ends by itself, with [`FinishReason::EndOfText`](crate::FinishReason::EndOfText)
/// or [`FinishReason::ConstraintMet`](crate::FinishReason::ConstraintMet), has this form; one that is
/// cut short, by a limit, a loop guard or a stop string, need not have it, and its finish reason says
/// so. A form that can't be enforced as a whole is refused with
/// [`Error::InvalidConstraint`](crate::Error::InvalidConstraint) before anything is generated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Constraint {
    /// A JSON object, of any content.
    JsonObject,
    /// A JSON text that a JSON Schema (drafts 4 to 2020-12) accepts. Properties come in the order of
    /// the schema; between tokens of JSON lies at most a space, or a line break with indentation.
    JsonSchema(Value),
    /// A text that a regular expression matches as a whole, in the syntax of Rust's `regex` without
    /// look-around and back-references.
    Regex(String),
    /// A text of a grammar in Lark's syntax, whose first rule is `start`.
    Lark(String),
}
