//! Chats and tools in files.

use std::{fs, io::Write as _, path::Path};

use mlxengine::{Message, ToolDefinition};
use tempfile::NamedTempFile;

use crate::failure::Failure;

/// Reads what [`save`] writes.
pub(crate) fn read(path: &Path) -> Result<Vec<Message>, Failure> {
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

/// Writes the messages as a JSON array, in place of what was there; the file is whole or untouched.
pub(crate) fn save(messages: &[Message], path: &Path) -> Result<(), Failure> {
    let write = || {
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut file = NamedTempFile::new_in(folder)?;
        serde_json::to_writer_pretty(&mut file, messages)?;
        file.write_all(b"\n")?;
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
    fn what_is_saved_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.json");
        let chat = [
            Message::system("Be brief."),
            Message::user("a \"quoted\" 你好"),
        ];
        save(&chat, &path).unwrap();
        assert_eq!(read(&path).unwrap(), chat);
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
