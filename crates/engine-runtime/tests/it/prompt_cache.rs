//! Requests that begin like earlier ones.

use std::sync::Arc;

use engine_core::{
    Completion, Engine, EngineExt as _, Error, Field, GenerateParams, GenerateRequest,
    GenerationEvent, Prompt, TokenId,
};
use futures_executor::block_on;
use futures_util::{StreamExt as _, future::join_all};
use proptest::prelude::*;

use crate::hash_model::{BYTES_OF_A_TOKEN, Cuts, END, Flaw, Kind};

const ANSWER: usize = 6;

fn request(prompt: &[TokenId]) -> GenerateRequest {
    let params = GenerateParams::greedy().with_max_tokens(ANSWER as u32);
    GenerateRequest::new(Prompt::Tokens(prompt.to_vec())).with_params(params)
}

fn ask(engine: &Arc<dyn Engine>, prompt: &[TokenId]) -> engine_core::Result<Completion> {
    block_on(engine.complete(request(prompt)))
}

/// Asks, fails unless the answer is the model's, and says how much of the prompt was cached.
fn cached(kind: &Kind, engine: &Arc<dyn Engine>, prompt: &[TokenId]) -> usize {
    let answer = ask(engine, prompt).unwrap();
    assert_eq!(answer.tokens, kind.answer(prompt, ANSWER), "{prompt:?}");
    answer.summary.usage.cached_prompt_tokens
}

/// A prompt of `len` tokens that differs from others in its first and in every third one.
fn prompt(first: TokenId, len: usize) -> Vec<TokenId> {
    (0..len as TokenId)
        .map(|index| (first + index * (1 + first % 3)) % END)
        .collect()
}

#[test]
fn a_turn_costs_only_its_new_tokens() {
    let kind = Kind::default();
    let engine = kind.engine();
    let mut chat = prompt(1, 30);
    assert_eq!(cached(&kind, &engine, &chat), 0);
    kind.tokens_read();
    for _ in 0..5 {
        let before = chat.len();
        let answer = kind.answer(&chat, ANSWER);
        chat.extend(&answer);
        chat.extend(prompt(4, 7));
        let found = cached(&kind, &engine, &chat);
        // All that was generated is in the sequence, but for a last token that nothing followed.
        assert!(found + 1 >= before + answer.len(), "{found} of {before}");
        let generated = kind.answer(&chat, ANSWER).len();
        assert!(kind.tokens_read() <= chat.len() - found + generated + 1);
    }
}

#[test]
fn another_ending_is_read_from_where_it_differs() {
    let kind = Kind::default();
    let engine = kind.engine();
    let one = prompt(1, 40);
    cached(&kind, &engine, &one);
    let mut other = one[..25].to_vec();
    other.extend([END, 3, END, 3]);
    assert_eq!(cached(&kind, &engine, &other), 25);
    assert_eq!(cached(&kind, &engine, &one), 39);
    assert_eq!(cached(&kind, &engine, &other), 28);
}

#[test]
fn without_a_budget_nothing_is_kept() {
    let kind = Kind {
        budget: Some(0),
        ..Kind::default()
    };
    let engine = kind.engine();
    for _ in 0..2 {
        assert_eq!(cached(&kind, &engine, &prompt(1, 20)), 0);
    }
    let memory = block_on(engine.memory()).unwrap();
    assert_eq!(
        (memory.sequences, memory.cached_prompts, memory.kv_bytes),
        (0, 0, 0)
    );
}

#[test]
fn what_was_used_longest_ago_makes_room() {
    let kind = Kind {
        budget: Some(70 * BYTES_OF_A_TOKEN),
        ..Kind::default()
    };
    let engine = kind.engine();
    let prompts = [prompt(1, 20), prompt(2, 20), prompt(4, 20)];
    cached(&kind, &engine, &prompts[0]);
    cached(&kind, &engine, &prompts[1]);
    assert_eq!(cached(&kind, &engine, &prompts[0]), 19);
    cached(&kind, &engine, &prompts[2]);
    let memory = block_on(engine.memory()).unwrap();
    assert!(
        memory.prompt_cache_bytes <= 70 * BYTES_OF_A_TOKEN,
        "{memory:?}"
    );
    assert_eq!(memory.sequences, 0);
    assert_eq!(cached(&kind, &engine, &prompts[0]), 19);
    assert_eq!(cached(&kind, &engine, &prompts[1]), 0);
}

