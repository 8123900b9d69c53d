//! What passes find must not depend on the registers that the processor has.

use engine_core::TokenId;
use proptest::prelude::*;
use pulp::Arch;

use super::{BLOCK, Blocks, LANES, Scan};
use crate::sampling::exponentials::{Span, Weighting};

fn any_logit() -> impl Strategy<Value = f32> {
    prop_oneof![
        20 => -30.0_f32..30.0,
        4 => prop::sample::select(vec![1.0_f32, 1.5, -2.25]),
        1 => -3e38_f32..3e38,
        2 => Just(f32::NEG_INFINITY),
    ]
}

/// All kinds of registers that this processor has, none included.
fn archs() -> Vec<Arch> {
    let mut archs = vec![Arch::Scalar, Arch::default()];
    // The widest are the default.
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    archs.extend(pulp::x86::V3::try_new().map(Arch::V3));
    archs
}

/// Nothing, everything, or anything.
fn any_word() -> impl Strategy<Value = u32> {
    prop_oneof![2 => Just(0), 1 => Just(u32::MAX), 2 => any::<u32>()]
}

fn any_logits() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(any_logit(), 1..6 * BLOCK)
}

/// What a scan finds.
#[derive(Debug, PartialEq)]
struct Found {
    tops: Vec<f32>,
    maxima: Vec<[f32; LANES]>,
    listed: Vec<(TokenId, f32)>,
    sums: Vec<(Span, Span)>,
    tokens: Vec<Option<TokenId>>,
    outweigh: Vec<bool>,
}

proptest! {
    #[test]
    fn what_is_found_is_the_same_in_any_registers(
        logits in any_logits(),
        temperature in prop::sample::select(vec![0.01_f32, 0.8, 1.0, 20.0]),
        borders in (any_logit(), any_logit()),
        mask in prop::collection::vec(any_word(), 0..6 * BLOCK / 32),
        masked in any::<bool>(),
        scores in any::<bool>(),
        draw in 0.0_f64..1.0,
        part in 0.0_f64..1.1,
    ) {
        let mask = masked.then_some(&mask[..]);
        let (least, above) = (borders.0.min(borders.1), borders.0.max(borders.1));
        let all = f32::NEG_INFINITY..f32::INFINITY;
        let find = |arch| {
            let mut scan = Scan { arch, ..Scan::default() };
            let top = scan.run(&logits, mask)?;
            let mut listed = Vec::new();
            scan.list(&logits, least, above, &mut listed);
            let weighting = Weighting::new(top, temperature);
            let (mut sums, mut tokens, mut outweigh) = (Vec::new(), Vec::new(), Vec::new());
            for (range, exact_from) in [
                (all.clone(), f32::MIN),
                (f32::NEG_INFINITY..above, least),
                (least..f32::INFINITY, f32::MIN),
            ] {
                let sum = scan.sums(&logits, weighting, range.clone(), exact_from, scores);
                sums.push((sum.weight, sum.score));
                let target = draw * sum.weight.middle();
                tokens.push(scan.at_sum(&logits, weighting, range.clone(), target));
                let bound = part * sum.weight.middle();
                outweigh.push(scan.weigh_more(&logits, weighting, range, bound));
            }
            let Blocks { tops, maxima } = scan.blocks;
            Some(Found { tops, maxima, listed, sums, tokens, outweigh })
        };
        let expected = find(Arch::Scalar);
        for arch in archs() {
            prop_assert_eq!(&find(arch), &expected, "{:?}", arch);
        }
    }

    /// So it is in any registers.
    #[test]
    fn what_a_mask_allows_is_copied_and_the_rest_of_its_blocks_ruled_out(
        logits in any_logits(),
        mask in prop::collection::vec(any_word(), 0..7 * BLOCK / 32),
        before in prop::collection::vec(any_logit(), 0..2 * BLOCK),
    ) {
        let allows = |token: usize| {
            mask.get(token / 32).is_some_and(|word| word >> (token % 32) & 1 == 1)
        };
        for arch in archs() {
            let mut copy = before.clone();
            Scan { arch, ..Scan::default() }.copy_allowed(&mut copy, &logits, &mask);
            prop_assert_eq!(copy.len(), logits.len());
            for (block, logits) in logits.chunks(BLOCK).enumerate() {
                let tokens = block * BLOCK..block * BLOCK + logits.len();
                // Others are not looked at.
                if !tokens.clone().any(allows) {
                    continue;
                }
                for (token, logit) in tokens.zip(logits) {
                    let expected = if allows(token) { *logit } else { f32::NEG_INFINITY };
                    prop_assert_eq!(copy[token], expected, "{:?}, {}", arch, token);
                }
            }
        }
    }

    #[test]
    fn one_number_that_is_none_is_found_anywhere(
        mut logits in any_logits(),
        place in any::<prop::sample::Index>(),
    ) {
        let place = place.index(logits.len());
        logits[place] = f32::NAN;
        for arch in archs() {
            let mut scan = Scan { arch, ..Scan::default() };
            prop_assert_eq!(scan.run(&logits, None), None, "{:?}", arch);
        }
    }
}
