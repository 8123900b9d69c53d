//! The samplers that cut the distribution. Each returns `None`, and leaves the candidates in any
//! state, if what it keeps depends on tokens that are not listed.

use std::cmp::Ordering;

use engine_core::TokenId;

use super::candidates::{Candidate, Candidates, likeliest_first};

/// So many are sorted rather than parted further.
const SORTED: usize = 64;

/// Keeps the `k` likeliest.
pub(super) fn top_k(candidates: &mut Candidates, k: usize) -> Option<()> {
    if k < candidates.list.len() {
        candidates.list.select_nth_unstable_by(k, likeliest_first);
    } else if candidates.is_open() && k > candidates.list.len() {
        return None;
    }
    candidates.keep_first(k);
    Some(())
}

/// Keeps those at least this share as likely as the likeliest.
pub(super) fn min_p(candidates: &mut Candidates, share: f64) -> Option<()> {
    if candidates.is_open() && f64::from(candidates.cut.exp()) >= share {
        return None;
    }
    candidates
        .list
        .retain(|candidate| candidate.weight >= share);
    candidates.close();
    Some(())
}

/// Keeps the likeliest that add up to `share`: the nucleus (Holtzman et al., 2019).
pub(super) fn top_p(candidates: &mut Candidates, share: f64) -> Option<()> {
    let mass = candidates.mass();
    let weight = |candidate: &Candidate| candidate.weight;
    let is_open = candidates.is_open();
    let nucleus = part(
        &mut candidates.list,
        likeliest_first,
        weight,
        share * mass.low,
    );
    match nucleus {
        Some((_, sum)) if is_open && sum < share * mass.high => None,
        Some((count, _)) => {
            candidates.keep_first(count);
            Some(())
        }
        // Sums in another order may round below the target.
        None => (!is_open).then_some(()),
    }
}

/// Brings to the front the first items in an order whose weights add up to `target`; returns their
/// number and sum, or `None` if all weigh less. Nothing is sorted but the last few: halves are parted
/// until the border is among them.
fn part<T>(
    items: &mut [T],
    order: impl Fn(&T, &T) -> Ordering,
    weight: impl Fn(&T) -> f64,
    target: f64,
) -> Option<(usize, f64)> {
    let (mut start, mut end, mut sum) = (0, items.len(), 0.0);
    while end - start > SORTED {
        let middle = start + (end - start) / 2;
        items[start..end].select_nth_unstable_by(middle - start, &order);
        let half: f64 = items[start..middle].iter().map(&weight).sum();
        if sum + half >= target {
            end = middle;
        } else {
            sum += half;
            start = middle;
        }
    }
    items[start..end].sort_unstable_by(&order);
    // What lies beyond `end` matters only if rounding leaves the sum below the target before it.
    for (index, item) in items.iter().enumerate().skip(start) {
        sum += weight(item);
        if sum >= target {
            return Some((index + 1, sum));
        }
    }
    None
}

