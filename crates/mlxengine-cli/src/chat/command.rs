//! What a line that begins with `/` asks of the chat itself.

use std::path::Path;

use mlxengine::ChatFormat;

use crate::failure::Failure;

pub(crate) const HELP: &str = "\
/system TEXT      instructions from here on; without TEXT, none
/again            answer the last message once more
/edit TEXT        put TEXT in place of your last message, and answer it
/back             forget your last message and what came after it
/clear            forget the conversation, keep the instructions
/save FILE.json   write the conversation; `/load` and `--messages` go on with it
/load FILE.json   go on with another conversation
/export FILE      write the conversation for people, as .md, .txt or .chatml
/help             this list
/exit             leave; so does Ctrl-D
A line that shall begin with a slash begins with two.";

#[derive(Debug, PartialEq)]
pub(crate) enum Command<'a> {
    System(&'a str),
    Again,
    Edit(&'a str),
    Back,
    Clear,
    Save(&'a Path),
    Load(&'a Path),
    Export(&'a Path, ChatFormat),
    Help,
    Exit,
    /// No command: words for the model.
    Say(&'a str),
}

impl<'a> Command<'a> {
    pub(crate) fn parse(line: &'a str) -> Result<Self, Failure> {
        let Some(command) = line.strip_prefix('/') else {
            return Ok(Self::Say(line));
        };
        if command.starts_with('/') {
            return Ok(Self::Say(command));
        }
        let (name, rest) = command
            .split_once(char::is_whitespace)
            .unwrap_or((command, ""));
        match (name, rest.trim()) {
            ("system", text) => Ok(Self::System(text)),
            ("again", "") => Ok(Self::Again),
            ("edit", text) if !text.is_empty() => Ok(Self::Edit(text)),
            ("edit", _) => Err(misused("/edit needs a text".to_owned())),
            ("back", "") => Ok(Self::Back),
            ("clear", "") => Ok(Self::Clear),
            ("save" | "load" | "export", "") => Err(misused(format!("/{name} needs a file name"))),
            ("save", path) => Ok(Self::Save(Path::new(path))),
            ("load", path) => Ok(Self::Load(Path::new(path))),
            ("export", path) => {
                let path = Path::new(path);
                let ending = path.extension().and_then(|ending| ending.to_str());
                let format = ending.and_then(ChatFormat::from_extension);
                let format = format.ok_or_else(|| {
                    misused("/export needs a file that ends in .md, .txt, .chatml or .json".into())
                })?;
                Ok(Self::Export(path, format))
            }
            ("help", "") => Ok(Self::Help),
            ("exit" | "quit", "") => Ok(Self::Exit),
            ("again" | "back" | "clear" | "help" | "exit" | "quit", _) => {
                Err(misused(format!("/{name} stands alone on its line")))
            }
            _ => Err(misused(format!("there is no command /{name}"))),
        }
    }
}

fn misused(message: String) -> Failure {
    Failure::Usage {
        message,
        hint: "/help lists the commands; begin with // to send a line that starts with a slash",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_their_arguments_are_read() {
        for (line, command) in [
            ("/system  Be brief. ", Command::System("Be brief.")),
            ("/system", Command::System("")),
            ("/clear ", Command::Clear),
            ("/save a b.json", Command::Save(Path::new("a b.json"))),
            ("/load a b.json", Command::Load(Path::new("a b.json"))),
            (
                "/export chat.md",
                Command::Export(Path::new("chat.md"), ChatFormat::Markdown),
            ),
            ("/again", Command::Again),
            ("/edit  Why? ", Command::Edit("Why?")),
            ("/back", Command::Back),
            ("/help", Command::Help),
            ("/exit", Command::Exit),
        ] {
            assert_eq!(Command::parse(line).unwrap(), command, "{line}");
        }
    }

    #[test]
    fn other_lines_go_to_the_model_as_they_are() {
        for (line, said) in [
            ("  indented", "  indented"),
            ("1/2", "1/2"),
            ("//etc", "/etc"),
        ] {
            assert_eq!(Command::parse(line).unwrap(), Command::Say(said), "{line}");
        }
    }

    #[test]
    fn misspelt_commands_never_reach_the_model() {
        for line in [
            "/sytem x",
            "/",
            "/save",
            "/load ",
            "/edit",
            "/export chat",
            "/export chat.exe",
            "/again now",
            "/exit now",
            "/clear all",
        ] {
            assert!(
                matches!(Command::parse(line), Err(Failure::Usage { .. })),
                "{line}"
            );
        }
    }
}