#[test]
fn trimming_frees_what_is_kept() {
    let kind = Kind::default();
    let engine = kind.engine();
    cached(&kind, &engine, &prompt(1, 20));
    let full = block_on(engine.memory()).unwrap();
    assert_eq!((full.cached_prompts, full.sequences), (1, 0));
    assert!(full.prompt_cache_bytes >= 20 * BYTES_OF_A_TOKEN);
    block_on(engine.trim()).unwrap();
    let empty = block_on(engine.memory()).unwrap();
    assert_eq!((empty.cached_prompts, empty.kv_bytes), (0, 0));
    assert_eq!(cached(&kind, &engine, &prompt(1, 20)), 0);
}

#[test]
fn where_memory_ends_the_cache_makes_way() {
    let kind = Kind {
        room: 60,
        ..Kind::default()
    };
    let engine = kind.engine();
    for first in 1..5 {
        assert_eq!(cached(&kind, &engine, &prompt(first, 40)), 0);
    }
    // And where it is too little all the same, that is the answer.
    let error = ask(&engine, &prompt(1, 61)).unwrap_err();
    assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
    cached(&kind, &engine, &prompt(2, 40));
}

#[test]
fn what_is_used_longest_ago_makes_room_for_saving() {
    let kind = Kind {
        room: 60,
        ..Kind::default()
    };
    let engine = kind.engine();
    // Five tokens are left, and to tell which model this is takes twelve.
    for first in 1..4 {
        assert_eq!(cached(&kind, &engine, &prompt(first, 14)), 0);
    }
    assert_eq!(
        block_on(engine.memory()).unwrap().kv_bytes,
        55 * BYTES_OF_A_TOKEN
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prompts.safetensors");
    let saved = block_on(engine.save_prompt_cache(&path)).unwrap();
    assert_eq!(saved.prompts, 2);
    assert_eq!(cached(&kind, &engine, &prompt(3, 14)), 13);
}

#[test]
fn a_model_that_cannot_cut_comes_back_to_messages_and_pieces() {
    let kind = Kind {
        cuts: Cuts::Nowhere,
        prefill_chunk: 16,
        ..Kind::default()
    };
    let engine = kind.engine();
    // Two messages of 11 and 9 tokens, and a third one of 25 that takes two pieces.
    let mut one = [prompt(1, 10), vec![END], prompt(2, 8), vec![END]].concat();
    let messages = one.len();
    one.extend(prompt(3, 25));
    assert_eq!(cached(&kind, &engine, &one), 0);
    // The same in its first message alone.
    let other = [&one[..11], &prompt(7, 9)].concat();
    assert_eq!(cached(&kind, &engine, &other), 11);
    // In two messages.
    let other = [&one[..messages], &prompt(7, 9)].concat();
    assert_eq!(cached(&kind, &engine, &other), messages);
    // In a piece of the third one as well.
    let other = [&one[..messages + 20], &prompt(7, 9)].concat();
    assert_eq!(cached(&kind, &engine, &other), messages + 16);
    // All of it, and what was answered.
    let answer = kind.answer(&one, ANSWER);
    let longer = [&one[..], &answer, &prompt(9, 5)].concat();
    assert!(cached(&kind, &engine, &longer) >= one.len() + answer.len() - 1);
}

#[test]
fn a_model_that_cuts_a_little_comes_back_within_that_and_to_messages_and_pieces() {
    let kind = Kind {
        cuts: Cuts::Within(10),
        prefill_chunk: 16,
        ..Kind::default()
    };
    let engine = kind.engine();
    let one = [prompt(1, 10), vec![END], prompt(3, 34)].concat();
    assert_eq!(cached(&kind, &engine, &one), 0);
    // Cut from the end: the same again, and one that differs in its last tokens.
    assert_eq!(cached(&kind, &engine, &one), one.len() - 1);
    let other = [&one[..one.len() - 2], &prompt(7, 9)].concat();
    assert_eq!(cached(&kind, &engine, &other), one.len() - 2);
    // Further back only where a piece, or a message, ends.
    let other = [&one[..30], &prompt(7, 9)].concat();
    assert_eq!(cached(&kind, &engine, &other), 27);
    let other = [&one[..14], &prompt(7, 9)].concat();
    assert_eq!(cached(&kind, &engine, &other), 11);
}

#[test]
fn of_sequences_with_as_much_in_common_one_is_taken_that_can_be_cut_there() {
    let kind = Kind {
        cuts: Cuts::Within(10),
        prefill_chunk: 100,
        ..Kind::default()
    };
    let engine = kind.engine();
    let common = prompt(1, 20);
    let behind = |next: TokenId, len| [&common[..], &[next], &prompt(7, len)].concat();
    // What lies next to the request, in the order of tokens, goes too far to be cut.
    for (next, len) in [(4, 30), (6, 30), (7, 30), (9, 2)] {
        cached(&kind, &engine, &behind(next, len));
    }
    assert_eq!(cached(&kind, &engine, &behind(5, 30)), common.len());
}

#[test]
fn messages_are_read_together_until_the_sequence_gives_something_up() {
    let message = [prompt(1, 5), vec![END]].concat();
    let pieces = |cuts| {
        let kind = Kind {
            cuts,
            prefill_chunk: 16,
            ..Kind::default()
        };
        let messages = message.repeat(8);
        let events: Vec<_> = block_on(kind.engine().stream(request(&messages)).unwrap().collect());
        let prefill = |event: engine_core::Result<GenerationEvent>| match event.unwrap() {
            GenerationEvent::Prefill { processed, .. } => Some(processed),
            _ => None,
        };
        events.into_iter().filter_map(prefill).collect::<Vec<_>>()
    };
    assert_eq!(pieces(Cuts::Anywhere), [16, 32, 48]);
    assert_eq!(pieces(Cuts::Within(100)), [6, 22, 38, 48]);
    assert_eq!(pieces(Cuts::Within(30)), [6, 22, 38, 42, 48]);
    assert_eq!(pieces(Cuts::Nowhere), [6, 12, 18, 24, 30, 36, 42, 48]);
}

#[test]
fn the_piece_in_which_a_sequence_gives_something_up_is_divided_once_that_is_known() {
    let kind = Kind {
        cuts: Cuts::Within(10),
        prefill_chunk: 16,
        ..Kind::default()
    };
    let engine = kind.engine();
    let messages = |first| [prompt(first, 5), vec![END]].concat().repeat(16);
    let other_after = |len| [&messages(2)[..len], &prompt(7, 9)].concat();
    cached(&kind, &engine, &messages(1));
    cached(&kind, &engine, &messages(2));
    for end in [24, 18, 12] {
        assert_eq!(cached(&kind, &engine, &other_after(end)), end);
    }
}

#[test]
fn places_that_a_longer_sequence_can_be_cut_to_are_not_kept() {
    let entries = |cuts| {
        let kind = Kind {
            cuts,
            prefill_chunk: 8,
            ..Kind::default()
        };
        let engine = kind.engine();
        cached(&kind, &engine, &prompt(1, 40));
        block_on(engine.memory()).unwrap().cached_prompts
    };
    assert_eq!(entries(Cuts::Anywhere), 1);
    assert_eq!(entries(Cuts::Within(100)), 1);
    assert_eq!(entries(Cuts::Nowhere), 5);
}

#[test]
fn a_model_with_a_flaw_costs_time_and_no_answer() {
    for flaw in [Flaw::ForksAreEmpty, Flaw::CutsDoNothing, Flaw::ForksFail] {
        let kind = Kind {
            flaw: Some(flaw),
            ..Kind::default()
        };
        let engine = kind.engine();
        let one = prompt(1, 30);
        cached(&kind, &engine, &one);
        let mut other = one[..20].to_vec();
        other.extend(prompt(5, 6));
        assert_eq!(cached(&kind, &engine, &other), 0, "{flaw:?}");
        cached(&kind, &engine, &one);
        let memory = block_on(engine.memory()).unwrap();
        assert_eq!(memory.sequences, 0, "{flaw:?}");
    }
}

#[test]
fn a_sequence_that_fails_is_not_used_again() {
    let kind = Kind {
        flaw: Some(Flaw::ForksAreLost),
        ..Kind::default()
    };
    let engine = kind.engine();
    let one = prompt(1, 30);
    cached(&kind, &engine, &one);
    let other = [&one[..20], &prompt(5, 6)].concat();
    ask(&engine, &other).unwrap_err();
    assert_eq!(cached(&kind, &engine, &other), 0);
    let memory = block_on(engine.memory()).unwrap();
    assert_eq!(memory.sequences, 0);
}

#[test]
fn a_cancelled_answer_stays_as_far_as_it_came() {
    let kind = Kind::default();
    let engine = kind.engine();
    let one = prompt(1, 30);
    let mut stream = engine
        .stream(request(&one).with_params(GenerateParams::greedy().with_max_tokens(300)))
        .unwrap();
    block_on(stream.next()).unwrap().unwrap();
    drop(stream);
    // Waits for the round in which the cancellation is seen.
    while block_on(engine.memory()).unwrap().sequences > 0 {}
    let found = cached(&kind, &engine, &one);
    assert!(found > 0 && found < 30, "{found}");
}

#[test]
fn progress_begins_behind_what_is_cached() {
    let kind = Kind::default();
    let engine = kind.engine();
    let one = prompt(1, 30);
    let steps = |prompt: &[TokenId]| -> Vec<(usize, usize)> {
        let events: Vec<_> = block_on(engine.stream(request(prompt)).unwrap().collect());
        let prefill = |event: engine_core::Result<GenerationEvent>| match event.unwrap() {
            GenerationEvent::Prefill { processed, total } => Some((processed, total)),
            _ => None,
        };
        events.into_iter().filter_map(prefill).collect()
    };
    assert_eq!(steps(&one), [(8, 30), (16, 30), (24, 30), (30, 30)]);
    let longer = [&one[..], &prompt(5, 12)].concat();
    assert_eq!(steps(&longer[..40]).last(), Some(&(40, 40)));
    assert_eq!(steps(&longer[..40]), [(40, 40)]);
}

#[test]
fn saved_prompts_belong_to_their_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prompts.safetensors");
    let kind = Kind::default();
    let engine = kind.engine();
    let one = prompt(1, 30);
    cached(&kind, &engine, &one);
    let saved = block_on(engine.save_prompt_cache(&path)).unwrap();
    assert_eq!(saved.prompts, 1);
    assert_eq!(saved.bytes, std::fs::metadata(&path).unwrap().len());

    let again = Kind::default().engine();
    assert_eq!(block_on(again.load_prompt_cache(&path)).unwrap(), saved);
    assert_eq!(cached(&kind, &again, &one), 29);

    let other = Kind {
        seed: 2,
        ..Kind::default()
    };
    let error = block_on(other.engine().load_prompt_cache(&path)).unwrap_err();
    assert!(matches!(error, Error::InvalidState { .. }), "{error}");

    let unable = Kind {
        exports: false,
        ..Kind::default()
    };
    for result in [
        block_on(unable.engine().save_prompt_cache(&path)),
        block_on(unable.engine().load_prompt_cache(&path)),
    ] {
        assert!(
            matches!(
                result,
                Err(Error::Unsupported {
                    field: Field::PromptCache,
                    ..
                })
            ),
            "{result:?}"
        );
    }
    // What could not be written has not replaced what was there.
    assert_eq!(std::fs::metadata(&path).unwrap().len(), saved.bytes);
}

