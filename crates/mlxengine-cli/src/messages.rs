//! Chats and tools in files.

use std::{fs, io::Write as _, path::Path};

use mlxengine::{ChatOptions, ChatSession, InferenceEngine, Message, ToolDefinition};
use serde::Deserialize as _;
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::failure::Failure;

/// The messages of a file: a JSON array of them, or what `/save` writes.
pub(crate) fn read(path: &Path) -> Result<Vec<Message>, Failure> {
    let mut value = read_json(path)?;
    if let Some(messages) = value.get_mut("messages") {
        value = messages.take();
    }
    Vec::deserialize(value).map_err(|source| Failure::Messages {
        path: path.to_owned(),
        source,
    })
}

/// The chat of a file: a JSON array of messages, or what `/save` writes. The command line's
/// settings hold, and not those of the file.
pub(crate) fn read_chat(
    path: &Path,
    engine: &InferenceEngine,
    options: ChatOptions,
) -> Result<ChatSession, Failure> {
    let value = read_json(path)?;
    let chat = if value.is_array() {
        ChatSession::from_messages(engine, read(path)?)
    } else {
        ChatSession::restore(engine, &value.to_string())?
    };
    Ok(chat.with_options(options))
}

fn read_json(path: &Path) -> Result<Value, Failure> {
    serde_json::from_str(&text(path)?).map_err(|source| Failure::Messages {
        path: path.to_owned(),
        source,
    })
}

/// Reads definitions of tools.
pub(crate) fn read_tools(path: &Path) -> Result<Vec<ToolDefinition>, Failure> {
    serde_json::from_str(&text(path)?).map_err(|error| Failure::Usage {
        message: format!("the tools in {} can't be read: {error}", path.display()),
        hint: "write a list of tools; see `mlxengine generate --help`",
    })
}

fn text(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|source| Failure::Read {
        what: path.display().to_string(),
        source,
    })
}

/// Writes a text in place of what was there; the file is whole or untouched.
pub(crate) fn write(text: &str, path: &Path) -> Result<(), Failure> {
    let write = || {
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            file.write_all(b"\n")?;
        }
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|source| Failure::Write {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_and_a_saved_chat_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.json");
        let messages = [
            Message::system("Be brief."),
            Message::user("a \"quoted\" 你好"),
        ];
        let array = serde_json::to_string(&messages).unwrap();
        for text in [array.clone(), format!("{{\"messages\": {array}}}")] {
            write(&text, &path).unwrap();
            assert_eq!(read(&path).unwrap(), messages);
        }
    }

    #[test]
    fn a_file_that_is_no_chat_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.json");
        for text in ["", "{}", "[1]", r#"[{"role": "king", "content": "x"}]"#] {
            fs::write(&path, text).unwrap();
            let failure = read(&path).unwrap_err();
            assert!(matches!(failure, Failure::Messages { path: named, .. } if named == path));
        }
    }
}
