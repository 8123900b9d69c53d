//! `DeepSeek`'s calls: `BEGIN NAME SEPARATOR {...} END`, or `BEGIN function SEPARATOR NAME` and a
//! code block, several in a row.

use super::{
    super::{
        calls::{DEEPSEEK_BEGIN, DEEPSEEK_BLOCK, DEEPSEEK_END, DEEPSEEK_SEPARATOR},
        tags::{Place, Search},
    },
    Parts, Shown,
    arguments::ArgumentsScan,
};

/// Shows calls one after another.
#[derive(Debug, Default)]
pub(super) struct DeepSeekScan {
    /// How much of the text has been read.
    at: usize,
    state: State,
    /// Looks for what the state waits for.
    search: Search,
}

#[derive(Debug, Default)]
enum State {
    /// Before a call.
    #[default]
    Between,
    /// Behind its beginning.
    Kind,
    /// Behind the separator; what stood before it may be the name.
    Name(String),
    Arguments(ArgumentsScan),
    /// Behind the arguments.
    End,
    Over,
}

impl DeepSeekScan {
    pub(super) fn look(&mut self, text: &str, shown: &mut Shown, parts: &mut Parts) {
        loop {
            let rest = &text[self.at..];
            let (read, next) = match &mut self.state {
                State::Over => return,
                State::Between => {
                    let call = rest.trim_start();
                    if call.starts_with(DEEPSEEK_BEGIN) {
                        let space = rest.len() - call.len();
                        (space + DEEPSEEK_BEGIN.len(), State::Kind)
                    } else if DEEPSEEK_BEGIN.starts_with(call) {
                        return;
                    } else {
                        (0, State::Over)
                    }
                }
                State::Kind => match self.search.find(rest, DEEPSEEK_SEPARATOR) {
                    Place::NotBefore(_) => return,
                    Place::Found(at) => (
                        at + DEEPSEEK_SEPARATOR.len(),
                        State::Name(rest[..at].trim().to_owned()),
                    ),
                },
                State::Name(kind) => {
                    let (read, name) = if rest.trim_start().starts_with('{') {
                        (0, kind.as_str())
                    } else {
                        let tags = [DEEPSEEK_BLOCK, DEEPSEEK_END];
                        match self.search.find_any(rest, &tags) {
                            (Place::NotBefore(_), _) => return,
                            (Place::Found(at), 0) => (at + DEEPSEEK_BLOCK.len(), rest[..at].trim()),
                            // It ends without arguments.
                            (Place::Found(_), _) => (0, ""),
                        }
                    };
                    if name.is_empty() {
                        (0, State::Over)
                    } else {
                        shown.begin(name, parts);
                        (read, State::Arguments(ArgumentsScan::default()))
                    }
                }
                State::Arguments(scan) => match scan.look(rest, shown, parts) {
                    None => return,
                    Some(read) => (read, State::End),
                },
                State::End => match self.search.find(rest, DEEPSEEK_END) {
                    Place::NotBefore(_) => return,
                    Place::Found(at) => (at + DEEPSEEK_END.len(), State::Between),
                },
            };
            self.at += read;
            self.state = next;
            self.search = Search::default();
        }
    }
}
