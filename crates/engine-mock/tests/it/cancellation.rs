//! A prompt that nobody waits for any more is read no further than the piece under way.

use std::time::Duration;

use engine_core::{
    EngineExt as _, GenerateParams, GenerateRequest, GenerationEvent, Prompt, TokenId,
};
use engine_mock::{Fault, Gate, MockBackend};
use futures_executor::block_on;
use futures_util::StreamExt;

use crate::support::load;

const PATIENCE: Duration = Duration::from_secs(30);
const PIECE: usize = 8;
const PIECES: usize = 10;

#[test]
fn a_cancelled_prompt_is_read_no_further_than_the_piece_under_way() {
    for on_device in [false, true] {
        let gate = Gate::new();
        let mock = MockBackend::builder()
            .device_choice(on_device)
            .prefill_chunk(PIECE as u32)
            .fault(Fault::stall(2, &gate));
        let engine = load(mock);
        let prompt: Vec<TokenId> = (1..=(PIECES * PIECE) as TokenId).collect();
        let total = prompt.len();
        let request = || {
            GenerateRequest::new(Prompt::Tokens(prompt.clone()))
                .with_params(GenerateParams::greedy().with_max_tokens(2))
        };
        let prefill = |processed| GenerationEvent::Prefill { processed, total };

        let mut stream = engine.stream(request()).unwrap();
        for pieces in [1, 2] {
            let event = block_on(stream.next()).unwrap().unwrap();
            assert_eq!(event, prefill(pieces * PIECE));
        }
        // The third piece is being computed, and no other event has come.
        assert!(gate.wait_until_reached(PATIENCE));
        drop(stream);
        gate.release();
        while block_on(engine.memory()).unwrap().sequences > 0 {}
        let memory = block_on(engine.memory()).unwrap();
        assert_eq!(memory.cached_prompts, 1, "what was read is kept");

        // The same prompt goes on behind the third piece: no further one had been computed.
        let events: Vec<_> = block_on(engine.stream(request()).unwrap().collect());
        let events: Vec<_> = events.into_iter().map(Result::unwrap).collect();
        let pieces: Vec<_> = events
            .iter()
            .filter(|event| matches!(event, GenerationEvent::Prefill { .. }))
            .cloned()
            .collect();
        let expected: Vec<_> = (4..=PIECES).map(|pieces| prefill(pieces * PIECE)).collect();
        assert_eq!(pieces, expected, "on device: {on_device}");
        let Some(GenerationEvent::Done(summary)) = events.last() else {
            panic!("{events:?}");
        };
        assert_eq!(summary.usage.cached_prompt_tokens, 3 * PIECE);
    }
}
