//! Files and requests that can't be used: one clear error each, and the process goes on.

use std::{fs, path::Path, sync::Arc};

use engine_core::{
    Backend, DeviceInput, DeviceRun, Engine, EngineExt, Error, GenerateParams, GenerateRequest,
    Model, Progress, Result,
};
use engine_mlx::{MlxBackend, MlxModel};
use futures_executor::block_on;
use safetensors::Dtype;
use serde_json::{Value, json};

use super::{
    mlx_process::beside_others,
    tiny::{Tiny, llama_config, numbers_as, on_cpu, rows_of},
};

fn load(path: &Path) -> Result<Arc<dyn Engine>> {
    block_on(MlxBackend::new().load(on_cpu(path), Progress::silent()))
}

/// A good model loads and answers, whatever came before.
#[track_caller]
fn ensure_a_good_model_works() {
    let folder = Tiny::llama().write();
    let engine = load(folder.path()).unwrap();
    let params = GenerateParams {
        ignore_eos: true,
        ..GenerateParams::greedy().with_max_tokens(3)
    };
    let request = GenerateRequest::text("Good").with_params(params);
    let answer = block_on(engine.complete(request)).unwrap();
    assert_eq!(answer.tokens.len(), 3);
    block_on(engine.unload()).unwrap();
}

/// What loading the folder says, which must be an invalid model that names `file` and `what`.
#[track_caller]
fn ensure_invalid(folder: &Path, file: &str, what: &[&str]) {
    let error = load(folder).unwrap_err();
    let Error::InvalidModel { path, reason } = &error else {
        panic!("not an invalid model: {error}");
    };
    assert!(
        path.ends_with(file),
        "{} instead of {file}: {reason}",
        path.display()
    );
    for what in what {
        assert!(reason.contains(what), "{what:?} is not in {reason:?}");
    }
}

#[test]
fn nothing_at_the_path_is_no_model() {
    let _process = beside_others();
    let folder = tempfile::tempdir().unwrap();
    let error = load(&folder.path().join("nothing")).unwrap_err();
    assert!(matches!(error, Error::ModelNotFound { .. }), "{error}");
    ensure_a_good_model_works();
}

#[test]
fn damaged_configurations_are_named() {
    let _process = beside_others();
    for content in [
        "",
        "{",
        "[1, 2]",
        "\u{0}\u{1}garbage",
        "{\"model_type\": 7}",
        "{}",
    ] {
        let folder = Tiny::llama().write();
        fs::write(folder.path().join("config.json"), content).unwrap();
        ensure_invalid(folder.path(), "config.json", &[]);
    }
    let folder = Tiny::llama().write();
    fs::remove_file(folder.path().join("config.json")).unwrap();
    ensure_invalid(folder.path(), "config.json", &["missing"]);
    for (key, value) in [
        ("hidden_size", json!(-1)),
        ("num_hidden_layers", json!(1e300)),
        ("num_attention_heads", json!("four")),
        ("rms_norm_eps", Value::Null),
    ] {
        let folder = Tiny::llama().with_config(key, value).write();
        ensure_invalid(folder.path(), "config.json", &[key]);
    }
    ensure_a_good_model_works();
}

#[test]
fn architectures_that_are_not_known_are_unsupported() {
    let _process = beside_others();
    for (key, value) in [
        ("model_type", json!("mamba")),
        ("hidden_act", json!("relu")),
        ("rope_scaling", json!({"type": "yarn", "factor": 2.0})),
        (
            "quantization_config",
            json!({"quant_method": "gptq", "bits": 4, "group_size": 128}),
        ),
    ] {
        let folder = Tiny::llama().with_config(key, value).write();
        let error = load(folder.path()).unwrap_err();
        assert!(
            matches!(error, Error::UnsupportedModel { .. }),
            "{key}: {error}"
        );
    }
    ensure_a_good_model_works();
}

#[test]
fn damaged_tokenizers_are_named() {
    let _process = beside_others();
    let folder = Tiny::llama().write();
    let tokenizer = folder.path().join("tokenizer.json");
    fs::write(&tokenizer, "{\"model\": {\"type\": \"Nonsense\"}}").unwrap();
    let error = load(folder.path()).unwrap_err();
    assert!(matches!(error, Error::Tokenizer { .. }), "{error}");
    for content in ["", "no JSON"] {
        fs::write(&tokenizer, content).unwrap();
        ensure_invalid(folder.path(), "tokenizer.json", &[]);
    }
    fs::remove_file(&tokenizer).unwrap();
    ensure_invalid(folder.path(), "tokenizer.json", &["missing"]);
    ensure_a_good_model_works();
}

