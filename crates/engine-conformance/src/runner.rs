//! Runs cases so that one that panics or hangs is one failed case and not the end of the test.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::Duration,
};

use crate::{
    case::{Case, CaseResult, Stop},
    report::{CaseReport, Outcome, Report},
};

/// Makes a subject, on the thread that will use it: a model may be bound to its thread.
pub(crate) type Make<S> = Arc<dyn Fn() -> CaseResult<S> + Send + Sync>;

/// Runs the cases, or those named in `only`, one after another.
///
/// They share a subject until one of them fails; the next one gets a new subject, since nobody
/// knows what the failure left behind. A case that outlasts the deadline fails; its thread, which
/// can't be stopped, is left behind, and the rest run on a new one.
pub(crate) fn run<S: 'static>(
    mut cases: Vec<Case<S>>,
    only: Option<&[&'static str]>,
    make: &Make<S>,
    deadline: Duration,
) -> Report {
    let mut unknown = Vec::new();
    if let Some(only) = only {
        unknown.extend(
            only.iter()
                .filter(|name| !cases.iter().any(|case| case.name == **name)),
        );
        cases.retain(|case| only.contains(&case.name));
    }
    let mut reports = run_all(&cases, make, deadline);
    reports.extend(unknown.into_iter().map(|name| CaseReport {
        name,
        outcome: Outcome::Failed {
            message: "there is no such case".to_owned(),
        },
    }));
    Report::new(reports)
}

fn run_all<S: 'static>(cases: &[Case<S>], make: &Make<S>, deadline: Duration) -> Vec<CaseReport> {
    let mut reports = Vec::with_capacity(cases.len());
    while reports.len() < cases.len() {
        let rest = cases[reports.len()..].to_vec();
        let names: Vec<_> = rest.iter().map(|case| case.name).collect();
        let make = Arc::clone(make);
        let (outcomes, results) = mpsc::channel();
        thread::spawn(move || work(&rest, &make, &outcomes));
        let mut hung = false;
        for name in names {
            let outcome = match results.recv_timeout(deadline) {
                Ok(outcome) => outcome,
                Err(RecvTimeoutError::Timeout) => {
                    hung = true;
                    Outcome::Failed {
                        message: format!("did not end within {} s", deadline.as_secs_f32()),
                    }
                }
                // A failed case's subject panicked while it was dropped; the failure is reported.
                Err(RecvTimeoutError::Disconnected) => break,
            };
            reports.push(CaseReport { name, outcome });
            if hung {
                break;
            }
        }
        if !hung {
            // Until the thread has dropped its subject: a test process that ends while a GPU
            // library is being torn down may crash.
            let _ = results.recv_timeout(deadline);
        }
    }
    reports
}

fn work<S>(cases: &[Case<S>], make: &Make<S>, outcomes: &Sender<Outcome>) {
    let mut subject = None;
    for case in cases {
        let result = catch_unwind(AssertUnwindSafe(|| {
            let subject = match &mut subject {
                Some(subject) => subject,
                none => none.insert(make()?),
            };
            (case.run)(subject)
        }));
        let outcome = match result {
            Ok(Ok(())) => Outcome::Passed,
            Ok(Err(Stop::NotApplicable(reason))) => Outcome::NotApplicable { reason },
            Ok(Err(Stop::Failed(message))) => Outcome::Failed { message },
            Err(panic) => Outcome::Failed {
                message: format!("panicked: {}", panic_message(panic.as_ref())),
            },
        };
        let failed = matches!(outcome, Outcome::Failed { .. });
        if outcomes.send(outcome).is_err() {
            // The deadline passed meanwhile, and another thread runs the rest.
            return;
        }
        if failed {
            subject = None;
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("something that is no text")
}
