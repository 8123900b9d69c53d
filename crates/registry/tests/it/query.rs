//! Searching.

use registry::{Capability, Machine, Query, Registry};

fn found(query: &Query) -> Vec<String> {
    let registry = Registry::built_in().unwrap();
    let found = registry.search(query);
    found.into_iter().map(|model| model.name.clone()).collect()
}

const GIB: u64 = 1 << 30;

#[test]
fn everything_matches_nothing_in_particular_and_the_smallest_comes_first() {
    let registry = Registry::built_in().unwrap();
    let all = registry.search(&Query::new());
    assert_eq!(all.len(), registry.models().len());
    assert!(all.is_sorted_by_key(|model| model.parameters));
}

#[test]
fn words_are_looked_for_in_names_repositories_families_and_tags() {
    assert_eq!(
        found(&Query::new().text("QWEN3 0.6b chat")),
        Vec::<String>::new()
    );
    assert_eq!(found(&Query::new().text("qwen3-0.6B tiny")), ["qwen3-0.6b"]);
    assert_eq!(
        found(&Query::new().text("qat")),
        ["gemma-3-1b"],
        "by its repository"
    );
    assert!(found(&Query::new().text("mixture-of-experts")).contains(&"gpt-oss-20b".to_owned()));
}

#[test]
fn a_family_may_be_given_by_its_beginning() {
    assert_eq!(
        found(&Query::new().family("gemma")),
        ["gemma-3-270m", "gemma-3-1b", "gemma-2-2b", "gemma-3-4b"]
    );
    assert_eq!(found(&Query::new().family("Gemma 2")), ["gemma-2-2b"]);
}

#[test]
fn sizes_bound_on_both_sides() {
    let query = Query::new()
        .min_parameters(3_000_000_000)
        .max_parameters(3_500_000_000);
    assert_eq!(found(&query), ["smollm3-3b", "llama-3.2-3b"]);
}

#[test]
fn capabilities_and_licences_must_all_hold() {
    let query = Query::new().capability(Capability::Vision);
    assert_eq!(found(&query), ["gemma-3-4b"]);
    let query = query.capability(Capability::Reasoning);
    assert_eq!(found(&query), Vec::<String>::new());
    let query = Query::new()
        .license("MIT")
        .capability(Capability::Embeddings);
    assert_eq!(found(&query), ["bge-small-en-v1.5"]);
    let query = Query::new().model_type("smollm3");
    assert_eq!(found(&query), ["smollm3-3b"]);
}

#[test]
fn only_what_fits_is_found() {
    let chat = || Query::new().capability(Capability::Chat);
    let tight = found(&chat().max_memory(GIB, 4096));
    assert!(tight.contains(&"qwen3-0.6b".to_owned()), "{tight:?}");
    assert!(!tight.contains(&"qwen3-8b".to_owned()), "{tight:?}");
    // A longer context takes more.
    let long = found(&chat().max_memory(GIB, 40_960));
    assert!(!long.contains(&"qwen3-0.6b".to_owned()), "{long:?}");
    // No model is charged for more than its own context.
    let own = found(&chat().max_memory(GIB, u32::MAX));
    assert!(own.contains(&"smollm-135m".to_owned()), "{own:?}");
    assert_eq!(found(&chat().max_memory(0, 1)), Vec::<String>::new());
}

#[test]
fn a_machine_lends_what_is_free_and_at_most_three_quarters() {
    assert_eq!(Machine::new(8 * GIB, 2 * GIB).usable_bytes(), 2 * GIB);
    assert_eq!(Machine::new(8 * GIB, 8 * GIB).usable_bytes(), 6 * GIB);
    let here = Machine::detect().unwrap();
    assert!(here.total_bytes >= here.available_bytes);
    assert!(here.usable_bytes() > 0);
    let query = Query::new().fits(&Machine::new(12 * GIB, 12 * GIB), 4096);
    assert!(!found(&query).contains(&"gpt-oss-20b".to_owned()));
    let query = Query::new().fits(&Machine::new(32 * GIB, 32 * GIB), 4096);
    assert!(found(&query).contains(&"gpt-oss-20b".to_owned()));
}

#[test]
fn what_does_not_run_can_be_left_out() {
    let runnable = found(&Query::new().runnable());
    assert!(runnable.contains(&"qwen3-0.6b".to_owned()));
    let registry = Registry::built_in().unwrap();
    for name in runnable {
        assert!(registry.get(&name).unwrap().runs.is_yes(), "{name}");
    }
}