#[test]
fn damaged_weights_are_named() {
    let _process = beside_others();
    let folder = Tiny::llama().write();
    let weights = folder.path().join("model.safetensors");
    let whole = fs::read(&weights).unwrap();
    for len in [0, 4, 8, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&weights, &whole[..len]).unwrap();
        ensure_invalid(folder.path(), "model.safetensors", &[]);
    }
    let mut garbage = whole.clone();
    garbage[..16].fill(0xFF);
    fs::write(&weights, garbage).unwrap();
    ensure_invalid(folder.path(), "model.safetensors", &[]);
    fs::remove_file(&weights).unwrap();
    assert!(load(folder.path()).is_err());
    fs::write(&weights, whole).unwrap();
    load(folder.path()).unwrap();
}

#[test]
fn an_index_that_names_what_is_not_there_is_refused() {
    let _process = beside_others();
    let folder = Tiny::llama().write();
    let index = folder.path().join("model.safetensors.index.json");
    for content in [
        "",
        "{\"weight_map\": 1}",
        "{\"weight_map\": {\"model.norm.weight\": \"gone.safetensors\"}}",
        "{\"weight_map\": {\"model.norm.weight\": \"../../etc/passwd\"}}",
    ] {
        fs::write(&index, content).unwrap();
        let error = load(folder.path()).unwrap_err();
        assert!(
            matches!(error, Error::InvalidModel { .. }),
            "{content}: {error}"
        );
    }
    ensure_a_good_model_works();
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let _process = beside_others();
    let name = "model.layers.1.mlp.up_proj.weight";
    let norm = "model.layers.0.input_layernorm.weight";
    let check = |what: &[&str], change: &dyn Fn(&mut Tiny)| {
        let mut tiny = Tiny::llama();
        change(&mut tiny);
        let folder = tiny.write();
        let file = folder.path().file_name().unwrap().to_str().unwrap();
        ensure_invalid(folder.path(), file, what);
    };
    check(&[name], &|tiny| {
        tiny.tensors.remove(name);
    });
    check(&[name, "[64, 128]", "[128, 64]"], &|tiny| {
        tiny.tensors.get_mut(name).unwrap().shape.reverse();
    });
    check(&[norm, "[63]", "[64]"], &|tiny| {
        let short = numbers_as(Dtype::F32, &[63], &[1.0; 63]);
        tiny.tensors.insert(norm.to_owned(), short);
    });
    check(&[name, "I32", "F32, F16 or BF16"], &|tiny| {
        tiny.tensors.get_mut(name).unwrap().dtype = Dtype::I32;
    });
    check(&["q_norm"], &|tiny| {
        let norm = numbers_as(Dtype::F32, &[16], &[1.0; 16]);
        tiny.tensors
            .insert("model.layers.0.self_attn.q_norm.weight".to_owned(), norm);
    });
    ensure_a_good_model_works();
}

#[test]
fn quantized_tensors_that_do_not_fit_are_named() {
    let _process = beside_others();
    let module = "model.layers.0.self_attn.k_proj";
    let check = |what: &[&str], change: &dyn Fn(&mut Tiny)| {
        let mut config = llama_config();
        config["quantization"] = json!({
            "group_size": 32, "bits": 4, module: {"group_size": 32, "bits": 4},
        });
        let mut tiny = Tiny::new(&config, Dtype::F16);
        change(&mut tiny);
        let folder = tiny.write();
        let file = folder.path().file_name().unwrap().to_str().unwrap();
        ensure_invalid(folder.path(), file, what);
    };
    let (weight, scales, biases) = (
        format!("{module}.weight"),
        format!("{module}.scales"),
        format!("{module}.biases"),
    );
    check(&[&weight, &scales], &|tiny| {
        tiny.tensors.remove(&scales);
    });
    check(&[&biases], &|tiny| {
        tiny.tensors.remove(&biases);
    });
    check(&[&scales, "[32, 1]", "[32, 2]"], &|tiny| {
        let few = numbers_as(Dtype::F16, &[32, 1], &[1.0; 32]);
        tiny.tensors.insert(scales.clone(), few);
    });
    check(&[&weight, "F16", "U32"], &|tiny| {
        let plain = numbers_as(Dtype::F16, &[32, 8], &[1.0; 256]);
        tiny.tensors.insert(weight.clone(), plain);
    });
    check(&[&scales, "config.json"], &|tiny| {
        tiny.config.remove("quantization");
        // What comes before it in the model is plain.
        let names: Vec<_> = tiny.tensors.keys().cloned().collect();
        let spec_is_plain = Tiny::llama();
        for name in names {
            if !name.starts_with(module) {
                match spec_is_plain.tensors.get(&name) {
                    Some(plain) => tiny.tensors.insert(name, plain.clone()),
                    None => tiny.tensors.remove(&name),
                };
            }
        }
    });
    ensure_a_good_model_works();
}

