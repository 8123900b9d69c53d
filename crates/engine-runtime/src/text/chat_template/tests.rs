//! Templates against what `transformers` makes of them, and hostile ones.
//!
//! They lie beside the template and not in `tests/`, since they stop its clock.

use std::path::PathBuf;

use engine_core::{Message, Role};
use jiff::{civil, tz::TimeZone};
use serde_json::{Map, Value as Json, json};

use super::*;

/// The moment at which `regenerate.py` renders.
pub(super) fn stopped_clock() -> Zoned {
    civil::date(2024, 7, 6)
        .at(19, 5, 3, 0)
        .to_zoned(TimeZone::UTC)
        .expect("a moment")
}

pub(super) fn special_tokens() -> SpecialTokens {
    let config = json!({ "bos_token": "<s>", "eos_token": { "content": "</s>" } });
    SpecialTokens::from_config(config.as_object()).expect("special tokens")
}

fn compile(source: &str) -> Result<ChatTemplate> {
    ChatTemplate::compile(source, &special_tokens(), stopped_clock)
}

fn render(source: &str, messages: &[Message]) -> Result<String> {
    compile(source)?.render(&ChatInput::new(messages))
}

fn reason(outcome: Result<String>) -> String {
    match outcome {
        Err(Error::ChatTemplate { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

fn fixture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/chat_templates")
        .join(name);
    std::fs::read_to_string(path).expect("a fixture")
}

fn fixture_json(name: &str) -> Vec<Map<String, Json>> {
    serde_json::from_str(&fixture(name)).expect("JSON")
}

fn text<'a>(entry: &'a Map<String, Json>, key: &str) -> &'a str {
    entry[key].as_str().expect("a text")
}

#[test]
fn renders_what_transformers_renders() {
    let chats = fixture_json("chats.json");
    let mut compared = 0;
    for expected in fixture_json("expected.json") {
        let chat = chats
            .iter()
            .find(|chat| chat["name"] == expected["chat"])
            .expect("the chat of this name");
        let messages: Vec<Message> =
            serde_json::from_value(chat["messages"].clone()).expect("messages");
        let outcome = render(&fixture(text(&expected, "template")), &messages);
        let case = format!("{} for {}", expected["template"], expected["chat"]);
        if expected.contains_key("refused") {
            assert_eq!(reason(outcome), text(&expected, "refused"), "{case}");
        } else {
            assert_eq!(outcome.expect(&case), text(&expected, "text"), "{case}");
        }
        compared += 1;
    }
    assert_eq!(compared, 88);
}

#[test]
fn a_refusal_comes_back_in_the_template_s_own_words() {
    let refused = render(
        "{% macro check(m) %}{{ raise_exception('no ' ~ m.role) }}{% endmacro %}{{ check(messages[0]) }}",
        &[Message::new(Role::Tool, "x")],
    );
    assert_eq!(reason(refused), "no tool");
}

#[test]
fn a_template_that_is_no_jinja_is_an_error_when_it_is_compiled() {
    for source in [
        "{% if %}",
        "{{",
        "{% for x in y %}",
        "{{ a b }}",
        "{% generation %}",
        "{% endgeneration %}",
        "{# never closed",
        "{% raw %}",
        "{{ 'never closed }}",
    ] {
        assert!(
            matches!(compile(source), Err(Error::ChatTemplate { .. })),
            "{source}"
        );
    }
}

#[test]
fn unknown_names_are_errors_and_not_silence() {
    let chat = [Message::user("hi")];
    for source in [
        "{{ messages | no_such_filter }}",
        "{{ no_such_function() }}",
        "{{ messages[0].content.no_such_method() }}",
        "{% include 'other' %}",
    ] {
        assert!(render(source, &chat).is_err(), "{source}");
    }
}

#[test]
fn hostile_templates_end_in_an_error() {
    let deep_parentheses = format!("{{{{ {}1{} }}}}", "(".repeat(100_000), ")".repeat(100_000));
    let deep_blocks = "{% if true %}".repeat(100_000);
    for source in [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{{ messages }}{% endfor %}{% endfor %}",
        "{% set ns = namespace(x='aaaaaaaa') %}{% for a in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{{ 'a' * 99999999999 }}",
        "{{ [0] * 99999999999 }}",
        "{{ range(99999999999) | list }}",
        "{{ 10 ** 10 ** 10 }}",
        "{{ '%999999999d' | format(1) }}",
        "{% macro again(n) %}{{ again(n + 1) }}{% endmacro %}{{ again(0) }}",
        "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{% set ns = namespace(x=1) %}{% for a in range(5000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x | tojson }}",
        &deep_parentheses,
        &deep_blocks,
    ] {
        let outcome = render(source, &[Message::user("hi")]);
        let shown: String = source.chars().take(80).collect();
        assert!(
            matches!(outcome, Err(Error::ChatTemplate { .. })),
            "{shown}"
        );
    }
}

#[test]
fn a_long_chat_is_within_the_limits() {
    let messages: Vec<_> = (0..2000)
        .map(|turn| {
            let content = "words and more words ".repeat(50);
            if turn % 2 == 0 {
                Message::user(content)
            } else {
                Message::assistant(content)
            }
        })
        .collect();
    for template in ["qwen.jinja", "mistral.jinja", "llama3.jinja", "gemma.jinja"] {
        let rendered = render(&fixture(template), &messages[1..]);
        let rendered = rendered.or_else(|_| render(&fixture(template), &messages[..1999]));
        assert!(rendered.expect(template).len() > 2_000_000);
    }
}

#[test]
fn the_default_of_named_templates_is_taken_and_a_file_comes_first() {
    let named = json!({ "chat_template": [
        { "name": "tool_use", "template": "tools" },
        { "name": "default", "template": "plain" },
    ]});
    let sources = |chat_template| TextSources {
        tokenizer_config: named.as_object(),
        chat_template,
        ..TextSources::default()
    };
    let rendered = |sources: &TextSources<'_>| {
        let template = ChatTemplate::find(sources, &special_tokens()).expect("no error");
        template
            .expect("a template")
            .render(&ChatInput::new(&[Message::user("hi")]))
            .expect("text")
    };
    assert_eq!(rendered(&sources(None)), "plain");
    assert_eq!(rendered(&sources(Some("of a file"))), "of a file");
}

#[test]
fn a_template_entry_of_another_type_is_an_error_naming_the_file() {
    let config = json!({ "chat_template": 7 });
    let sources = TextSources {
        tokenizer_config: config.as_object(),
        ..TextSources::default()
    };
    let outcome = ChatTemplate::find(&sources, &special_tokens());
    assert!(matches!(outcome, Err(Error::InvalidModel { path, .. })
        if path.ends_with("tokenizer_config.json")));
}
