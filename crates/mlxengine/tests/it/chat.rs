//! Conversations.

use std::sync::Arc;

use futures_executor::block_on;
use futures_util::{StreamExt as _, future::join};
use mlxengine::{
    ChatError, ChatEvent, ChatFormat, ChatOptions, ChatSession, Error, GenerateParams,
    GenerationEvent, InferenceEngine, Message, Overflow, Role, WhenBusy, WhenCancelled,
    mock::{Fault, MockBackend, MockBuilder, Script},
};

use crate::mock::{configuration, engine};

fn on(mock: MockBuilder) -> InferenceEngine {
    let load = InferenceEngine::load(
        configuration().with_generate(GenerateParams::greedy().with_max_tokens(12)),
    );
    let load = load.with_backend(Arc::new(mock.build().unwrap()));
    block_on(load.into_future()).unwrap()
}

/// A model whose answers depend on everything before them.
fn seeded() -> InferenceEngine {
    on(MockBackend::builder().seeded(5))
}

fn contents(chat: &ChatSession) -> Vec<String> {
    let messages = chat.messages();
    messages
        .into_iter()
        .map(|message| message.content)
        .collect()
}

#[test]
fn a_turn_remembers_the_turns_before_it() {
    let script = Script::new().reply("First.").reply("Second.");
    let chat = ChatSession::new(&on(MockBackend::builder().scripted(script))).with_system("Brief.");
    let answer = block_on(chat.ask("One?")).unwrap();
    assert_eq!(answer.message, Message::assistant("First."));
    assert_eq!(answer.completion.text, "First.");
    block_on(chat.ask("Two?")).unwrap();
    assert_eq!(
        contents(&chat),
        ["Brief.", "One?", "First.", "Two?", "Second."]
    );
    let roles: Vec<Role> = chat.messages().iter().map(|message| message.role).collect();
    assert_eq!(
        roles,
        [
            Role::System,
            Role::User,
            Role::Assistant,
            Role::User,
            Role::Assistant
        ]
    );
}

#[test]
fn a_turn_costs_its_new_tokens() {
    let chat = ChatSession::new(&seeded());
    let mut before = 0;
    for turn in 0..6 {
        let answer = block_on(chat.ask(format!("one two three {turn}"))).unwrap();
        let usage = answer.completion.summary.usage;
        assert!(
            usage.cached_prompt_tokens >= before,
            "{usage:?} after {before}"
        );
        assert!(
            usage.prompt_tokens - usage.cached_prompt_tokens < 40,
            "{usage:?}"
        );
        before = usage.prompt_tokens;
    }
    assert!(before > 100);
}

#[test]
fn a_stream_brings_what_a_whole_answer_is() {
    let (one, two) = (ChatSession::new(&seeded()), ChatSession::new(&seeded()));
    let whole = block_on(one.ask("What is a river?")).unwrap();
    let events: Vec<_> = block_on(two.send("What is a river?").collect());
    let text: String = events
        .iter()
        .map(|event| match event.as_ref().unwrap() {
            ChatEvent::Generation(GenerationEvent::Delta { text, .. }) => text.as_str(),
            _ => "",
        })
        .collect();
    assert_eq!(text, whole.completion.text);
    assert!(matches!(
        events.last(),
        Some(Ok(ChatEvent::Generation(GenerationEvent::Done(_))))
    ));
    assert_eq!(one.messages(), two.messages());
}

#[test]
fn a_failed_turn_leaves_the_history_as_it_was() {
    let failing = Fault::step(1, || Error::OutOfMemory {
        purpose: "a test".to_owned(),
        reason: "it asked for it".to_owned(),
    });
    let chat = ChatSession::new(&on(MockBackend::builder().seeded(5).fault(failing)));
    let error = block_on(chat.ask("What is a river?")).unwrap_err();
    assert!(
        matches!(error, ChatError::Engine(Error::OutOfMemory { .. })),
        "{error}"
    );
    assert!(chat.is_empty() && !chat.is_busy());
    block_on(chat.ask("What is a river?")).unwrap();
    assert_eq!(chat.len(), 2);
}

