//! How a model's files say that a text becomes a vector.

use model_files::{Checkpoint, PoolingMode, SentencePooling};
use serde_json::{Value, json};

use crate::fixtures::{model_folder, write};

fn module(path: &str, kind: &str) -> Value {
    json!({ "idx": 0, "name": "0", "path": path, "type": format!("sentence_transformers.models.{kind}") })
}

fn pooling(modules: &Value, config: &Value) -> Option<SentencePooling> {
    let folder = model_folder();
    write(folder.path(), "modules.json", modules.to_string());
    std::fs::create_dir(folder.path().join("1_Pooling")).unwrap();
    write(folder.path(), "1_Pooling/config.json", config.to_string());
    Checkpoint::open(folder.path()).unwrap().pooling()
}

#[test]
fn the_one_mode_that_is_asked_for_counts() {
    let modules = json!([module("", "Transformer"), module("1_Pooling", "Pooling")]);
    for (config, mode) in [
        (
            json!({ "pooling_mode_cls_token": false, "pooling_mode_lasttoken": true }),
            Some(PoolingMode::LastToken),
        ),
        (
            json!({ "pooling_mode_cls_token": true }),
            Some(PoolingMode::Cls),
        ),
        (
            json!({ "pooling_mode_mean_tokens": true }),
            Some(PoolingMode::Mean),
        ),
        (json!({ "pooling_mode": "mean" }), Some(PoolingMode::Mean)),
        (json!({ "pooling_mode": "max" }), None),
        (json!({ "pooling_mode_max_tokens": true }), None),
        (
            json!({ "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true }),
            None,
        ),
        (json!({}), None),
    ] {
        let expected = mode.map(|mode| SentencePooling {
            mode,
            normalize: false,
        });
        assert_eq!(pooling(&modules, &config), expected, "{config}");
    }
}

#[test]
fn a_normalisation_is_noted() {
    let modules = json!([
        module("", "Transformer"),
        module("1_Pooling", "Pooling"),
        module("2_Normalize", "Normalize"),
    ]);
    let found = pooling(&modules, &json!({ "pooling_mode_mean_tokens": true }));
    assert!(found.unwrap().normalize);
}

#[test]
fn what_is_not_known_is_not_half_done() {
    let config = json!({ "pooling_mode_mean_tokens": true });
    for more in [
        module("2_Dense", "Dense"),
        module("../1_Pooling", "Pooling"),
        module("/etc", "Pooling"),
        json!(7),
    ] {
        let modules = json!([
            module("", "Transformer"),
            module("1_Pooling", "Pooling"),
            more
        ]);
        assert_eq!(pooling(&modules, &config), None, "{more}");
    }
    let checkpoint = Checkpoint::open(model_folder().path()).unwrap();
    assert_eq!(checkpoint.pooling(), None);
}
