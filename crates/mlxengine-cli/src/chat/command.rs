//! What a line that begins with `/` asks of the chat itself.

use std::path::Path;

use crate::failure::Failure;

pub(crate) const HELP: &str = "\
/system TEXT      instructions from here on; without TEXT, none
/clear            forget the conversation, keep the instructions
/save FILE.json   write the conversation; `--messages FILE.json` goes on with it
/help             this list
/exit             leave; so does Ctrl-D
A line that shall begin with a slash begins with two.";

#[derive(Debug, PartialEq)]
pub(crate) enum Command<'a> {
    System(&'a str),
    Clear,
    Save(&'a Path),
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
            ("clear", "") => Ok(Self::Clear),
            ("save", path) if !path.is_empty() => Ok(Self::Save(Path::new(path))),
            ("save", _) => Err(misused("/save needs a file name".to_owned())),
            ("help", "") => Ok(Self::Help),
            ("exit" | "quit", "") => Ok(Self::Exit),
            ("clear" | "help" | "exit" | "quit", _) => {
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
        for line in ["/sytem x", "/", "/save", "/exit now", "/clear all"] {
            assert!(
                matches!(Command::parse(line), Err(Failure::Usage { .. })),
                "{line}"
            );
        }
    }
}
