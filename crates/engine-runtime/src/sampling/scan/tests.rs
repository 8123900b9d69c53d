//! What passes find must not depend on the registers that the processor has.

use proptest::prelude::*;
use pulp::Arch;

use super::{BLOCK, Scan};
use crate::sampling::exponentials::Weighting;

fn any_logit() -> impl Strategy<Value = f32> {
    prop_oneof![
        20 => -30.0_f32..30.0,
        4 => prop::sample::select(vec![1.0_f32, 1.5, -2.25]),
        1 => -3e38_f32..3e38,
        2 => Just(f32::NEG_INFINITY),
    ]
}

fn any_logits() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(any_logit(), 1..6 * BLOCK)
}

proptest! {
    #[test]
    fn the_widest_registers_and_none_find_the_same(
        logits in any_logits(),
        temperature in prop::sample::select(vec![0.01_f32, 0.8, 1.0, 20.0]),
        borders in (any_logit(), any_logit()),
        mask in prop::collection::vec(prop::sample::select(vec![0, 0, u32::MAX]), 6 * BLOCK / 32),
        masked in any::<bool>(),
        scores in any::<bool>(),
        draw in 0.0_f64..1.0,
    ) {
        let mut wide = Scan::default();
        let mut narrow = Scan { arch: Arch::Scalar, ..Scan::default() };
        let mask = masked.then_some(&mask[..]);
        let top = wide.run(&logits, mask);
        prop_assert_eq!(top, narrow.run(&logits, mask));
        prop_assert_eq!(&wide.blocks.tops, &narrow.blocks.tops);
        prop_assert_eq!(&wide.blocks.maxima, &narrow.blocks.maxima);
        let Some(top) = top else {
            return Ok(());
        };
        let (least, above) = (borders.0.min(borders.1), borders.0.max(borders.1));
        let (mut listed, mut expected) = (Vec::new(), Vec::new());
        wide.list(&logits, least, above, &mut listed);
        narrow.list(&logits, least, above, &mut expected);
        prop_assert_eq!(listed, expected);
        let weighting = Weighting::new(top, temperature);
        for (range, exact_from) in [
            (f32::NEG_INFINITY..f32::INFINITY, f32::MIN),
            (f32::NEG_INFINITY..above, least),
            (least..f32::INFINITY, f32::MIN),
        ] {
            let sums = wide.sums(&logits, weighting, range.clone(), exact_from, scores);
            let expected = narrow.sums(&logits, weighting, range.clone(), exact_from, scores);
            prop_assert_eq!(sums.weight, expected.weight);
            prop_assert_eq!(sums.score, expected.score);
            let target = draw * sums.weight.middle();
            let token = wide.at_sum(&logits, weighting, range.clone(), target);
            prop_assert_eq!(token, narrow.at_sum(&logits, weighting, range, target));
        }
    }

    #[test]
    fn one_number_that_is_none_is_found_anywhere(
        mut logits in any_logits(),
        place in any::<prop::sample::Index>(),
        is_wide in any::<bool>(),
    ) {
        let place = place.index(logits.len());
        logits[place] = f32::NAN;
        let arch = if is_wide { Arch::default() } else { Arch::Scalar };
        let mut scan = Scan { arch, ..Scan::default() };
        prop_assert_eq!(scan.run(&logits, None), None);
    }
}
