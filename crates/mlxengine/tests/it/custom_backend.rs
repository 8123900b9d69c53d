//! The backend of `docs/writing-a-backend.md`, as the conformance suite sees it.

use engine_conformance::ModelSuite;
use engine_core::{Backend, Model};

#[path = "../../examples/custom_backend.rs"]
mod example;

use example::{CountingBackend, CountingModel};

#[test]
fn the_example_runs() {
    example::main().unwrap();
}

#[test]
fn the_model_of_the_example_conforms() {
    let suite = ModelSuite::new(|| {
        let model = CountingModel::new(CountingBackend.info());
        Ok(Box::new(model) as Box<dyn Model>)
    });
    suite.run().assert_passed(40);
}
