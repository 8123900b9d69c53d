//! Looking at an engine's memory report until it says what it should.

use std::{thread, time::Duration};

use engine_core::Engine;

use crate::case::{CaseResult, OrFail, fail};

/// Looks until a count is taken for wrong.
const LOOKS: u32 = 50;

async fn sequences(engine: &dyn Engine) -> CaseResult<u32> {
    let memory = engine.memory().await.or_fail("ask for the memory")?;
    Ok(memory.sequences)
}

/// The least of a few counts: what is left when all that ended has been freed.
pub(super) async fn least_sequences(engine: &dyn Engine) -> CaseResult<u32> {
    let mut least = sequences(engine).await?;
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(2));
        least = least.min(sequences(engine).await?);
    }
    Ok(least)
}

/// Looks at the memory report until it counts `expected` sequences.
///
/// One look comes between two steps of the model at the earliest. The number of looks is bounded,
/// and the time between them follows the engine's own pace, so that an engine which runs on to the
/// end of a long answer is told from one which stops.
pub(super) async fn wait_for_sequences(
    engine: &dyn Engine,
    expected: u32,
    pace: Duration,
) -> CaseResult {
    let pause = pace.clamp(Duration::from_millis(2), Duration::from_millis(500));
    let mut last = 0;
    for _ in 0..LOOKS {
        last = sequences(engine).await?;
        if last == expected {
            return Ok(());
        }
        thread::sleep(pause);
    }
    fail!(
        "{last} sequences are open instead of {expected}, in {LOOKS} looks of {} ms",
        pause.as_millis()
    )
}