#[test]
fn a_cancelled_answer_is_kept_as_far_as_it_came_or_not_at_all() {
    for (policy, expected) in [(WhenCancelled::KeepPart, 2), (WhenCancelled::Discard, 0)] {
        let options = ChatOptions::default()
            .with_params(GenerateParams::greedy().with_max_tokens(100_000))
            .when_cancelled(policy);
        let chat = ChatSession::new(&seeded()).with_options(options);
        let mut stream = chat.send("Tell me.");
        let mut text = String::new();
        while text.is_empty() {
            if let ChatEvent::Generation(GenerationEvent::Delta { text: piece, .. }) =
                block_on(stream.next()).unwrap().unwrap()
            {
                text = piece;
            }
        }
        drop(stream);
        assert_eq!(chat.len(), expected, "{policy:?}");
        if expected > 0 {
            assert_eq!(chat.messages()[1], Message::assistant(text));
        }
        assert!(!chat.is_busy());
    }
    // Where nothing has come, there is nothing to keep.
    let chat = ChatSession::new(&seeded());
    drop(chat.send("Tell me."));
    assert!(chat.is_empty());
}

#[test]
fn a_second_turn_waits_or_is_refused() {
    let chat = ChatSession::new(&seeded());
    let (one, two) = block_on(join(chat.ask("One?"), chat.ask("Two?")));
    let (one, two) = (one.unwrap(), two.unwrap());
    let expected = ["One?", &one.completion.text, "Two?", &two.completion.text];
    assert_eq!(contents(&chat), expected);

    let options = ChatOptions::default().when_busy(WhenBusy::Refuse);
    let hasty = chat.clone().with_options(options);
    let stream = hasty.send("Three?");
    let refused = block_on(hasty.ask("Four?"));
    assert!(matches!(refused, Err(ChatError::Busy)), "{refused:?}");
    for change in [chat.clear(), chat.truncate(0), chat.set_system("x")] {
        assert!(matches!(change, Err(ChatError::Busy)), "{change:?}");
    }
    block_on(stream.finish()).unwrap();
    assert_eq!(chat.len(), 6);
    block_on(hasty.ask("Four?")).unwrap();
}

#[test]
fn turns_of_many_threads_take_their_turns() {
    let chat = ChatSession::new(&seeded());
    std::thread::scope(|scope| {
        for number in 0..8 {
            let chat = chat.clone();
            scope.spawn(move || block_on(chat.ask(format!("Number {number}?"))).unwrap());
        }
    });
    let messages = chat.messages();
    assert_eq!(messages.len(), 16);
    for pair in messages.chunks(2) {
        assert_eq!((pair[0].role, pair[1].role), (Role::User, Role::Assistant));
    }
}

#[test]
fn an_answer_is_regenerated_and_a_question_edited() {
    let chat = ChatSession::new(&seeded());
    let first = block_on(chat.ask("One?")).unwrap();
    let again = block_on(chat.regenerate().finish()).unwrap();
    assert_eq!(again.message, first.message, "greedy answers repeat");
    let usage = again.completion.summary.usage;
    assert_eq!(usage.cached_prompt_tokens + 1, usage.prompt_tokens);
    assert_eq!(chat.len(), 2);

    block_on(chat.ask("Two?")).unwrap();
    let other = ChatSession::new(&seeded());
    let expected = block_on(other.ask("Three?")).unwrap();
    let edited = block_on(chat.edit(0, "Three?").finish()).unwrap();
    assert_eq!(edited.message, expected.message);
    assert_eq!(chat.messages(), other.messages());

    let wrong = block_on(chat.edit(1, "x").finish());
    assert!(
        matches!(wrong, Err(ChatError::WrongRole { index: 1, .. })),
        "{wrong:?}"
    );
    let wrong = block_on(chat.edit(7, "x").finish());
    assert!(
        matches!(wrong, Err(ChatError::NoSuchMessage { index: 7, len: 2 })),
        "{wrong:?}"
    );
    let empty = block_on(ChatSession::new(&seeded()).regenerate().finish());
    assert!(
        matches!(empty, Err(ChatError::NothingToAnswer)),
        "{empty:?}"
    );
}

