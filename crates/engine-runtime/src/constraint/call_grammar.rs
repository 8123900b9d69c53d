//! A call that must be made, as a grammar: the form in which a model's family writes calls, around
//! arguments that a tool's schema accepts.
//!
//! What stands here must be what the family's parser reads, and what its models have learned to
//! write: a grammar that they would not follow by themselves makes their answers worse.

use std::fmt::Write as _;

use engine_core::{TokenId, ToolChoice, ToolDefinition, ToolFormat, ToolOptions};
use serde_json::Value;

use super::json_schema;

/// How a family writes a call whose arguments are JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallForm {
    /// An object on a line of its own between `<tool_call>` and `</tool_call>`.
    Hermes,
    /// An object with `parameters`.
    Llama3,
    /// `[TOOL_CALLS]` and a list of one object. Mistral, up to the third version of its tokenizer.
    MistralList,
    /// `[TOOL_CALLS]NAME[ARGS]{...}`, in some versions with `[CALL_ID]` and an id behind the name.
    MistralNamed {
        /// Whether there is an id.
        has_id: bool,
    },
    /// An object with `arguments`.
    Json,
}

/// The parts of a call.
#[derive(Debug)]
enum Part {
    /// A text that the vocabulary may have as a special token.
    Mark(&'static str),
    Text(String),
    /// A space or nothing.
    Space,
    /// Nine letters and digits, as Mistral has them.
    Id,
    Arguments,
}

impl CallForm {
    /// The form of a format, as the chat template has it; `None` if calls of this format, or of this
    /// template, are not written as JSON, or not in a way known here.
    pub(crate) fn of(format: ToolFormat, template: &str) -> Option<Self> {
        match format {
            // Qwen3-Coder and GLM-4.5 write arguments between tags of their own.
            ToolFormat::Hermes
                if template.contains("<function=") || template.contains("<arg_key>") =>
            {
                None
            }
            ToolFormat::Hermes => Some(Self::Hermes),
            ToolFormat::Llama3 => Some(Self::Llama3),
            ToolFormat::Mistral if template.contains("[ARGS]") => Some(Self::MistralNamed {
                has_id: template.contains("[CALL_ID]"),
            }),
            ToolFormat::Mistral => Some(Self::MistralList),
            ToolFormat::Json => Some(Self::Json),
            _ => None,
        }
    }

    /// A call of the tool of this name, which is one of letters, digits and `_-.`.
    fn parts(self, name: &str) -> Vec<Part> {
        let object = |arguments: &str| format!("{{\"name\": \"{name}\", \"{arguments}\": ");
        match self {
            Self::Hermes => vec![
                Part::Mark("<tool_call>"),
                Part::Text(format!("\n{}", object("arguments"))),
                Part::Arguments,
                Part::Text("}\n".to_owned()),
                Part::Mark("</tool_call>"),
            ],
            Self::Llama3 => vec![
                Part::Text(object("parameters")),
                Part::Arguments,
                Part::Text("}".to_owned()),
            ],
            Self::MistralList => vec![
                Part::Mark("[TOOL_CALLS]"),
                // Templates of the first versions write one.
                Part::Space,
                Part::Text(format!("[{}", object("arguments"))),
                Part::Arguments,
                Part::Text("}]".to_owned()),
            ],
            Self::MistralNamed { has_id } => {
                let mut parts = vec![Part::Mark("[TOOL_CALLS]"), Part::Text(name.to_owned())];
                if has_id {
                    parts.extend([Part::Mark("[CALL_ID]"), Part::Id]);
                }
                parts.extend([Part::Mark("[ARGS]"), Part::Arguments]);
                parts
            }
            Self::Json => vec![
                Part::Text(object("arguments")),
                Part::Arguments,
                Part::Text("}".to_owned()),
            ],
        }
    }
}

/// One call of one of some tools.
pub(crate) struct CallGrammar<'a> {
    form: CallForm,
    tools: Vec<&'a ToolDefinition>,
    /// Whether the call may come behind a thought.
    behind_thought: bool,
    /// The token of a text that is a special one.
    special: &'a dyn Fn(&str) -> Option<TokenId>,
}

impl<'a> CallGrammar<'a> {
    /// A call of any tool, or of the one that the choice names.
    pub(crate) fn new(
        form: CallForm,
        tools: &'a ToolOptions,
        behind_thought: bool,
        special: &'a dyn Fn(&str) -> Option<TokenId>,
    ) -> Self {
        let is_chosen = |tool: &&ToolDefinition| match &tools.choice {
            ToolChoice::Named(name) => tool.name() == name,
            _ => true,
        };
        Self {
            form,
            tools: tools.definitions.iter().filter(is_chosen).collect(),
            behind_thought,
            special,
        }
    }

    /// The tools of which one is to be called.
    pub(super) fn tools(&self) -> impl Iterator<Item = &'a ToolDefinition> {
        self.tools.iter().copied()
    }

    /// The grammar in Lark's syntax.
    ///
    /// # Errors
    /// What of a schema can't be enforced, as far as it is known without the library.
    pub(super) fn lark(&self) -> Result<String, String> {
        let mut lark = String::from("start: ");
        if self.behind_thought {
            // Models write them there.
            lark.push_str(r"/\n{1,2}/? ");
        }
        lark.push_str("call\ncall: ");
        let calls: Vec<_> = (0..self.tools.len())
            .map(|index| format!("call_{index}"))
            .collect();
        lark.push_str(&calls.join(" | "));
        for (index, tool) in self.tools.iter().enumerate() {
            let schema = json_schema::prepare(&Value::Object(tool.parameters().clone()))?;
            let call = self.sequence(tool.name(), index);
            // Writing to a text can't fail.
            let _ = write!(
                lark,
                "\ncall_{index}: {call}\narguments_{index}: %json {schema}"
            );
        }
        lark.push('\n');
        Ok(lark)
    }

    /// The parts of a call, one behind the other.
    fn sequence(&self, name: &str, index: usize) -> String {
        let mut parts: Vec<String> = Vec::new();
        let mut text = String::new();
        let flush = |text: &mut String, parts: &mut Vec<String>| {
            if !text.is_empty() {
                parts.push(Value::String(std::mem::take(text)).to_string());
            }
        };
        for part in self.form.parts(name) {
            // Texts next to each other are one, so that no name ends where a longer one goes on.
            let other = match part {
                Part::Text(more) => {
                    text.push_str(&more);
                    continue;
                }
                Part::Mark(mark) => match (self.special)(mark) {
                    None => {
                        text.push_str(mark);
                        continue;
                    }
                    Some(token) => format!("<[{token}]>"),
                },
                Part::Space => "\" \"?".to_owned(),
                Part::Id => "/[A-Za-z0-9]{9}/".to_owned(),
                Part::Arguments => format!("arguments_{index}"),
            };
            flush(&mut text, &mut parts);
            parts.push(other);
        }
        flush(&mut text, &mut parts);
        parts.join(" ")
    }
}