#[test]
fn a_model_larger_than_the_memory_is_refused_before_it_is_read() {
    let _process = beside_others();
    // A sparse file of two thousand gibibytes: its header is sound, its zeros are never read.
    let folder = tempfile::tempdir().unwrap();
    let mut config = llama_config();
    for (key, value) in [
        ("hidden_size", 1 << 17),
        ("intermediate_size", 1 << 20),
        ("vocab_size", 1 << 20),
        ("num_hidden_layers", 1),
        ("num_attention_heads", 1024),
        ("num_key_value_heads", 1024),
    ] {
        config[key] = json!(value);
    }
    Tiny::llama().write_text(folder.path());
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let spec = model_arch::DecoderSpec::from_config(config.as_object().unwrap()).unwrap();
    let mut header = serde_json::Map::new();
    let mut end = 0;
    for tensor in spec.tensors() {
        let start = end;
        end += tensor.shape.iter().product::<usize>() as u64 * 2;
        let entry = json!({
            "dtype": "F16", "shape": tensor.shape, "data_offsets": [start, end],
        });
        header.insert(tensor.name, entry);
    }
    let mut header = Value::from(header).to_string();
    while header.len() % 8 != 0 {
        header.push(' ');
    }
    let path = folder.path().join("model.safetensors");
    let mut content = (header.len() as u64).to_le_bytes().to_vec();
    content.extend(header.as_bytes());
    fs::write(&path, &content).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    if file.set_len(content.len() as u64 + end).is_err() {
        eprintln!("skipped: this file system has no files of {end} bytes");
        return;
    }
    let error = load(folder.path()).unwrap_err();
    assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
    ensure_a_good_model_works();
}

#[test]
fn weights_that_are_no_numbers_fail_the_generation_and_nothing_else() {
    let _process = beside_others();
    let mut tiny = Tiny::llama();
    let nan = numbers_as(Dtype::F32, &[64], &[f32::NAN; 64]);
    tiny.tensors.insert("model.norm.weight".to_owned(), nan);
    let folder = tiny.write();
    let engine = load(folder.path()).unwrap();
    for params in [
        GenerateParams::greedy(),
        GenerateParams::default().with_temperature(1.0),
    ] {
        let request = GenerateRequest::text("Numbers").with_params(params);
        let error = block_on(engine.complete(request)).unwrap_err();
        assert!(matches!(error, Error::Backend { .. }), "{error}");
    }
    block_on(engine.memory()).unwrap();
    ensure_a_good_model_works();
}

#[test]
fn a_choice_among_no_numbers_is_an_error_when_it_is_read() {
    let _process = beside_others();
    let mut tiny = Tiny::llama();
    for number in [f32::NAN, f32::INFINITY] {
        let numbers = numbers_as(Dtype::F32, &[64], &[number; 64]);
        tiny.tensors.insert("model.norm.weight".to_owned(), numbers);
        let folder = tiny.write();
        let mut model = MlxModel::load(&on_cpu(folder.path()), &Progress::silent()).unwrap();
        let sequence = model.open().unwrap();
        let input = DeviceInput::Tokens(&[1, 2]);
        let token = model.step_greedy(&[DeviceRun { sequence, input }]).unwrap()[0];
        let error = model.read_token(token).unwrap_err();
        assert!(matches!(error, Error::Backend { .. }), "{error}");
        // It was read, if in vain.
        assert!(model.read_token(token).is_err());
        assert_eq!(model.sequence_len(sequence).unwrap(), 2);
    }
    let folder = Tiny::llama().write();
    let mut model = MlxModel::load(&on_cpu(folder.path()), &Progress::silent()).unwrap();
    assert_eq!(rows_of(&mut model, &[1, 2]).len(), 2);
}
