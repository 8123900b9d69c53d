//! The contract of [`Model`] as cases.

mod batch;
mod cuts;
mod device;
mod errors;
mod forward;
mod operations;
mod sequences;
mod states;
mod subject;

use std::{sync::Arc, time::Duration};

use engine_core::{Model, Result};

use self::subject::{Settings, Subject};
use crate::{
    case::{Case, OrFail},
    report::Report,
    runner,
};

/// How far two computations of the same logits may be apart.
///
/// Two numbers `a` and `b` of a row agree if `|a - b| <= absolute + relative * m`, where `m` is the
/// largest magnitude in the expected row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// In logits.
    pub absolute: f32,
    /// As a share of the row's largest magnitude.
    pub relative: f32,
}

impl Tolerance {
    /// Bit for bit, the sign of zero aside.
    pub const EXACT: Self = Self {
        absolute: 0.0,
        relative: 0.0,
    };
}

/// The suite for a [`Model`]: sequences, batches, errors, and the choice on the device.
pub struct ModelSuite {
    make: Arc<dyn Fn() -> Result<Box<dyn Model>> + Send + Sync>,
    settings: Settings,
    deadline: Duration,
    only: Option<Vec<&'static str>>,
}

impl std::fmt::Debug for ModelSuite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelSuite")
            .field("settings", &self.settings)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

impl ModelSuite {
    /// A suite over models that `make` loads. Each is used only on the thread that made it; a new
    /// one is made after a failed case.
    pub fn new(make: impl Fn() -> Result<Box<dyn Model>> + Send + Sync + 'static) -> Self {
        Self {
            make: Arc::new(make),
            settings: Settings {
                tolerance: Tolerance::EXACT,
                seed: 1,
                operations: 60,
            },
            deadline: Duration::from_mins(2),
            only: None,
        }
    }

    /// How exactly batches and pieces must agree with the whole. Default [`Tolerance::EXACT`].
    #[must_use]
    pub fn with_tolerance(mut self, tolerance: Tolerance) -> Self {
        self.settings.tolerance = tolerance;
        self
    }

    /// Which tokens and operations are drawn. Default 1.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// How many operations the random case does. Default 60.
    #[must_use]
    pub fn with_operations(mut self, operations: usize) -> Self {
        self.settings.operations = operations;
        self
    }

    /// How long one case may take before it counts as hung. Default two minutes.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs these cases alone, to look at one again. A name that no case has is a failure.
    #[must_use]
    pub fn only(mut self, names: &[&'static str]) -> Self {
        self.only = Some(names.to_vec());
        self
    }

    /// The names of all cases.
    pub fn case_names() -> Vec<&'static str> {
        Self::cases().iter().map(|case| case.name).collect()
    }

    fn cases() -> Vec<Case<Subject>> {
        [
            forward::CASES,
            sequences::CASES,
            states::CASES,
            cuts::CASES,
            batch::CASES,
            errors::CASES,
            device::CASES,
            operations::CASES,
        ]
        .concat()
    }

    /// Runs every case and says how it ended. Never panics and never hangs.
    pub fn run(&self) -> Report {
        let make = Arc::clone(&self.make);
        let settings = self.settings;
        let make: runner::Make<Subject> = Arc::new(move || {
            let model = make().or_fail("make a model")?;
            Subject::new(model, settings)
        });
        runner::run(Self::cases(), self.only.as_deref(), &make, self.deadline)
    }
}
