//! Rounding, scores, softmax and sums of values, against the portable set and against f64.

use proptest::prelude::*;

use super::{super::*, Random, assert_near, others};

/// A page of one head.
struct OwnedPage {
    sixteen: Vec<i16>,
    eight: Option<Vec<i8>>,
    scales: Vec<f32>,
}

impl OwnedPage {
    /// Of integers as they may be stored, among them the largest.
    fn random(random: &mut Random, head_dim: usize, eight: bool) -> Self {
        let most = if eight { 127 } else { 4095 };
        let sixteen: Vec<i16> = (0..head_dim * PAGE)
            .map(|_| match random.next() % 8 {
                0 => most,
                1 => -most,
                _ => (random.unit() * f32::from(most)) as i16,
            })
            .collect();
        Self {
            eight: eight.then(|| sixteen.iter().map(|x| *x as i8).collect()),
            sixteen,
            scales: (0..PAGE).map(|_| random.unit().abs() + 1e-3).collect(),
        }
    }

    fn view(&self) -> ContextPage<'_> {
        ContextPage {
            integers: match &self.eight {
                Some(eight) => Integers::Eight(eight),
                None => Integers::Sixteen(&self.sixteen),
            },
            scales: &self.scales,
        }
    }
}

fn rounded(kernels: &dyn Kernels, queries: &[f32], head_dim: usize) -> RoundedQueries {
    let mut rounded = RoundedQueries::default();
    rounded.clear(head_dim);
    for query in queries.chunks_exact(head_dim) {
        rounded.push(|integers| kernels.round(query, MOST, integers));
    }
    rounded
}

/// Softmaxes of which the last step had these weights and factors.
fn after_a_step(weights: Vec<i16>, shrink: Vec<f32>, units: Vec<f32>) -> Softmaxes {
    let mut softmaxes = Softmaxes::default();
    softmaxes.begin(units.len());
    softmaxes.weights = weights;
    softmaxes.shrink = shrink;
    softmaxes.units = units;
    softmaxes
}

/// One of several softmaxes.
fn one_of(softmaxes: &Softmaxes, query: usize) -> Softmaxes {
    Softmaxes {
        maxima: vec![softmaxes.maxima[query]],
        sums: vec![softmaxes.sums[query]],
        weights: softmaxes.weights[query * PAGE..(query + 1) * PAGE].to_vec(),
        shrink: vec![softmaxes.shrink[query]],
        units: vec![softmaxes.units[query]],
    }
}

