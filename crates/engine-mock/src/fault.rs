//! What can be made to go wrong.

use std::{fmt, sync::Arc};

use engine_core::Error;

use crate::{Gate, gate::Door};

type MakeError = Arc<dyn Fn() -> Error + Send + Sync>;

/// Something that goes wrong, and when.
///
/// Loads are counted by the backend, from 0. Steps are counted by the loaded model, from 0: each
/// piece of a prompt is one, and so is each token of an answer, however many generations take part
/// in it. A fault strikes once, unless it is [`Fault::repeating`].
#[derive(Clone)]
pub struct Fault {
    pub(crate) place: Place,
    pub(crate) first: u64,
    pub(crate) repeats: bool,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Load,
    Step,
}

#[derive(Clone)]
pub(crate) enum Kind {
    Error(MakeError),
    Nan,
    Panic,
    Stall(Arc<Door>),
}

impl Fault {
    fn new(place: Place, first: u64, kind: Kind) -> Self {
        Self {
            place,
            first,
            repeats: false,
            kind,
        }
    }

    /// A load ends in an error, halfway through its weights.
    pub fn load(load: u64, error: impl Fn() -> Error + Send + Sync + 'static) -> Self {
        Self::new(Place::Load, load, Kind::Error(Arc::new(error)))
    }

    /// A load ends in [`Error::OutOfMemory`], halfway through its weights.
    pub fn load_out_of_memory(load: u64) -> Self {
        Self::load(load, || Error::OutOfMemory {
            purpose: "the weights".to_owned(),
            reason: "this failure is simulated".to_owned(),
        })
    }

    /// A load panics, halfway through its weights.
    pub fn load_panic(load: u64) -> Self {
        Self::new(Place::Load, load, Kind::Panic)
    }

    /// A load waits at the gate, halfway through its weights.
    pub fn stall_load(load: u64, gate: &Gate) -> Self {
        Self::new(Place::Load, load, Kind::Stall(gate.door()))
    }

    /// A step ends in an error.
    pub fn step(step: u64, error: impl Fn() -> Error + Send + Sync + 'static) -> Self {
        Self::new(Place::Step, step, Kind::Error(Arc::new(error)))
    }

    /// A step gives logits that are not numbers.
    pub fn nan(step: u64) -> Self {
        Self::new(Place::Step, step, Kind::Nan)
    }

    /// A step panics.
    pub fn panic(step: u64) -> Self {
        Self::new(Place::Step, step, Kind::Panic)
    }

    /// A step waits at the gate.
    pub fn stall(step: u64, gate: &Gate) -> Self {
        Self::new(Place::Step, step, Kind::Stall(gate.door()))
    }

    /// From then on every time.
    #[must_use]
    pub fn repeating(mut self) -> Self {
        self.repeats = true;
        self
    }

    /// Whether the fault strikes at this place and count.
    pub(crate) fn strikes(&self, place: Place, count: u64) -> bool {
        self.place == place && (count == self.first || self.repeats && count > self.first)
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Error(make) => make().to_string(),
            Kind::Nan => "NaN".to_owned(),
            Kind::Panic => "panic".to_owned(),
            Kind::Stall(_) => "stall".to_owned(),
        };
        f.debug_struct("Fault")
            .field("place", &self.place)
            .field("first", &self.first)
            .field("repeats", &self.repeats)
            .field("kind", &kind)
            .finish()
    }
}
