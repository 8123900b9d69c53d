//! The events of an answer: its text detokenized, cut at a stop string, and parted into what the
//! model thinks, says and calls.

use engine_core::{
    GenerationEvent, InvalidToolCall, Result, TokenId, TokenLogprobs, ToolCallProblem,
};

use crate::{
    Detokenizer, OutputGrammar, OutputParser, Part, Phase, StopMatch, StopMatcher,
    tools::OfferedTools,
};

/// Turns tokens into the events that may be sent.
#[derive(Debug)]
pub(super) struct Answer {
    detokenizer: Detokenizer,
    stops: StopMatcher,
    parts: Option<Parting>,
    /// Tokens that no event has delivered, and their probabilities if they are wanted.
    tokens: Vec<TokenId>,
    logprobs: Vec<TokenLogprobs>,
}

/// What parts an answer, where there is more than text.
#[derive(Debug)]
struct Parting {
    parser: OutputParser,
    tools: Option<OfferedTools>,
    /// Tokens spent on thinking, and those that may turn out to be.
    reasoning_tokens: usize,
    undecided_tokens: usize,
    /// Calls that have come, and those of them and of the ones being written that were begun.
    calls: usize,
    begun_calls: usize,
}

/// Events that may be sent, and the index of the stop string that ends the answer, if one came up.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub(super) events: Vec<GenerationEvent>,
    pub(super) stop: Option<usize>,
}

impl Piece {
    /// Adds what comes last. Text behind text is one event.
    pub(super) fn append(&mut self, rest: Self) {
        let mut events = rest.events.into_iter().peekable();
        if let (
            Some(GenerationEvent::Delta {
                text,
                tokens,
                logprobs,
            }),
            Some(GenerationEvent::Delta {
                text: more,
                tokens: ids,
                logprobs: of_ids,
            }),
        ) = (self.events.last_mut(), events.peek_mut())
        {
            text.push_str(more);
            tokens.append(ids);
            logprobs.append(of_ids);
            events.next();
        }
        self.events.extend(events);
    }
}

impl Answer {
    /// An answer in which all is text.
    pub(super) fn plain(detokenizer: Detokenizer, stops: &[String]) -> Self {
        Self {
            detokenizer,
            stops: StopMatcher::new(stops),
            parts: None,
            tokens: Vec::new(),
            logprobs: Vec::new(),
        }
    }

    /// An answer of this grammar; `tools` check its calls.
    pub(super) fn parted(
        detokenizer: Detokenizer,
        stops: &[String],
        grammar: &OutputGrammar,
        tools: Option<OfferedTools>,
    ) -> Self {
        Self {
            parts: Some(Parting {
                parser: OutputParser::new(grammar),
                tools,
                reasoning_tokens: 0,
                undecided_tokens: 0,
                calls: 0,
                begun_calls: 0,
            }),
            ..Self::plain(detokenizer, stops)
        }
    }

    /// The tokens spent on thinking so far.
    pub(super) fn reasoning_tokens(&self) -> usize {
        self.parts
            .as_ref()
            .map_or(0, |parts| parts.reasoning_tokens)
    }

    /// Whether the next token would be one more of a thought.
    pub(super) fn is_reasoning(&self) -> bool {
        self.parts
            .as_ref()
            .is_some_and(|parts| parts.parser.phase() == Phase::Reasoning)
    }

    /// Adds a token, with its probability if it is wanted.
    pub(super) fn push(&mut self, token: TokenId, logprobs: Option<TokenLogprobs>) -> Piece {
        self.tokens.push(token);
        self.logprobs.extend(logprobs);
        let was_reasoning = self.is_reasoning();
        let text = self.detokenizer.push(token);
        let piece = self.advance(&text);
        if let Some(parts) = &mut self.parts {
            parts.count(was_reasoning);
        }
        piece
    }

    /// Ends the answer: what was held back comes out, and with it every token that did not.
    pub(super) fn finish(&mut self) -> Result<Piece> {
        let text = self.detokenizer.finish()?;
        let mut piece = self.advance(&text);
        if piece.stop.is_none() {
            let rest = self.stops.finish();
            let (text, stop) = parted(rest);
            piece.stop = stop;
            piece.events.extend(self.events_of(&text));
            piece.events.extend(self.last_events());
        }
        self.deliver(&mut piece.events);
        if !self.tokens.is_empty() {
            piece.events.push(delta(String::new()));
            self.deliver(&mut piece.events);
        }
        Ok(piece)
    }