#[test]
fn a_file_of_an_older_version_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prompts.safetensors");
    let kind = Kind::default();
    let engine = kind.engine();
    cached(&kind, &engine, &prompt(1, 30));
    block_on(engine.save_prompt_cache(&path)).unwrap();
    let mut file = std::fs::read(&path).unwrap();
    let version = b"\"version\":\"";
    let at = file.windows(version.len()).position(|some| some == version);
    file[at.unwrap() + version.len()] = b'1';
    std::fs::write(&path, &file).unwrap();
    let error = block_on(engine.load_prompt_cache(&path)).unwrap_err();
    assert!(matches!(error, Error::InvalidState { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("version \"1\"") && text.contains("save the prompts again"),
        "{text}"
    );
}

#[test]
fn a_saved_cache_that_cannot_be_read_or_written_is_an_error() {
    let engine = Kind::default().engine();
    let nowhere = std::path::Path::new("/no/such/folder/prompts");
    for result in [
        block_on(engine.save_prompt_cache(nowhere)),
        block_on(engine.load_prompt_cache(nowhere)),
    ] {
        assert!(matches!(result, Err(Error::Backend { .. })), "{result:?}");
    }
}

/// What a caller does.
#[derive(Clone, Debug)]
enum Step {
    /// Asks; the prompt is the first `of` tokens of the longest so far and these.
    Ask {
        of: usize,
        more: Vec<TokenId>,
    },
    /// Asks for several at once.
    Together(Vec<Vec<TokenId>>),
    /// Drops a long answer after some events.
    Cancel {
        prompt: Vec<TokenId>,
        events: usize,
    },
    Trim,
    /// Saves, and goes on with another engine that has loaded what was saved.
    Move,
}

fn step() -> impl Strategy<Value = Step> {
    let tokens = |len: std::ops::Range<usize>| prop::collection::vec(0..3 as TokenId, len);
    prop_oneof![
        6 => (0..40usize, tokens(1..20)).prop_map(|(of, more)| Step::Ask { of, more }),
        2 => prop::collection::vec(tokens(1..20), 1..5).prop_map(Step::Together),
        2 => (tokens(1..20), 0..6usize).prop_map(|(prompt, events)| Step::Cancel { prompt, events }),
        1 => Just(Step::Trim),
        1 => Just(Step::Move),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn no_history_of_the_cache_changes_an_answer(
        steps in prop::collection::vec(step(), 1..25),
        cuts in prop_oneof![
            Just(Cuts::Anywhere),
            Just(Cuts::Nowhere),
            (1..40usize).prop_map(Cuts::Within),
        ],
        prefill_chunk in 1..12usize,
        budget in prop_oneof![Just(None), (0..3000u64).prop_map(Some)],
        room in prop_oneof![Just(usize::MAX), 200..400usize],
    ) {
        let kind = Kind { cuts, room, budget, prefill_chunk, ..Kind::default() };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prompts");
        let mut engine = kind.engine();
        let mut longest: Vec<TokenId> = Vec::new();
        for step in steps {
            match step {
                Step::Ask { of, more } => {
                    let prompt = [&longest[..of.min(longest.len())], &more].concat();
                    cached(&kind, &engine, &prompt);
                    let answer = kind.answer(&prompt, ANSWER);
                    if prompt.len() + answer.len() > longest.len() && prompt.len() < 80 {
                        longest = [prompt, answer].concat();
                    }
                }
                Step::Together(prompts) => {
                    let answers = prompts.iter().map(|prompt| engine.complete(request(prompt)));
                    for (answer, prompt) in block_on(join_all(answers)).into_iter().zip(&prompts) {
                        prop_assert_eq!(answer.unwrap().tokens, kind.answer(prompt, ANSWER));
                    }
                }
                Step::Cancel { prompt, events } => {
                    let stream = engine.stream(request(&prompt)).unwrap();
                    let _ = block_on(stream.take(events).collect::<Vec<_>>());
                }
                Step::Trim => block_on(engine.trim()).unwrap(),
                Step::Move => {
                    block_on(engine.save_prompt_cache(&path)).unwrap();
                    engine = kind.engine();
                    block_on(engine.load_prompt_cache(&path)).unwrap();
                }
            }
        }
        block_on(engine.trim()).unwrap();
        while block_on(engine.memory()).unwrap().sequences > 0 {}
        prop_assert_eq!(block_on(engine.memory()).unwrap().kv_bytes, 0);
    }
}
