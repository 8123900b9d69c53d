//! Model configurations and their memory estimate.

use engine_core::{
    Error, Field, GenerateParams, KvCacheShape, ModelConfiguration, Quantization, SlidingLayers,
};

const SHAPE: KvCacheShape = KvCacheShape {
    layers: 30,
    kv_heads: 3,
    head_dim: 64,
    element_bytes: 2,
    sliding: None,
};

fn small() -> ModelConfiguration {
    ModelConfiguration {
        parameters: Some(134_515_008),
        quantization: Some(Quantization {
            bits: 4,
            group_size: 32,
        }),
        kv_cache: Some(SHAPE),
        ..ModelConfiguration::from_path("models/small")
    }
}

fn refused(configuration: &ModelConfiguration) -> Field {
    match configuration.validate() {
        Err(Error::InvalidParameter { field, .. }) => field,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_path_is_enough() {
    ModelConfiguration::from_path("models/small")
        .validate()
        .unwrap();
    small().validate().unwrap();
}

#[test]
fn each_field_out_of_range_is_named() {
    let mut configuration = small();
    configuration.name = " ".into();
    assert_eq!(refused(&configuration), Field::Name);

    assert_eq!(
        refused(&ModelConfiguration {
            path: "".into(),
            ..small()
        }),
        Field::Path
    );
    for quantization in [(7, 32), (4, 0), (1, 32), (16, 32)] {
        let (bits, group_size) = quantization;
        let configuration = ModelConfiguration {
            quantization: Some(Quantization { bits, group_size }),
            ..small()
        };
        assert_eq!(refused(&configuration), Field::Quantization);
    }
    for shape in [
        KvCacheShape { layers: 0, ..SHAPE },
        sliding(31, 9),
        sliding(1, 0),
        KvCacheShape {
            head_dim: u32::MAX,
            ..SHAPE
        },
    ] {
        let configuration = ModelConfiguration {
            kv_cache: Some(shape),
            ..small()
        };
        assert_eq!(refused(&configuration), Field::KvCache);
    }
    let configuration = small().with_generate(GenerateParams::default().with_temperature(-1.0));
    assert_eq!(refused(&configuration), Field::Temperature);
}

#[test]
fn the_estimate_adds_weights_cache_and_overhead() {
    let estimate = small().memory_estimate(8192).unwrap();
    // 4 bits each, and 4 bytes for each group of 32: 5 bits in all.
    assert_eq!(estimate.weight_bytes, 134_515_008 * 5 / 8);
    assert_eq!(estimate.kv_bytes, 2 * 30 * 3 * 64 * 2 * 8192);
    assert_eq!(estimate.overhead_bytes, 64 << 20);
    assert_eq!(
        estimate.total_bytes(),
        estimate.weight_bytes + estimate.kv_bytes + estimate.overhead_bytes
    );
}

fn sliding(layers: u32, window: u32) -> KvCacheShape {
    KvCacheShape {
        sliding: Some(SlidingLayers { layers, window }),
        ..SHAPE
    }
}

#[test]
fn layers_with_a_window_stop_growing_at_its_size() {
    let token_and_layer = 2 * 3 * 64 * 2;
    for context in [1, 1000, 1001, 8192] {
        let kept = 20 * u64::from(context) + 10 * u64::from(context.min(1000));
        assert_eq!(sliding(10, 1000).bytes(context), kept * token_and_layer);
        assert_eq!(
            SHAPE.bytes(context),
            30 * u64::from(context) * token_and_layer
        );
    }
    assert_eq!(sliding(30, 8).bytes(u32::MAX), 30 * 8 * token_and_layer);
}

#[test]
fn an_estimate_needs_to_know_enough_and_never_overflows() {
    assert_eq!(
        ModelConfiguration::from_path("models/small").memory_estimate(1),
        None
    );
    let huge = ModelConfiguration {
        parameters: Some(u64::MAX),
        ..small()
    };
    assert!(huge.memory_estimate(u32::MAX).unwrap().total_bytes() > 0);
}

#[test]
fn survives_json_and_refuses_unknown_keys() {
    let json = serde_json::to_string(&small()).unwrap();
    assert_eq!(
        serde_json::from_str::<ModelConfiguration>(&json).unwrap(),
        small()
    );
    let unknown = r#"{"name": "a", "path": "b", "quantisation": 4}"#;
    let error = serde_json::from_str::<ModelConfiguration>(unknown).unwrap_err();
    assert!(error.to_string().contains("quantisation"), "{error}");
}
