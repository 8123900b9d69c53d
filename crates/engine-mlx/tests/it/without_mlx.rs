//! What a build without MLX says.

use engine_core::{Availability, Backend, Error, LoadRequest, Progress};
use engine_mlx::MlxBackend;
use futures_executor::block_on;

#[test]
fn it_is_unavailable_and_says_how_to_get_mlx() {
    let backend = MlxBackend::new();
    assert_eq!(backend.info().name, "mlx");
    let Availability::Unavailable { reason } = backend.availability() else {
        panic!("a build without MLX is available");
    };
    assert!(reason.contains("cargo xtask setup"), "{reason}");
}

#[test]
fn loading_is_refused_with_the_same_reason() {
    let error = block_on(MlxBackend::new().load(LoadRequest::new("model"), Progress::silent()))
        .unwrap_err();
    assert!(
        matches!(&error, Error::Unavailable { backend, .. } if backend == "mlx"),
        "{error}"
    );
}