#[test]
fn a_branch_shares_the_past_and_nothing_else() {
    let chat = ChatSession::new(&seeded()).with_system("Brief.");
    block_on(chat.ask("One?")).unwrap();
    block_on(chat.ask("Two?")).unwrap();
    let branch = chat.branch(2).unwrap();
    assert_eq!(branch.messages(), chat.messages()[..3]);
    block_on(branch.ask("Three?")).unwrap();
    assert_eq!((branch.len(), chat.len()), (5, 5));
    assert_ne!(branch.messages(), chat.messages());
    assert!(chat.branch(5).is_err());
}

#[test]
fn tools_and_examples_are_added_and_answered() {
    let chat = ChatSession::new(&engine("Done."));
    chat.push(Message::user("Like this.")).unwrap();
    chat.push(Message::assistant("Yes.")).unwrap();
    let nothing = block_on(chat.answer().finish());
    assert!(
        matches!(nothing, Err(ChatError::NothingToAnswer)),
        "{nothing:?}"
    );
    block_on(chat.send_message(Message::new(Role::Tool, "42")).finish()).unwrap();
    assert_eq!(contents(&chat), ["Like this.", "Yes.", "42", "Done."]);
    chat.push(Message::user("And?")).unwrap();
    block_on(chat.answer().finish()).unwrap();
    assert_eq!(chat.len(), 6);
    chat.clear().unwrap();
    assert!(chat.is_empty());
}

#[test]
fn a_full_context_is_refused_unless_turns_may_go() {
    let mock = || on(MockBackend::builder().seeded(5).context_length(200));
    let question = "one two three four five six seven eight";
    let chat = ChatSession::new(&mock()).with_system("Be brief.");
    let error = (0..40)
        .find_map(|_| block_on(chat.ask(question)).err())
        .expect("a context is full some time");
    assert!(
        matches!(error, ChatError::Engine(Error::ContextOverflow { .. })),
        "{error}"
    );

    let options = ChatOptions::default()
        .with_overflow(Overflow::DropOldest)
        .with_answer_room(20);
    let chat = ChatSession::new(&mock())
        .with_system("Be brief.")
        .with_options(options);
    let mut reports = Vec::new();
    for _ in 0..40 {
        let answer = block_on(chat.ask(question)).unwrap();
        let usage = answer.completion.summary.usage;
        assert!(usage.prompt_tokens <= 180, "{usage:?}");
        reports.extend(answer.left_out);
    }
    assert_eq!(chat.len(), 81, "the history keeps everything");
    assert!(reports.len() > 2, "{reports:?}");
    // Each report goes on where the last one ended, at the start of a turn.
    assert_eq!(reports[0].start, 0);
    assert!(
        reports.windows(2).all(|pair| pair[0].end == pair[1].start),
        "{reports:?}"
    );
    assert_eq!(reports.last().unwrap().end, chat.left_out());
    assert!(
        reports
            .iter()
            .all(|range| chat.messages()[range.end].role == Role::User)
    );
    // Turns go in good time, not one after each.
    assert!(reports.len() < 20, "{reports:?}");

    let long = "one two three four five six seven eight ".repeat(30);
    let error = block_on(chat.ask(long)).unwrap_err();
    assert!(
        matches!(error, ChatError::Engine(Error::ContextOverflow { .. })),
        "{error}"
    );
    assert_eq!(
        (chat.len(), chat.left_out()),
        (81, reports.last().unwrap().end)
    );
}