/// The step of one of several queries.
fn alone(
    kernels: &dyn Kernels,
    before: &Softmaxes,
    page: &PageScores<'_>,
    query: usize,
) -> Softmaxes {
    let mut softmaxes = one_of(before, query);
    let page = PageScores {
        scores: &page.scores[query * PAGE..(query + 1) * PAGE],
        seen: &page.seen[query..=query],
        scales: page.scales,
    };
    kernels.softmax_step(&page, &mut softmaxes);
    softmaxes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn rounding_agrees_and_comes_near(seed: u64, len in 1usize..150, eight: bool, power in -40i32..60) {
        let mut random = Random(seed);
        let row: Vec<f32> = (0..len).map(|_| random.number() * 2f32.powi(power)).collect();
        let most = if eight { 127.0 } else { MOST };
        let of = |kernels: &dyn Kernels| {
            let mut integers = vec![0; len];
            let scale = kernels.round(&row, most, &mut integers);
            (integers, scale)
        };
        let (integers, scale) = of(&portable::Portable);
        for (x, integer) in row.iter().zip(&integers) {
            prop_assert!(f32::from(*integer).abs() <= most);
            prop_assert!((x - scale * f32::from(*integer)).abs() <= scale * 0.502);
        }
        for kernels in others() {
            prop_assert_eq!(of(kernels), (integers.clone(), scale), "{}", kernels.name());
        }
    }

    #[test]
    fn scores_agree_and_are_those_of_a_query_alone(
        seed: u64,
        eight: bool,
        queries in 1usize..60,
        pairs in 1usize..140,
    ) {
        let mut random = Random(seed);
        let head_dim = pairs * 2;
        let page = OwnedPage::random(&mut random, head_dim, eight);
        let keys = KeyLanes { head_dim, page: page.view() };
        let numbers = random.numbers(queries * head_dim);
        let all = rounded(&portable::Portable, &numbers, head_dim);
        let scores = |kernels: &dyn Kernels, queries: &RoundedQueries| {
            let mut out = vec![7.0; queries.scales.len() * PAGE];
            kernels.scores(queries, &keys, Some(&page.view()), &mut out);
            out
        };
        let expected = scores(&portable::Portable, &all);
        let largest = expected.iter().fold(0f32, |most, x| most.max(x.abs()));
        for kernels in others() {
            let got = scores(kernels, &all);
            assert_near(kernels.name(), &got, &expected, largest);
            for (query, row) in numbers.chunks_exact(head_dim).zip(got.chunks_exact(PAGE)) {
                let alone = rounded(&portable::Portable, query, head_dim);
                prop_assert_eq!(&scores(kernels, &alone)[..], row, "{}", kernels.name());
            }
        }
    }

    #[test]
    fn weighted_values_agree_and_are_those_of_a_query_alone(
        seed: u64,
        eight: bool,
        queries in 1usize..60,
        pairs in 1usize..70,
        used in 1usize..=PAGE,
    ) {
        let mut random = Random(seed);
        let head_dim = pairs * 2;
        let page = OwnedPage::random(&mut random, head_dim, eight);
        let values = ValueRows { head_dim, used, page: page.view() };
        let weights: Vec<i16> = (0..queries * PAGE)
            .map(|i| if i % PAGE < used { (random.unit().abs() * 8191.0) as i16 } else { 0 })
            .collect();
        let mut factors = || -> Vec<f32> { (0..queries).map(|_| random.unit().abs()).collect() };
        let (shrink, units) = (factors(), factors());
        let before = random.numbers(queries * head_dim);
        let sums = |kernels: &dyn Kernels, queries: std::ops::Range<usize>| {
            let softmaxes = after_a_step(
                weights[queries.start * PAGE..queries.end * PAGE].to_vec(),
                shrink[queries.clone()].to_vec(),
                units[queries.clone()].to_vec(),
            );
            let mut out = before[queries.start * head_dim..queries.end * head_dim].to_vec();
            kernels.accumulate(&softmaxes, &values, Some(&page.view()), &mut out);
            out
        };
        let expected = sums(&portable::Portable, 0..queries);
        let largest = expected.iter().fold(0f32, |most, x| most.max(x.abs()));
        for kernels in others() {
            let got = sums(kernels, 0..queries);
            assert_near(kernels.name(), &got, &expected, largest);
            for (query, row) in got.chunks_exact(head_dim).enumerate() {
                prop_assert_eq!(&sums(kernels, query..query + 1)[..], row, "{}", kernels.name());
            }
        }
    }

    #[test]
    fn steps_of_the_softmax_are_one_softmax_of_what_is_seen(
        seed: u64,
        pages in 1usize..5,
        queries in 1usize..10,
        spread in 0f32..60.0,
    ) {
        let mut random = Random(seed);
        let scores: Vec<f32> = (0..pages * queries * PAGE).map(|_| random.unit() * spread).collect();
        let mut scales: Vec<f32> = (0..pages * PAGE)
            .map(|_| (random.unit() * 12.0).exp2())
            .collect();
        let mut place = || random.next() as usize % (PAGE + 1);
        let seen: Vec<_> = (0..pages * queries).map(|_| (place(), place())).collect();
        // What nobody sees is no number.
        for (index, scale) in scales.iter_mut().enumerate() {
            let (page, position) = (index / PAGE, index % PAGE);
            let range = &seen[page * queries..(page + 1) * queries];
            if !range.iter().any(|(start, end)| (*start..*end).contains(&position)) {
                *scale = [f32::NAN, 0.0, f32::INFINITY][index % 3];
            }
        }
        for kernels in available() {
            let mut softmaxes = Softmaxes::default();
            softmaxes.begin(queries);
            let mut exact = vec![0f64; queries];
            // What one position's value would come to, `[queries, pages, PAGE]`.
            let mut got = vec![vec![0f64; pages * PAGE]; queries];
            for page in 0..pages {
                let step = page * queries..(page + 1) * queries;
                let of_page = PageScores {
                    scores: &scores[step.start * PAGE..step.end * PAGE],
                    seen: &seen[step].iter().map(|(start, end)| Seen::between(*start, *end)).collect::<Vec<_>>(),
                    scales: &scales[page * PAGE..(page + 1) * PAGE],
                };
                let before = softmaxes.clone();
                kernels.softmax_step(&of_page, &mut softmaxes);
                for query in 0..queries {
                    let alone = alone(kernels, &before, &of_page, query);
                    prop_assert_eq!(alone, one_of(&softmaxes, query), "{}", kernels.name());
                    let (start, end) = seen[page * queries + query];
                    let row = &of_page.scores[query * PAGE..(query + 1) * PAGE];
                    for before in &mut got[query] {
                        *before *= f64::from(softmaxes.shrink[query]);
                    }
                    for (position, score) in row.iter().enumerate() {
                        let weight = softmaxes.weights[query * PAGE + position];
                        prop_assert!((0..=8191).contains(&weight));
                        if (start..end).contains(&position) {
                            exact[query] += f64::from(*score).exp2();
                            got[query][page * PAGE + position] =
                                f64::from(weight) * f64::from(softmaxes.units[query]);
                        } else {
                            prop_assert_eq!(weight, 0);
                        }
                    }
                }
            }
            for query in 0..queries {
                let total = f64::from(softmaxes.total(query));
                let max = f64::from(softmaxes.maxima[query]);
                if exact[query] == 0.0 {
                    prop_assert_eq!(total, 0.0);
                    continue;
                }
                let sum = total * max.exp2();
                // Exponents of up to 72 are exact to four millionths.
                prop_assert!((sum - exact[query]).abs() < 1e-5 * exact[query], "{} {}", sum, exact[query]);
                // A weight is rounded to one part in four thousand of the largest of its page; a page
                // that is nothing beside the others may give nothing.
                for page in 0..pages {
                    let (start, end) = seen[page * queries + query];
                    let row = &scores[(page * queries + query) * PAGE..];
                    let scales = &scales[page * PAGE..];
                    let weight = |position: usize| {
                        f64::from(row[position]).exp2() * f64::from(scales[position])
                    };
                    let largest = (start..end).map(weight).fold(0.0, f64::max);
                    for position in start..end {
                        let (got, exact) = (got[query][page * PAGE + position] * max.exp2(), weight(position));
                        let allowed = largest / 4000.0 + exact * 1e-5 + sum * 1e-30;
                        prop_assert!((got - exact).abs() <= allowed, "{} instead of {} of {}", got, exact, largest);
                    }
                }
            }
        }
    }
}

