//! The samplers that cut the distribution. Each returns `None`, and leaves the candidates in any
//! state, if what it keeps depends on tokens that are not listed.

use engine_core::TokenId;

use super::candidates::{Candidate, Candidates, Mass, likeliest_first};

/// Tokens sorted first when looking for the nucleus.
const NUCLEUS_GUESS: usize = 64;

/// Keeps the `k` likeliest.
pub(super) fn top_k(candidates: &mut Candidates, k: usize) -> Option<()> {
    if k < candidates.list.len() {
        candidates.list.select_nth_unstable_by(k, likeliest_first);
    } else if candidates.unlisted > 0 && k > candidates.list.len() {
        return None;
    }
    candidates.keep_first(k);
    Some(())
}

/// Keeps those at least this share as likely as the likeliest.
pub(super) fn min_p(candidates: &mut Candidates, share: f64) -> Option<()> {
    if candidates.unlisted > 0 && f64::from(candidates.cut.exp()) >= share {
        return None;
    }
    candidates
        .list
        .retain(|candidate| candidate.weight >= share);
    candidates.unlisted = 0;
    Some(())
}

/// Keeps the likeliest that add up to `share`: the nucleus (Holtzman et al., 2019).
pub(super) fn top_p(candidates: &mut Candidates, share: f64) -> Option<()> {
    let Mass { listed, beyond } = candidates.mass();
    let target = share * listed;
    let highest = share * (listed + beyond);
    let list = &mut candidates.list;
    let (mut sum, mut sorted) = (0.0, 0);
    while sorted < list.len() {
        let end = (sorted * 4).max(NUCLEUS_GUESS).min(list.len());
        let rest = &mut list[sorted..];
        if end - sorted < rest.len() {
            rest.select_nth_unstable_by(end - sorted, likeliest_first);
        }
        let next = &mut rest[..end - sorted];
        next.sort_unstable_by(likeliest_first);
        for (index, candidate) in next.iter().enumerate() {
            sum += candidate.weight;
            if sum >= target {
                if beyond > 0.0 && sum < highest {
                    return None;
                }
                candidates.keep_first(sorted + index + 1);
                return Some(());
            }
        }
        sorted = end;
    }
    // Sums in another order may round below the target.
    (beyond == 0.0).then_some(())
}

/// Keeps the tokens whose surprise is nearest to the entropy and that add up to `share`: locally
/// typical sampling (Meister et al., 2022). Of equally near ones the likelier comes first.
pub(super) fn typical_p(
    candidates: &mut Candidates,
    by_distance: &mut Vec<(f64, u32)>,
    share: f64,
) -> Option<()> {
    let Mass { listed, beyond } = candidates.mass();
    candidates.list.sort_unstable_by(likeliest_first);
    // Surprise less entropy is the expected score less the score.
    let expected = |extra: f64, extra_mass: f64| {
        let scores = candidates.list.iter();
        let sum: f64 = scores
            // A weight of 0 may have a score of negative infinity.
            .filter(|candidate| candidate.weight > 0.0)
            .map(|candidate| candidate.weight * f64::from(candidate.score))
            .sum();
        (sum + extra) / (listed + extra_mass)
    };
    let center = expected(0.0, 0.0);
    let cut = f64::from(candidates.cut);
    // How far the center may lie lower: x exp(x) falls below -1.
    let slack = if beyond == 0.0 {
        0.0
    } else if cut > -1.0 {
        return None;
    } else {
        (center - expected(beyond * cut, beyond)) * 2.0
    };
    by_distance.clear();
    by_distance.extend(
        candidates
            .list
            .iter()
            .enumerate()
            .map(|(index, candidate)| ((f64::from(candidate.score) - center).abs(), index as u32)),
    );
    by_distance.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let weight = |index: u32| candidates.list[index as usize].weight;
    let mut sum = 0.0;
    let kept = by_distance.iter().position(|(_, index)| {
        sum += weight(*index);
        sum >= share * listed
    });
    let kept = kept.map_or(by_distance.len(), |index| index + 1);
    if beyond > 0.0 {
        let (last, _) = by_distance[kept - 1];
        let next = by_distance.get(kept).map_or(f64::INFINITY, |next| next.0);
        // Any of the last ones could be the last under another center.
        let heaviest = by_distance[..kept]
            .iter()
            .rev()
            .take_while(|(distance, _)| *distance >= last - slack)
            .map(|(_, index)| weight(*index))
            .fold(0.0, f64::max);
        let certain = next - last > slack
            && (center - cut) - last > slack
            && sum - heaviest < share * listed
            && sum >= share * (listed + beyond);
        if !certain {
            return None;
        }
    }
    let mut places = by_distance[..kept].iter().map(|(_, index)| *index);
    let (first, last) = places.clone().fold((u32::MAX, 0), |(first, last), index| {
        (first.min(index), last.max(index))
    });
    // Sorted by score, those within a distance stand together, but for equal scores at the border.
    if (last - first) as usize + 1 == kept {
        candidates.keep_first(last as usize + 1);
        candidates.list.drain(..first as usize);
    } else {
        let copy: Vec<_> = places
            .by_ref()
            .map(|index| candidates.list[index as usize])
            .collect();
        candidates.list = copy;
        candidates.list.sort_unstable_by(likeliest_first);
        candidates.unlisted = 0;
    }
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
    let Mass { listed, beyond } = candidates.mass();
    let (lowest, highest) = (threshold * listed, threshold * (listed + beyond));
    if beyond > 0.0 && f64::from(candidates.cut.exp()) >= lowest {
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
    let Mass { listed, beyond } = candidates.mass();
    let share = (-bound).exp2();
    let (lowest, highest) = (share * listed, share * (listed + beyond));
    // The likeliest one's weight is 1.
    if highest > 1.0 {
        if beyond > 0.0 && lowest <= 1.0 {
            return None;
        }
        top_k(candidates, 1)?;
        return Some(listed);
    }
    let unclear = |weight: f64| weight >= lowest && weight < highest;
    if beyond > 0.0
        && (f64::from(candidates.cut.exp()) >= lowest
            || candidates
                .list
                .iter()
                .any(|candidate| unclear(candidate.weight)))
    {
        return None;
    }
    candidates
        .list
        .retain(|candidate| candidate.weight >= lowest);
    candidates.unlisted = 0;
    Some(listed)
}
