//! What a suite found out.

use std::fmt;

/// How one case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The contract holds.
    Passed,
    /// The contract is broken.
    Failed {
        /// What was seen, and what was expected.
        message: String,
    },
    /// The subject does not claim what the case is about.
    NotApplicable {
        /// What it does not claim.
        reason: String,
    },
}

/// One case and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CaseReport {
    /// The case's name, which states the fact.
    pub name: &'static str,
    /// How it ended.
    pub outcome: Outcome,
}

/// All cases of a suite, in the order in which they ran. `Display` prints them one to a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    cases: Vec<CaseReport>,
}

impl Report {
    pub(crate) fn new(cases: Vec<CaseReport>) -> Self {
        Self { cases }
    }

    /// Every case.
    pub fn cases(&self) -> &[CaseReport] {
        &self.cases
    }

    /// The names of the cases that passed.
    pub fn passed(&self) -> Vec<&'static str> {
        self.names(|outcome| matches!(outcome, Outcome::Passed))
    }

    /// The names of the cases that failed.
    pub fn failed(&self) -> Vec<&'static str> {
        self.names(|outcome| matches!(outcome, Outcome::Failed { .. }))
    }

    /// The names of the cases that are about something that the subject does not claim.
    pub fn not_applicable(&self) -> Vec<&'static str> {
        self.names(|outcome| matches!(outcome, Outcome::NotApplicable { .. }))
    }

    fn names(&self, wanted: impl Fn(&Outcome) -> bool) -> Vec<&'static str> {
        self.cases
            .iter()
            .filter(|case| wanted(&case.outcome))
            .map(|case| case.name)
            .collect()
    }

    /// The end of a test: no case failed, and exactly this many passed.
    ///
    /// The number is asserted because a subject that stops claiming a capability, or claims it by
    /// mistake, changes which cases apply; without the number that would pass unseen.
    ///
    /// # Panics
    /// With the whole report, if a case failed or another number of cases passed.
    #[track_caller]
    pub fn assert_passed(&self, expected: usize) {
        let passed = self.passed().len();
        assert!(
            self.failed().is_empty() && passed == expected,
            "expected {expected} cases to pass and none to fail\n{self}"
        );
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in &self.cases {
            match &case.outcome {
                Outcome::Passed => writeln!(f, "passed          {}", case.name)?,
                Outcome::Failed { message } => {
                    writeln!(f, "FAILED          {}: {message}", case.name)?;
                }
                Outcome::NotApplicable { reason } => {
                    writeln!(f, "not applicable  {}: {reason}", case.name)?;
                }
            }
        }
        write!(
            f,
            "{} passed, {} failed, {} not applicable",
            self.passed().len(),
            self.failed().len(),
            self.not_applicable().len()
        )
    }
}