    /// Passes text through the stop strings and on.
    fn advance(&mut self, text: &str) -> Piece {
        let (text, stop) = parted(self.stops.push(text));
        let mut events = self.events_of(&text);
        if stop.is_some() {
            events.extend(self.last_events());
        }
        let have_none = events.iter_mut().all(|event| carried(event).is_none());
        if (self.parts.is_none() || stop.is_some()) && have_none && !self.tokens.is_empty() {
            events.push(delta(String::new()));
        }
        self.deliver(&mut events);
        Piece { events, stop }
    }

    fn events_of(&mut self, text: &str) -> Vec<GenerationEvent> {
        match &mut self.parts {
            None if text.is_empty() => Vec::new(),
            None => vec![delta(text.to_owned())],
            Some(parts) => {
                let list = parts.parser.push(text);
                parts.events(list)
            }
        }
    }

    fn last_events(&mut self) -> Vec<GenerationEvent> {
        let Some(parts) = &mut self.parts else {
            return Vec::new();
        };
        let list = parts.parser.finish();
        parts.events(list)
    }

    /// Gives the tokens that have come to the first event that has any.
    fn deliver(&mut self, events: &mut [GenerationEvent]) {
        if let Some((tokens, logprobs)) = events.iter_mut().find_map(carried) {
            tokens.append(&mut self.tokens);
            logprobs.append(&mut self.logprobs);
        }
    }
}

impl Parting {
    fn events(&mut self, parts: Vec<Part>) -> Vec<GenerationEvent> {
        parts
            .into_iter()
            .filter_map(|part| self.event(part))
            .collect()
    }

    fn event(&mut self, part: Part) -> Option<GenerationEvent> {
        let (tokens, logprobs) = (Vec::new(), Vec::new());
        Some(match part {
            Part::Text(text) => delta(text),
            Part::Reasoning(text) => GenerationEvent::Reasoning {
                text,
                tokens,
                logprobs,
            },
            // The grammar has calls only where there are tools.
            Part::CallDelta { .. } if self.tools.is_none() => return None,
            Part::CallDelta { name, arguments } => {
                self.begun_calls += usize::from(name.is_some());
                GenerationEvent::ToolCallDelta {
                    index: self.begun_calls.saturating_sub(1),
                    name,
                    arguments,
                }
            }
            Part::Malformed { text, reason } => {
                self.calls += 1;
                self.begun_calls = self.calls;
                GenerationEvent::InvalidToolCall {
                    invalid: InvalidToolCall::new(text, ToolCallProblem::Malformed { reason }),
                    tokens,
                    logprobs,
                }
            }
            Part::Call(call) => match &mut self.tools {
                None => delta(call.text),
                Some(tools) => {
                    self.calls += 1;
                    self.begun_calls = self.begun_calls.max(self.calls);
                    let text = call.text.clone();
                    match tools.check(call) {
                        Ok(call) => GenerationEvent::ToolCall {
                            call,
                            text,
                            tokens,
                            logprobs,
                        },
                        Err(invalid) => GenerationEvent::InvalidToolCall {
                            invalid,
                            tokens,
                            logprobs,
                        },
                    }
                }
            },
        })
    }

    /// Counts a token by what its text turned out to be.
    fn count(&mut self, was_reasoning: bool) {
        match self.parser.phase() {
            Phase::Undecided if !was_reasoning => self.undecided_tokens += 1,
            Phase::Reasoning => {
                self.reasoning_tokens += 1 + std::mem::take(&mut self.undecided_tokens);
            }
            Phase::Undecided | Phase::Answer => {
                self.reasoning_tokens += usize::from(was_reasoning);
                self.undecided_tokens = 0;
            }
        }
    }
}

/// Where an event has its tokens and their probabilities, if it has any.
fn carried(event: &mut GenerationEvent) -> Option<(&mut Vec<TokenId>, &mut Vec<TokenLogprobs>)> {
    match event {
        GenerationEvent::Delta {
            tokens, logprobs, ..
        }
        | GenerationEvent::Reasoning {
            tokens, logprobs, ..
        }
        | GenerationEvent::ToolCall {
            tokens, logprobs, ..
        }
        | GenerationEvent::InvalidToolCall {
            tokens, logprobs, ..
        } => Some((tokens, logprobs)),
        _ => None,
    }
}

fn delta(text: String) -> GenerationEvent {
    GenerationEvent::Delta {
        text,
        tokens: Vec::new(),
        logprobs: Vec::new(),
    }
}

fn parted(result: Result<String, StopMatch>) -> (String, Option<usize>) {
    match result {
        Ok(text) => (text, None),
        Err(StopMatch { text, stop }) => (text, Some(stop)),
    }
}
