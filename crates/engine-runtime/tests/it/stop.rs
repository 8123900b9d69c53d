//! Stop strings against the definition: the text before the earliest place where one begins.

use engine_runtime::{StopMatch, StopMatcher};
use proptest::prelude::*;

/// Pushes the pieces and ends the text: what was released, and the stop that ended it.
fn run(stops: &[String], pieces: &[String]) -> (String, Option<usize>) {
    let mut matcher = StopMatcher::new(stops);
    let mut released = String::new();
    for piece in pieces {
        match matcher.push(piece) {
            Ok(text) => released.push_str(&text),
            Err(StopMatch { text, stop }) => return (released + &text, Some(stop)),
        }
    }
    match matcher.finish() {
        Ok(text) => (released + &text, None),
        Err(StopMatch { text, stop }) => (released + &text, Some(stop)),
    }
}

/// The definition.
fn expected(stops: &[String], text: &str) -> (String, Option<usize>) {
    let earliest = stops
        .iter()
        .enumerate()
        .filter_map(|(index, stop)| Some((text.find(stop.as_str())?, stop.len(), index)))
        .min();
    match earliest {
        Some((start, _, index)) => (text[..start].to_owned(), Some(index)),
        None => (text.to_owned(), None),
    }
}

fn pieces() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[abé🙂]{0,4}", 0..12)
}

fn stops() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[abé🙂]{1,5}", 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn any_split_gives_the_text_cut_at_the_earliest_stop(pieces in pieces(), stops in stops()) {
        prop_assert_eq!(run(&stops, &pieces), expected(&stops, &pieces.concat()));
    }

    #[test]
    fn nothing_leaks_and_no_more_is_held_than_may_become_a_stop(
        pieces in pieces(),
        stops in stops(),
    ) {
        let (cut, _) = expected(&stops, &pieces.concat());
        let mut matcher = StopMatcher::new(&stops);
        let (mut seen, mut released) = (String::new(), String::new());
        for piece in &pieces {
            seen.push_str(piece);
            let Ok(text) = matcher.push(piece) else { break };
            released.push_str(&text);
            prop_assert!(cut.starts_with(&released), "{released:?} leaked beyond {cut:?}");
            let open = |start: &usize| {
                stops.iter().any(|stop| {
                    stop.starts_with(&seen[*start..]) || seen[*start..].starts_with(stop.as_str())
                })
            };
            let first_open = seen.char_indices().map(|(start, _)| start).find(open);
            prop_assert_eq!(released.len(), first_open.unwrap_or(seen.len()));
        }
    }
}

#[test]
fn the_shortest_of_stops_that_begin_together_is_reported() {
    let stops = ["END.".to_owned(), "END".to_owned()];
    assert_eq!(
        run(&stops, &["so END. more".to_owned()]),
        ("so ".to_owned(), Some(1))
    );
}

#[test]
fn an_earlier_beginning_wins_over_an_earlier_end() {
    let stops = ["abcd".to_owned(), "bc".to_owned()];
    let pieces = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
    assert_eq!(run(&stops, &pieces("xabcd")), ("x".to_owned(), Some(0)));
    assert_eq!(run(&stops, &pieces("xabcx")), ("xa".to_owned(), Some(1)));
    assert_eq!(run(&stops, &pieces("xabc")), ("xa".to_owned(), Some(1)));
}

#[test]
fn without_stops_text_passes() {
    assert_eq!(
        run(&[], &["a".to_owned(), "b".to_owned()]),
        ("ab".to_owned(), None)
    );
}
