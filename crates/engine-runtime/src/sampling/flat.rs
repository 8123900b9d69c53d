//! Draws from a flat distribution, in which too many tokens are likely for a list of them.
//!
//! A draw leads to a token through sums over chunks of the vocabulary. Top-p needs no list and no
//! order either: a token belongs to the nucleus if all that are likelier weigh less than the share,
//! or all that are less likely more than the rest, which is one more sum. A token that does not is
//! turned down, and with it all that are not likelier, and another is drawn from the others. What
//! is left of the distribution keeps its proportions, so that the outcome is a draw from the
//! nucleus (rejection sampling; von Neumann, 1951).

use engine_core::TokenId;

use super::{draws::Purpose, exponentials::Weighting, scan::Scan};

/// A flat distribution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flat {
    pub(super) weighting: Weighting,
    /// That of top-p, if it follows.
    pub(super) share: Option<f64>,
}

/// What a draw led to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Drawn {
    Token(TokenId),
    /// The token lies so near to the border of the nucleus that the accuracy of sums does not tell
    /// whether it belongs to it. If it does not, any of the nucleus is to be drawn with this number.
    Unclear(TokenId, Purpose),
}

impl Flat {
    /// Draws a token. `scan` has looked at the logits; `ties` is space to list in.
    pub(super) fn draw(
        &self,
        scan: &mut Scan,
        logits: &[f32],
        ties: &mut Vec<(TokenId, f32)>,
        draw: &mut dyn FnMut(Purpose) -> f64,
    ) -> Drawn {
        let weighting = self.weighting;
        let sum_from = |scan: &mut Scan, from: f32| {
            let range = from..f32::INFINITY;
            scan.sums(logits, weighting, range, f32::MIN, false).weight
        };
        let mut from = f32::NEG_INFINITY;
        let total = sum_from(scan, from);
        let mut mass = total.middle();
        let mut purpose = Purpose::Token;
        let mut refused = 0;
        loop {
            let range = from..f32::INFINITY;
            let found = scan.at_sum(logits, weighting, range, draw(purpose) * mass);
            // There is none only if rounding has left nothing.
            let token = found.unwrap_or_else(|| scan.first_of(logits, weighting.top()));
            let (Some(share), Some(logit)) = (self.share, logits.get(token as usize)) else {
                return Drawn::Token(token);
            };
            let (lowest, highest) = (share * total.low, share * total.high);
            let logit = *logit;
            // Most draws are far from the border, which a part of what is less likely tells.
            let less_likely = f32::NEG_INFINITY..logit;
            if scan.weigh_more(logits, weighting, less_likely, total.high - lowest) {
                return Drawn::Token(token);
            }
            let above = logit.next_up();
            let likelier = sum_from(scan, above);
            purpose = Purpose::Again(refused);
            if likelier.low < highest {
                // Of equally likely ones the lower token comes first.
                ties.clear();
                scan.list(logits, logit, above, ties);
                let earlier = ties.partition_point(|(tie, _)| *tie < token);
                let before = likelier.high + earlier as f64 * weighting.at_most(logit);
                return if before < lowest {
                    Drawn::Token(token)
                } else {
                    Drawn::Unclear(token, purpose)
                };
            }
            (from, mass) = (above, likelier.middle());
            refused += 1;
        }
    }
}
