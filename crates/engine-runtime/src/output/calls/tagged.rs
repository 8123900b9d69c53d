//! Calls between tags.

use engine_core::ToolFormat;

use super::{
    super::{
        Parts, Step,
        json_end::JsonEnd,
        preview::Preview,
        tags::{Place, Search, find, take},
    },
    CUT_OFF,
    body::{DEEPSEEK_BEGIN, DEEPSEEK_END, DEEPSEEK_SEPARATOR, calls_of_body},
    gemma4,
};

/// The tags of a family.
#[derive(Debug)]
pub(in crate::output) struct Tags {
    open: &'static str,
    close: &'static str,
    /// What has a meaning between them, and may be a special token.
    inside: &'static [&'static str],
}

/// The tags of a format; `None` if its calls stand between none.
pub(super) const fn tags(format: ToolFormat) -> Option<&'static Tags> {
    Some(match format {
        ToolFormat::Hermes => &Tags {
            open: "<tool_call>",
            close: "</tool_call>",
            inside: &["<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"],
        },
        ToolFormat::SeedOss => &Tags {
            open: "<seed:tool_call>",
            close: "</seed:tool_call>",
            inside: &[],
        },
        ToolFormat::DeepSeek => &Tags {
            open: "<｜tool▁calls▁begin｜>",
            close: "<｜tool▁calls▁end｜>",
            inside: &[DEEPSEEK_BEGIN, DEEPSEEK_SEPARATOR, DEEPSEEK_END],
        },
        ToolFormat::Cohere => &Tags {
            open: "<|START_ACTION|>",
            close: "<|END_ACTION|>",
            inside: &[],
        },
        ToolFormat::Jamba => &Tags {
            open: "<tool_calls>",
            close: "</tool_calls>",
            inside: &[],
        },
        ToolFormat::Phi4Mini => &Tags {
            open: "<|tool_call|>",
            close: "<|/tool_call|>",
            inside: &[],
        },
        ToolFormat::Lfm2 => &Tags {
            open: "<|tool_call_start|>",
            close: "<|tool_call_end|>",
            inside: &[],
        },
        ToolFormat::Gemma4 => &Tags {
            open: "<|tool_call>",
            close: "<tool_call|>",
            inside: &[gemma4::QUOTE],
        },
        _ => return None,
    })
}

impl Tags {
    pub(super) fn markers(&self) -> Vec<&'static str> {
        [&[self.open, self.close], self.inside].concat()
    }
}

/// Finds calls between tags.
#[derive(Debug)]
pub(in crate::output) struct Tagged {
    tags: &'static Tags,
    inside: Option<Inside>,
}

/// A call under way, which the text begins with.
#[derive(Debug)]
struct Inside {
    close: Search,
    /// Where its body ends, if that is JSON: a closing tag may stand in a text of it.
    json: JsonEnd,
    preview: Preview,
}

impl Tagged {
    pub(super) const fn new(tags: &'static Tags) -> Self {
        Self { tags, inside: None }
    }

    pub(super) fn step(&mut self, held: &mut String, ended: bool, parts: &mut Parts) -> Step {
        let Tags { open, close, .. } = self.tags;
        let Some(inside) = &mut self.inside else {
            return match find(held, open) {
                Place::Found(at) => {
                    parts.text(&take(held, at));
                    self.inside = Some(Inside {
                        close: Search::from(open.len()),
                        json: JsonEnd::default(),
                        preview: Preview::of_body(),
                    });
                    Step::Further
                }
                Place::NotBefore(at) => {
                    let at = if ended { held.len() } else { at };
                    parts.text(&take(held, at));
                    Step::Wait
                }
            };
        };
        let Inside { preview, json, .. } = inside;
        match inside.close.find(held, close) {
            Place::Found(end) => {
                let body = &held[open.len()..end];
                let behind = end + close.len();
                // A closing tag inside a text is one of the arguments.
                if ends_in_text(body, json) {
                    inside.close = Search::from(behind);
                    return Step::Further;
                }
                preview.look(body, parts);
                let outcome = preview.settle(calls_of_body(body));
                parts.outcome(outcome, &take(held, behind));
                self.inside = None;
                Step::Further
            }
            Place::NotBefore(_) if ended => {
                // Some models leave the last closing tag out. What ends by itself is whole without.
                let body = &held[open.len()..];
                preview.look(body, parts);
                let outcome = if body.trim_end().ends_with(['}', ']', ')', '>']) {
                    let calls = calls_of_body(body).map_err(|_| CUT_OFF.to_owned());
                    preview.settle(calls)
                } else {
                    Err(CUT_OFF.to_owned())
                };
                parts.outcome(outcome, &std::mem::take(held));
                self.inside = None;
                Step::Wait
            }
            Place::NotBefore(at) => {
                preview.look(&held[open.len()..at], parts);
                Step::Wait
            }
        }
    }
}

/// Whether a body of JSON ends inside a text.
fn ends_in_text(body: &str, end: &mut JsonEnd) -> bool {
    let body = body.trim_start();
    body.starts_with(['{', '[']) && end.look(body).is_none() && end.is_in_text()
}
