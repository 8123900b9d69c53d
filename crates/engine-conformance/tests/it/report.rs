//! What a report says, and when it ends a test.

use std::panic::{AssertUnwindSafe, catch_unwind};

use engine_conformance::{EngineSuite, ModelSuite, Report};
use engine_core::Model;
use engine_mock::MockBackend;

fn report(names: &[&'static str]) -> Report {
    ModelSuite::new(|| Ok(Box::new(MockBackend::default().model()?) as Box<dyn Model>))
        .only(names)
        .run()
}

fn panics(assert: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(assert)).is_err()
}

#[test]
fn another_number_of_passed_cases_ends_the_test() {
    let report = report(&["info_is_constant", "a_fork_is_a_copy"]);
    report.assert_passed(2);
    assert!(panics(|| report.assert_passed(1)));
    assert!(panics(|| report.assert_passed(3)));
}

#[test]
fn a_case_that_does_not_apply_is_not_counted_as_passed() {
    let report = report(&["info_is_constant", "the_device_chooses_the_likeliest_token"]);
    report.assert_passed(1);
    assert_eq!(
        report.not_applicable(),
        ["the_device_chooses_the_likeliest_token"]
    );
}

#[test]
fn a_case_that_does_not_exist_fails() {
    let report = report(&["info_is_constant", "info_is_a_banana"]);
    assert_eq!(report.failed(), ["info_is_a_banana"]);
    assert!(panics(|| report.assert_passed(1)));
}

#[test]
fn a_report_prints_every_case_and_the_sums() {
    let text = report(&["info_is_constant", "no_such_case"]).to_string();
    assert!(
        text.contains("passed          info_is_constant\n"),
        "{text}"
    );
    assert!(
        text.contains("no_such_case: there is no such case\n"),
        "{text}"
    );
    assert!(
        text.ends_with("1 passed, 1 failed, 0 not applicable"),
        "{text}"
    );
}

#[test]
fn case_names_are_unique() {
    for mut names in [EngineSuite::case_names(), ModelSuite::case_names()] {
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
