//! The threads that find masks.

use std::{
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use engine_core::Constraint;
use serde_json::json;

use super::{Finders, Guide};
use crate::{TextPipeline, TextSources};

/// An answer of the letter "a" alone, whose masks are found by these threads.
fn guide(finders: &Arc<Finders>) -> Guide {
    let tokenizer = json!({
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true,
        },
        "decoder": {
            "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true,
        },
        "model": { "type": "BPE", "vocab": { "a": 0 }, "merges": [] },
    });
    let text = TextPipeline::new(TextSources {
        tokenizer_json: &tokenizer.to_string(),
        ..TextSources::default()
    });
    let text = text.expect("a pipeline");
    let letters = Constraint::Regex("a{1,9}".to_owned());
    let guide = text.constrain(&letters).expect("a form");
    Guide {
        finders: Arc::clone(finders),
        ..guide
    }
}

/// Lets a thread come to an answer, and waits until one has.
fn is_come_to(guide: &Guide) -> bool {
    guide.look_ahead();
    let begun = Instant::now();
    while guide.answer.is_queued.load(Ordering::Acquire) {
        if begun.elapsed() > Duration::from_secs(20) {
            return false;
        }
        thread::yield_now();
    }
    true
}

#[test]
fn an_answer_in_use_keeps_no_thread_from_the_others() {
    const THREADS: usize = 2;
    let finders = Arc::new(Finders::with_threads(THREADS));
    let (in_use, other) = (guide(&finders), guide(&finders));
    let outcome = in_use.with_mask(|_| {
        for _ in 0..THREADS {
            assert!(is_come_to(&in_use));
        }
        Ok(is_come_to(&other))
    });
    assert!(outcome.expect("a mask"), "nobody came to the other answer");
}
