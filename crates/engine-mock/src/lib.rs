#![doc = include_str!("../README.md")]

mod answers;
mod backend;
mod builder;
mod fault;
mod gate;
mod model;
mod pace;
mod prefix;
mod script;
mod seeded;
mod text;
mod vocabulary;

pub use backend::MockBackend;
pub use builder::MockBuilder;
pub use fault::Fault;
pub use gate::Gate;
pub use model::MockModel;
pub use script::Script;
