//! The form that an answer must have.

use std::{fs, path::PathBuf};

use clap::Args;
use mlxengine::Constraint;

#[derive(Debug, Args)]
#[command(next_help_heading = "Form of the answer")]
#[group(multiple = false)]
pub(crate) struct ConstraintArgs {
    /// The answer is a JSON object
    #[arg(long)]
    json_object: bool,

    /// The answer is JSON that the JSON Schema in this file accepts
    #[arg(long, value_name = "FILE", value_parser = schema)]
    json_schema: Option<Constraint>,

    /// The answer matches this regular expression as a whole
    #[arg(long, value_name = "REGEX", allow_hyphen_values = true)]
    regex: Option<String>,

    /// The answer is a text of the Lark grammar in this file
    #[arg(long, value_name = "FILE", value_parser = grammar)]
    grammar: Option<Constraint>,
}

impl ConstraintArgs {
    pub(crate) fn constraint(&self) -> Option<Constraint> {
        if self.json_object {
            return Some(Constraint::JsonObject);
        }
        let regex = self.regex.clone().map(Constraint::Regex);
        regex
            .or_else(|| self.json_schema.clone())
            .or_else(|| self.grammar.clone())
    }
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(PathBuf::from(path)).map_err(|error| format!("it can't be read: {error}"))
}

fn schema(path: &str) -> Result<Constraint, String> {
    let text = read(path)?;
    serde_json::from_str(&text)
        .map(Constraint::JsonSchema)
        .map_err(|error| format!("it holds no JSON: {error}"))
}

fn grammar(path: &str) -> Result<Constraint, String> {
    read(path).map(Constraint::Lark)
}
