//! A conversation as text for people, and for other programs.

use std::fmt::Write as _;

use engine_core::{Message, Role};
use serde::{Deserialize, Serialize};

/// A form in which a conversation can be written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ChatFormat {
    /// All that is needed to go on: messages and settings, versioned.
    Json,
    /// A heading for each message.
    Markdown,
    /// Messages between `<|im_start|>` and `<|im_end|>`, as many models read them.
    #[serde(rename = "chatml")]
    ChatMl,
    /// A line with the role, then the message.
    Text,
}

impl ChatFormat {
    /// The format that a file's ending stands for: `json`, `md` or `markdown`, `chatml`, `txt`.
    pub fn from_extension(extension: &str) -> Option<Self> {
        match extension.to_ascii_lowercase().as_str() {
            "json" => Some(Self::Json),
            "md" | "markdown" => Some(Self::Markdown),
            "chatml" => Some(Self::ChatMl),
            "txt" => Some(Self::Text),
            _ => None,
        }
    }
}

pub(super) fn to_text(messages: &[Message], format: ChatFormat) -> String {
    let mut text = String::new();
    for (index, message) in messages.iter().enumerate() {
        let (role, content) = (message.role, &message.content);
        // Writing to a string can't fail.
        let _ = match format {
            ChatFormat::ChatMl => writeln!(text, "<|im_start|>{role}\n{content}<|im_end|>"),
            ChatFormat::Markdown => {
                let gap = if index > 0 { "\n" } else { "" };
                writeln!(text, "{gap}## {}\n\n{content}", title(role))
            }
            _ => {
                let gap = if index > 0 { "\n" } else { "" };
                writeln!(text, "{gap}{}:\n{content}", title(role))
            }
        };
    }
    text
}

fn title(role: Role) -> &'static str {
    match role {
        Role::System => "System",
        Role::User => "User",
        Role::Assistant => "Assistant",
        Role::Tool => "Tool",
        _ => "Other",
    }
}
