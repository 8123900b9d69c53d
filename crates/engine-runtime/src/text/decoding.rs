//! The decoders of `tokenizer.json`, one piece at a time.
//!
//! The library's decoders map a whole list of tokens to text. Each stage here does the same for
//! pieces as they come, and releases only what no later piece can change. The library's own
//! streaming (`DecodeStream`) decodes a window again for every token and holds back what ends in
//! U+FFFD, so that its joined pieces differ from the whole text when bytes are not UTF-8.

use tokenizers::DecoderWrapper;

use super::utf8_stream::Utf8Stream;

/// One step of decoding.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// Pieces are characters that stand for bytes, as in GPT-2.
    ByteLevel(Utf8Stream),
    /// Pieces such as `<0xE2>` are bytes; a run of them that is not UTF-8 as a whole becomes one
    /// U+FFFD for each byte, so a run is known only when it ends.
    ByteFallback(Vec<u8>),
    /// Replaces a text inside each piece.
    Replace { from: String, to: String },
    /// Replaces a character by a space, except that in the first piece it is dropped.
    Metaspace { mark: char, drop: bool },
    /// Drops up to `start` characters at the front of each piece, and up to `stop` at its back.
    Strip {
        mark: char,
        start: usize,
        stop: usize,
    },
    /// Drops up to `left` characters at the front of the whole text.
    StripFront { mark: char, left: usize },
    /// Puts a space between pieces: what happens without a decoder.
    Spaces { first: bool },
}

/// The stages that stream a decoder, or `None` if it has a kind that language models don't use, of
/// which only the whole text is known.
pub(super) fn stages(decoder: Option<&DecoderWrapper>) -> Option<Vec<Stage>> {
    let Some(decoder) = decoder else {
        return Some(vec![Stage::Spaces { first: true }]);
    };
    let mut builder = Builder::default();
    builder.add(decoder)?;
    Some(builder.stages)
}

#[derive(Default)]
struct Builder {
    stages: Vec<Stage>,
    /// Whether what comes is one piece, however it arrives.
    fused: bool,
}

impl Builder {
    fn add(&mut self, decoder: &DecoderWrapper) -> Option<()> {
        let stage = match decoder {
            DecoderWrapper::Sequence(sequence) => {
                return sequence
                    .get_decoders()
                    .iter()
                    .try_for_each(|decoder| self.add(decoder));
            }
            DecoderWrapper::Fuse(_) => {
                self.fused = true;
                return Some(());
            }
            DecoderWrapper::Strip(strip) if self.fused && strip.stop == 0 => Stage::StripFront {
                mark: strip.content,
                left: strip.start,
            },
            _ if self.fused => return None,
            DecoderWrapper::ByteLevel(_) => {
                self.fused = true;
                Stage::ByteLevel(Utf8Stream::default())
            }
            DecoderWrapper::ByteFallback(_) => Stage::ByteFallback(Vec::new()),
            DecoderWrapper::Replace(replace) => {
                // The library shows the pattern only in its JSON form.
                let json = serde_json::to_value(replace).ok()?;
                let from = json.get("pattern")?.get("String")?.as_str()?;
                if from.is_empty() {
                    return None;
                }
                Stage::Replace {
                    from: from.to_owned(),
                    to: json.get("content")?.as_str()?.to_owned(),
                }
            }
            DecoderWrapper::Metaspace(metaspace) => Stage::Metaspace {
                mark: metaspace.get_replacement(),
                drop: metaspace.get_prepend_scheme()
                    != tokenizers::pre_tokenizers::metaspace::PrependScheme::Never,
            },
            DecoderWrapper::Strip(strip) => Stage::Strip {
                mark: strip.content,
                start: strip.start,
                stop: strip.stop,
            },
            _ => return None,
        };
        self.stages.push(stage);
        Some(())
    }
}

/// Passes a piece through the stages; what comes out at the end is added to `text`.
pub(super) fn feed(stages: &mut [Stage], piece: &str, text: &mut String) {
    let Some((stage, rest)) = stages.split_first_mut() else {
        text.push_str(piece);
        return;
    };
    match stage {
        Stage::ByteLevel(stream) => {
            // One character that stands for no byte, and the whole piece is text.
            let bytes: Option<Vec<u8>> = piece.chars().map(byte_of).collect();
            let bytes = bytes.as_deref().unwrap_or(piece.as_bytes());
            feed(rest, &stream.push(bytes), text);
        }
        Stage::ByteFallback(run) => {
            if let Some(byte) = byte_piece(piece) {
                run.push(byte);
            } else {
                end_run(run, rest, text);
                feed(rest, piece, text);
            }
        }
        Stage::Replace { from, to } => feed(rest, &piece.replace(from.as_str(), to), text),
        Stage::Metaspace { mark, drop } => {
            let by = if *drop { "" } else { " " };
            *drop = false;
            feed(rest, &piece.replace(*mark, by), text);
        }
        Stage::Strip { mark, start, stop } => {
            feed(rest, strip(piece, *mark, *start, *stop), text);
        }
        Stage::StripFront { mark, left } => {
            let mut piece = piece;
            while *left > 0 && !piece.is_empty() {
                match piece.strip_prefix(*mark) {
                    Some(stripped) => {
                        piece = stripped;
                        *left -= 1;
                    }
                    None => *left = 0,
                }
            }
            feed(rest, piece, text);
        }
        Stage::Spaces { first } => {
            if !std::mem::take(first) {
                feed(rest, " ", text);
            }
            feed(rest, piece, text);
        }
    }
}

/// Ends the text: releases what the stages hold.
pub(super) fn finish(stages: &mut [Stage], text: &mut String) {
    let Some((stage, rest)) = stages.split_first_mut() else {
        return;
    };
    match stage {
        Stage::ByteLevel(stream) => feed(rest, stream.finish(), text),
        Stage::ByteFallback(run) => end_run(run, rest, text),
        _ => {}
    }
    finish(rest, text);
}

/// Hands on a run of byte pieces as text.
fn end_run(run: &mut Vec<u8>, rest: &mut [Stage], text: &mut String) {
    if run.is_empty() {
        return;
    }
    match std::str::from_utf8(run) {
        Ok(run) => feed(rest, run, text),
        Err(_) => (0..run.len()).for_each(|_| feed(rest, "\u{FFFD}", text)),
    }
    run.clear();
}

/// The byte of a piece such as `<0xE2>`.
pub(super) fn byte_piece(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2)
        .then(|| u8::from_str_radix(digits, 16).ok())
        .flatten()
}

pub(super) fn strip(piece: &str, mark: char, start: usize, stop: usize) -> &str {
    let mut piece = piece;
    for _ in 0..start {
        piece = piece.strip_prefix(mark).unwrap_or(piece);
    }
    for _ in 0..stop {
        piece = piece.strip_suffix(mark).unwrap_or(piece);
    }
    piece
}

/// The byte that a character stands for in byte-level pieces (`bytes_to_unicode` of GPT-2):
/// printable Latin-1 characters for themselves, the other 68 bytes, in order, from U+0100.
pub(super) fn byte_of(character: char) -> Option<u8> {
    match u32::from(character) {
        code @ (0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF) => Some(code as u8),
        code @ 0x100..=0x120 => Some((code - 0x100) as u8),
        code @ 0x121..=0x142 => Some((code - 0x121) as u8 + 0x7F),
        0x143 => Some(0xAD),
        _ => None,
    }
}
