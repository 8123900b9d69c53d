//! Models that break the contract.

use crate::flawed_model::{Flaw, suite};

/// A test for each flaw: exactly these cases fail.
macro_rules! flaws {
    ($($name:ident: $flaw:ident fails [$($case:ident),* $(,)?];)*) => {
        $(#[test]
        fn $name() {
            let report = suite(Flaw::$flaw).run();
            let expected: &[&str] = &[$(stringify!($case)),*];
            assert_eq!(report.failed(), expected, "\n{report}");
        })*
    };
}

flaws! {
    a_cut_that_does_nothing_fails: TruncateDoesNothing fails [
        truncating_is_as_if_the_tokens_had_never_been_there,
        truncating_to_nothing_is_a_new_sequence,
        neither_side_of_a_fork_sees_the_other,
        a_long_sequence_can_be_cut_as_far_as_it_says,
        random_operations_match_recomputation,
    ];
    a_cut_that_leaves_tokens_fails: TruncateLeavesTokens fails [
        truncating_is_as_if_the_tokens_had_never_been_there,
        truncating_to_nothing_is_a_new_sequence,
        neither_side_of_a_fork_sees_the_other,
        a_long_sequence_can_be_cut_as_far_as_it_says,
        random_operations_match_recomputation,
    ];
    a_cut_that_goes_too_far_fails: TruncateCutsOneMore fails [
        truncating_is_as_if_the_tokens_had_never_been_there,
        neither_side_of_a_fork_sees_the_other,
        a_long_sequence_can_be_cut_as_far_as_it_says,
        random_operations_match_recomputation,
    ];
    a_cut_beyond_the_end_fails: TruncateBeyond fails [
        truncating_beyond_the_length_is_an_error,
    ];
    a_fork_that_shares_state_fails: ForkSharesState fails [
        neither_side_of_a_fork_sees_the_other,
        an_empty_sequence_can_be_forked,
        memory_counts_the_open_sequences,
        no_sequences_weigh_nothing_and_some_no_more_than_all,
        a_long_sequence_in_pieces_gives_what_one_run_gives,
        random_operations_match_recomputation,
    ];
    a_fork_that_is_empty_fails: ForkIsEmpty fails [
        a_fork_is_a_copy,
        neither_side_of_a_fork_sees_the_other,
        a_fork_outlives_its_original,
        a_long_sequence_in_pieces_gives_what_one_run_gives,
        a_long_sequence_can_be_cut_as_far_as_it_says,
        random_operations_match_recomputation,
    ];
    an_import_that_is_empty_fails: ImportIsEmpty fails [
        an_imported_sequence_continues_as_the_exported_one,
        neither_side_of_an_export_sees_the_other,
        an_import_of_a_long_sequence_continues_as_the_exported_one,
    ];
    an_import_of_anything_fails: ImportTakesAnything fails [
        a_state_that_does_not_fit_is_refused_and_opens_nothing,
    ];
    an_export_that_is_empty_fails: ExportIsEmpty fails [
        an_imported_sequence_continues_as_the_exported_one,
        neither_side_of_an_export_sees_the_other,
        an_empty_sequence_can_be_exported,
        an_import_of_a_long_sequence_continues_as_the_exported_one,
    ];
    sequences_that_weigh_too_much_fail: WeighsTooMuch fails [
        no_sequences_weigh_nothing_and_some_no_more_than_all,
    ];
    a_cut_that_is_not_claimed_fails: CutsUnclaimed fails [
        a_cut_that_is_not_claimed_is_refused,
    ];
    a_cut_that_is_claimed_and_refused_fails: CutsOverclaimed fails [
        a_long_sequence_can_be_cut_as_far_as_it_says,
    ];
    a_window_that_forgets_too_much_fails: ForgetsInPieces fails [
        a_long_sequence_in_pieces_gives_what_one_run_gives,
    ];
    a_batch_mixed_up_fails: BatchMixUp fails [
        a_batch_gives_what_its_runs_give_alone,
        a_batch_may_name_its_sequences_in_any_order,
        a_batch_may_mix_prefill_and_decode,
        random_operations_match_recomputation,
    ];
    a_batch_in_the_order_of_its_sequences_fails: BatchSorted fails [
        a_batch_may_name_its_sequences_in_any_order,
        a_batch_may_mix_prefill_and_decode,
        random_operations_match_recomputation,
    ];
    a_wrong_length_after_an_error_fails: LengthAfterErr fails [
        a_sequence_twice_in_a_batch_is_an_error,
        a_failed_batch_leaves_every_length_as_it_was,
    ];
    a_reused_number_fails: ReusedIds fails [
        sequence_numbers_are_never_reused,
        an_imported_sequence_continues_as_the_exported_one,
    ];
    a_close_that_leaks_fails: CloseLeaks fails [
        closing_frees_the_sequence,
        a_failed_batch_leaves_every_length_as_it_was,
    ];
    a_second_close_fails: CloseTwice fails [
        closing_twice_is_an_error,
        an_unknown_sequence_is_an_error,
        a_closed_sequence_is_an_error,
    ];
    the_last_row_for_all_fails: LastForAll fails [
        a_run_makes_its_sequence_longer,
        logits_are_finite,
        rows_are_as_many_as_wanted,
        all_rows_are_the_last_rows_of_the_prefixes,
        a_long_sequence_in_pieces_gives_what_one_run_gives,
        a_batch_gives_each_run_the_rows_it_wants,
        random_operations_match_recomputation,
    ];
    an_accepted_empty_run_fails: EmptyRun fails [
        an_empty_run_is_an_error,
        a_failed_batch_leaves_every_length_as_it_was,
    ];
    an_accepted_unknown_token_fails: InvalidTokenIsZero fails [
        a_token_outside_the_vocabulary_is_an_error,
        a_failed_batch_leaves_every_length_as_it_was,
    ];
    an_accepted_doubled_sequence_fails: DoubledSequence fails [
        a_sequence_twice_in_a_batch_is_an_error,
    ];
    a_longer_context_than_stated_fails: LongerContext fails [
        a_run_beyond_the_context_is_an_error,
    ];
    a_shorter_context_than_stated_fails: ShorterContext fails [
        a_sequence_holds_as_many_tokens_as_the_context,
        a_long_sequence_in_pieces_gives_what_one_run_gives,
        an_import_of_a_long_sequence_continues_as_the_exported_one,
        a_long_sequence_can_be_cut_as_far_as_it_says,
        a_cut_that_is_not_claimed_is_refused,
    ];
    single_tokens_that_differ_fail: SingleTokensDiffer fails [
        pieces_give_what_one_run_gives,
        single_tokens_give_what_one_run_gives,
        all_rows_are_the_last_rows_of_the_prefixes,
        truncating_to_its_own_length_changes_nothing,
        neither_side_of_a_fork_sees_the_other,
        trimming_changes_no_sequence,
        a_long_sequence_in_pieces_gives_what_one_run_gives,
        a_batch_gives_what_its_runs_give_alone,
        a_batch_gives_each_run_the_rows_it_wants,
        a_batch_may_name_its_sequences_in_any_order,
        a_batch_may_mix_prefill_and_decode,
        random_operations_match_recomputation,
    ];
    trimming_that_cuts_fails: TrimCuts fails [
        trimming_changes_no_sequence,
    ];
    another_error_for_an_unknown_sequence_fails: WrongErrorKind fails [
        closing_twice_is_an_error,
        an_unknown_sequence_is_an_error,
        a_closed_sequence_is_an_error,
    ];
    info_that_changes_fails: InfoChanges fails [
        info_is_constant,
    ];
    a_device_that_chooses_badly_fails: DeviceChoosesZero fails [
        the_device_chooses_the_likeliest_token,
        a_chosen_token_can_be_the_next_input_unread,
        a_device_batch_gives_what_its_runs_give_alone,
        host_and_device_steps_share_a_sequence,
    ];
    a_device_that_forgets_its_choice_fails: DeviceForgetsChosen fails [
        a_chosen_token_can_be_the_next_input_unread,
        a_device_batch_gives_what_its_runs_give_alone,
        host_and_device_steps_share_a_sequence,
    ];
    a_device_that_cuts_on_a_discard_fails: DeviceDiscardCuts fails [
        host_and_device_steps_share_a_sequence,
        a_discarded_token_leaves_the_sequence_usable,
    ];
    a_device_that_appends_what_it_refuses_fails: DeviceLengthAfterErr fails [
        a_refused_device_step_leaves_every_length_as_it_was,
    ];
    a_device_step_that_is_not_claimed_fails: DeviceUnclaimed fails [
        without_device_choice_a_device_step_is_an_error,
    ];
}

/// Flaws that break too much to list: this case is among what fails.
#[track_caller]
fn assert_fails(flaw: Flaw, case: &str) {
    let failed = suite(flaw).run().failed();
    assert!(failed.contains(&case), "{failed:?}");
}

#[test]
fn a_model_that_never_repeats_itself_fails() {
    assert_fails(Flaw::Unrepeatable, "computing_again_gives_the_same");
}

#[test]
fn sequences_that_see_each_other_fail() {
    assert_fails(Flaw::SeesOthers, "sequences_do_not_see_each_other");
}

#[test]
fn a_new_sequence_with_a_token_fails() {
    assert_fails(Flaw::NewHoldsAToken, "a_new_sequence_is_empty");
}