/// Keeps the tokens whose surprise is nearest to the entropy and that add up to `share`: locally
/// typical sampling (Meister et al., 2022). Of equally near ones the likelier comes first.
pub(super) fn typical_p(
    candidates: &mut Candidates,
    by_distance: &mut Vec<(f64, u32)>,
    share: f64,
) -> Option<()> {
    let mass = candidates.mass();
    // Surprise less entropy is the expected score less the score.
    let scores = candidates.list.iter();
    let listed: f64 = scores
        // A weight of 0 may have a score of negative infinity.
        .filter(|candidate| candidate.weight > 0.0)
        .map(|candidate| candidate.weight * f64::from(candidate.score))
        .sum();
    let lowest = (listed + candidates.rest.score.low) / mass.low;
    let highest = (listed + candidates.rest.score.high) / mass.high;
    let center = f64::midpoint(lowest, highest);
    // How much nearer or further any token may be.
    let slack = highest - lowest;
    if candidates.is_open() && !slack.is_finite() {
        return None;
    }
    let list = &candidates.list;
    by_distance.clear();
    by_distance.extend(
        list.iter()
            .enumerate()
            .map(|(index, candidate)| ((f64::from(candidate.score) - center).abs(), index as u32)),
    );
    let nearest_first = |a: &(f64, u32), b: &(f64, u32)| {
        let likelier = || likeliest_first(&list[a.1 as usize], &list[b.1 as usize]);
        a.0.total_cmp(&b.0).then_with(likelier)
    };
    let weight = |(_, index): &(f64, u32)| list[*index as usize].weight;
    let typical = part(by_distance, nearest_first, weight, share * mass.low);
    if typical.is_none() && candidates.is_open() {
        return None;
    }
    let (count, sum) = typical.unwrap_or((list.len(), mass.listed));
    let (kept, others) = by_distance.split_at_mut(count);
    if candidates.is_open() {
        let furthest = kept.iter().fold(0.0, |furthest, one| one.0.max(furthest));
        let next = others
            .iter()
            .fold(f64::INFINITY, |next, one| one.0.min(next));
        // Any of the last ones could be the last under another center.
        let last = kept.iter().filter(|one| one.0 >= furthest - 2.0 * slack);
        let heaviest = last.map(weight).fold(0.0, f64::max);
        let certain = next - furthest > 2.0 * slack
            && (center - f64::from(candidates.cut)) - furthest > 2.0 * slack
            && sum - heaviest < share * mass.low
            && sum >= share * mass.high;
        if !certain {
            return None;
        }
    }
    kept.sort_unstable_by_key(|(_, index)| *index);
    for (to, (_, from)) in kept.iter().enumerate() {
        candidates.list[to] = candidates.list[*from as usize];
    }
    candidates.keep_first(count);
    candidates.normalize();
    Some(())
}

/// Leaves out all tokens at least as likely as `threshold` but the least likely of them, unless a
/// protected one is among those left out.
pub(super) fn xtc(
    candidates: &mut Candidates,
    threshold: f64,
    protected: &[TokenId],
) -> Option<()> {
    let mass = candidates.mass();
    let (lowest, highest) = (threshold * mass.low, threshold * mass.high);
    if candidates.is_open() && f64::from(candidates.cut.exp()) >= lowest {
        return None;
    }
    let mut above = 0;
    let mut least: Option<Candidate> = None;
    for candidate in &candidates.list {
        if candidate.weight < lowest {
            continue;
        }
        if candidate.weight < highest {
            return None;
        }
        above += 1;
        if least.is_none_or(|least| likeliest_first(candidate, &least).is_gt()) {
            least = Some(*candidate);
        }
    }
    let Some(least) = least.filter(|_| above > 1) else {
        return Some(());
    };
    let is_out =
        |candidate: &Candidate| candidate.weight >= lowest && candidate.token != least.token;
    let spared = candidates
        .list
        .iter()
        .any(|candidate| is_out(candidate) && protected.contains(&candidate.token));
    if !spared {
        candidates.list.retain(|candidate| !is_out(candidate));
        candidates.normalize();
    }
    Some(())
}

/// Leaves out tokens whose surprise is above `bound` bits, but for the likeliest; returns the total
/// weight before.
pub(super) fn surprise(candidates: &mut Candidates, bound: f64) -> Option<f64> {
    let mass = candidates.mass();
    let total = f64::midpoint(mass.low, mass.high);
    let is_open = candidates.is_open();
    let share = (-bound).exp2();
    let (lowest, highest) = (share * mass.low, share * mass.high);
    // The likeliest one's weight is 1.
    if highest > 1.0 {
        if is_open && lowest <= 1.0 {
            return None;
        }
        top_k(candidates, 1)?;
        return Some(total);
    }
    if is_open {
        let cut = f64::from(candidates.cut.exp());
        if cut >= highest {
            // All that is listed stays, and more or less of the rest.
            candidates.rest.weight.low = 0.0;
            candidates.rest.score.low = f64::NEG_INFINITY;
            candidates.rest.score.high = 0.0;
            return Some(total);
        }
        let unclear =
            |candidate: &Candidate| candidate.weight >= lowest && candidate.weight < highest;
        if cut >= lowest || candidates.list.iter().any(unclear) {
            return None;
        }
    }
    candidates
        .list
        .retain(|candidate| candidate.weight >= lowest);
    candidates.close();
    Some(total)
}
