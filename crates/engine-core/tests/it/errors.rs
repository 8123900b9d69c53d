//! Every error says what happened and what to do, in one sentence each.

use engine_core::{Error, Field};

fn one_of_each() -> Vec<Error> {
    vec![
        Error::Unavailable {
            backend: "mlx".into(),
            reason: "it was left out of this build".into(),
        },
        Error::Unavailable {
            backend: "cpu".into(),
            reason: "no".into(),
        },
        Error::ModelNotFound {
            path: "models/a".into(),
        },
        Error::InvalidModel {
            path: "models/a/config.json".into(),
            reason: "it is empty".into(),
        },
        Error::UnsupportedModel {
            backend: "mlx".into(),
            reason: "the architecture \"x\" is not known".into(),
        },
        Error::InvalidParameter {
            field: Field::TopP,
            value: "2".into(),
            expected: "a number above 0 and at most 1".into(),
        },
        Error::Unsupported {
            backend: "mock".into(),
            field: Field::Device,
        },
        Error::ContextOverflow {
            prompt_tokens: 9,
            context_length: 8,
        },
        Error::Tokenizer { reason: "x".into() },
        Error::ChatTemplate { reason: "x".into() },
        Error::InvalidToken {
            token: 9,
            vocab_size: 8,
        },
        Error::UnknownSequence { id: 1 },
        Error::CutTooFar {
            len: 3,
            earliest: 7,
        },
        Error::OutOfMemory {
            purpose: "the weights".into(),
            reason: "4 GiB asked, 2 GiB free".into(),
        },
        Error::Unloaded { model: "a".into() },
        Error::Cancelled {
            operation: "loading the model",
        },
        Error::backend("mlx", "evaluate a decoding step", "shapes differ"),
    ]
}

#[test]
fn says_what_happened_and_what_to_do() {
    for error in one_of_each() {
        let (what, hint) = (error.to_string(), error.suggestion());
        for text in [what.as_str(), hint.as_ref()] {
            assert!(text.len() > 10, "{error:?}: {text}");
            assert!(!text.ends_with('.'), "{error:?}: {text}");
            assert!(!text.contains('\n'), "{error:?}: {text}");
        }
        assert_ne!(what, hint);
    }
}

#[test]
fn names_the_field_the_value_and_the_range() {
    let error = &one_of_each()[5];
    assert_eq!(
        error.to_string(),
        "top_p must be a number above 0 and at most 1, not 2"
    );
}

#[test]
fn keeps_the_cause_apart_from_its_own_sentence() {
    let error = Error::backend("mlx", "evaluate a decoding step", "shapes differ");
    assert_eq!(
        error.to_string(),
        "the mlx backend failed to evaluate a decoding step"
    );
    let cause = std::error::Error::source(&error).unwrap();
    assert_eq!(cause.to_string(), "shapes differ");
}

#[test]
fn only_memory_may_come_back_by_itself() {
    for error in one_of_each() {
        assert_eq!(
            error.is_retryable(),
            matches!(error, Error::OutOfMemory { .. }),
            "{error:?}"
        );
    }
}