#[test]
fn the_largest_integers_do_not_overflow() {
    for (head_dim, pages) in [
        (64, [4095i16; 2]),
        (128, [4095, -4095]),
        (256, [-4095, 4095]),
    ] {
        let page = |x: i16| OwnedPage {
            sixteen: vec![x; head_dim * PAGE],
            eight: None,
            scales: vec![1.0; PAGE],
        };
        let [keys, values] = pages.map(page);
        let queries = vec![1.0; 13 * head_dim];
        for kernels in available() {
            let queries = rounded(kernels, &queries, head_dim);
            let mut scores = vec![0.0; 13 * PAGE];
            let lanes = KeyLanes {
                head_dim,
                page: keys.view(),
            };
            kernels.scores(&queries, &lanes, None, &mut scores);
            let expected = head_dim as f32 * f32::from(pages[0]);
            assert!(
                scores
                    .iter()
                    .all(|score| (score / expected - 1.0).abs() < 1e-6),
                "{} {head_dim}: {} instead of {expected}",
                kernels.name(),
                scores[0]
            );
            let softmaxes = after_a_step(vec![8191; 13 * PAGE], vec![0.0; 13], vec![1.0; 13]);
            let mut sums = vec![3.0; 13 * head_dim];
            let rows = ValueRows {
                head_dim,
                used: PAGE,
                page: values.view(),
            };
            kernels.accumulate(&softmaxes, &rows, None, &mut sums);
            let expected = PAGE as f32 * 8191.0 * f32::from(pages[1]);
            assert!(
                sums.iter().all(|sum| (sum / expected - 1.0).abs() < 1e-6),
                "{} {head_dim}: {} instead of {expected}",
                kernels.name(),
                sums[0]
            );
        }
    }
}

#[test]
fn what_is_no_number_shows_where_it_is_seen() {
    for kernels in available() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for place in [0, 20, 33] {
                let mut row = vec![1.0; 34];
                row[place] = bad;
                assert!(kernels.round(&row, MOST, &mut [0; 34]).is_nan());
            }
        }
        let step = |score: f32, scale: f32, seen: Seen| {
            let (mut scores, mut scales) = (vec![1.0; PAGE], vec![1.0; PAGE]);
            (scores[9], scales[9]) = (score, scale);
            let mut softmaxes = Softmaxes::default();
            softmaxes.begin(1);
            let page = PageScores {
                scores: &scores,
                seen: &[seen],
                scales: &scales,
            };
            kernels.softmax_step(&page, &mut softmaxes);
            softmaxes.total(0)
        };
        let (all, before) = (Seen::ALL, Seen::between(0, 9));
        for (score, scale) in [(f32::NAN, 1.0), (f32::INFINITY, 1.0), (1.0, f32::NAN)] {
            assert!(step(score, scale, all).is_nan(), "{}", kernels.name());
            let without = step(score, scale, before);
            assert!((without - 9.0).abs() < 1e-5, "{}", kernels.name());
        }
    }
}

#[test]
fn a_page_that_a_query_does_not_see_changes_nothing() {
    for kernels in available() {
        let mut softmaxes = Softmaxes::default();
        softmaxes.begin(1);
        let mut step = |score: f32, seen: Seen| {
            let page = PageScores {
                scores: &[score; PAGE],
                seen: &[seen],
                scales: &[1.0; PAGE],
            };
            kernels.softmax_step(&page, &mut softmaxes);
            (
                softmaxes.maxima[0],
                softmaxes.sums[0],
                softmaxes.shrink[0],
                softmaxes.units[0],
            )
        };
        let unseen = Seen::between(5, 5);
        let before = step(3.0, unseen);
        assert_eq!(before.1, [0.0; LANES], "{}", kernels.name());
        let seen = step(2.0, Seen::ALL);
        let after = step(90.0, unseen);
        assert_eq!((after.0, after.1), (seen.0, seen.1), "{}", kernels.name());
        assert_eq!((after.2, after.3), (1.0, 0.0), "{}", kernels.name());
    }
}