#[test]
fn a_chat_is_written_down_in_four_forms() {
    let chat = ChatSession::new(&engine("Paris.")).with_system("Be brief.");
    block_on(chat.ask("The capital of\nFrance?")).unwrap();
    assert_eq!(
        chat.export(ChatFormat::Markdown),
        "## System\n\nBe brief.\n\n## User\n\nThe capital of\nFrance?\n\n## Assistant\n\nParis.\n"
    );
    assert_eq!(
        chat.export(ChatFormat::ChatMl),
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nThe capital of\nFrance?<|im_end|>\n\
         <|im_start|>assistant\nParis.<|im_end|>\n"
    );
    assert_eq!(
        chat.export(ChatFormat::Text),
        "System:\nBe brief.\n\nUser:\nThe capital of\nFrance?\n\nAssistant:\nParis.\n"
    );
    let json: serde_json::Value = serde_json::from_str(&chat.export(ChatFormat::Json)).unwrap();
    assert_eq!(json["format"], "mlxengine-chat");
    assert_eq!(json["version"], 1);
    assert_eq!(json["messages"][1]["content"], "The capital of\nFrance?");
}

#[test]
fn a_saved_chat_that_cannot_be_understood_is_an_error() {
    let engine = engine("Yes.");
    let chat = ChatSession::new(&engine);
    block_on(chat.ask("One?")).unwrap();
    let good: serde_json::Value = serde_json::from_str(&chat.export(ChatFormat::Json)).unwrap();
    let changed = |change: fn(&mut serde_json::Value)| {
        let mut json = good.clone();
        change(&mut json);
        json.to_string()
    };
    ChatSession::restore(&engine, &changed(|_| ())).unwrap();
    for (text, reason) in [
        (String::new(), "EOF"),
        ("[]".to_owned(), "format"),
        (changed(|json| json["version"] = 2.into()), "version 2"),
        (changed(|json| json["colour"] = "red".into()), "colour"),
        (
            changed(|json| json["messages"][0]["colour"] = "red".into()),
            "colour",
        ),
        (
            changed(|json| json["options"]["colour"] = "red".into()),
            "colour",
        ),
        (changed(|json| json["left_out"] = 9.into()), "left out"),
        (
            changed(|json| json["messages"][0]["role"] = "king".into()),
            "king",
        ),
    ] {
        match ChatSession::restore(&engine, &text) {
            Err(error @ ChatError::Saved { .. }) => {
                assert!(error.to_string().contains(reason), "{error} lacks {reason}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn a_chat_saved_at_any_step_goes_on_alike() {
    let questions = ["One?", "Two three four?", "Five?", "Six seven?"];
    let options = ChatOptions::default()
        .with_params(GenerateParams::default().with_seed(11).with_max_tokens(10))
        .with_overflow(Overflow::DropOldest);
    let small = || on(MockBackend::builder().seeded(5).context_length(120));
    let start = || {
        ChatSession::new(&small())
            .with_system("Be brief.")
            .with_options(options.clone())
    };
    let straight = start();
    let mut tokens = Vec::new();
    for question in questions {
        tokens.push(block_on(straight.ask(question)).unwrap().completion.tokens);
    }
    for step in 0..questions.len() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prompts");
        let mut chat = start();
        for (index, question) in questions.iter().enumerate() {
            if index == step {
                let json = chat.export(ChatFormat::Json);
                block_on(chat.engine().save_prompt_cache(&path)).unwrap();
                let engine = small();
                block_on(engine.load_prompt_cache(&path)).unwrap();
                chat = ChatSession::restore(&engine, &json).unwrap();
                assert_eq!(chat.options(), &options);
            }
            let answer = block_on(chat.ask(*question)).unwrap();
            assert_eq!(answer.completion.tokens, tokens[index], "saved at {step}");
            if index > 0 {
                assert!(answer.completion.summary.usage.cached_prompt_tokens > 0);
            }
        }
        assert_eq!(chat.messages(), straight.messages());
    }
}
