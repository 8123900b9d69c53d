//! Figures, their goals, and the table of them.

use serde::Serialize;

/// One line of the table: ours against something, and how many times it should be.
#[derive(Debug, Serialize)]
pub(super) struct Figure {
    pub(super) name: String,
    pub(super) unit: &'static str,
    pub(super) ours: f64,
    /// What it is held against, in words.
    pub(super) against: String,
    pub(super) theirs: f64,
    /// Ours over theirs.
    pub(super) ratio: f64,
    pub(super) goal: Goal,
    pub(super) our_runs: Vec<f64>,
    pub(super) their_runs: Vec<f64>,
}

/// What the ratio should be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Goal {
    AtLeast(f64),
    AtMost(f64),
    /// It is only told.
    None,
}

impl Goal {
    fn in_words(self, ratio: f64) -> String {
        let (met, sign, goal) = match self {
            Self::AtLeast(goal) => (ratio >= goal, "≥", goal),
            Self::AtMost(goal) => (ratio <= goal, "≤", goal),
            Self::None => return String::new(),
        };
        let met = if met { "met" } else { "NOT met" };
        format!("{sign} {goal}, {met}")
    }
}

impl Figure {
    /// The medians of two lists of runs.
    pub(super) fn of_runs(
        name: String,
        unit: &'static str,
        our_runs: Vec<f64>,
        (against, their_runs): (String, Vec<f64>),
        goal: Goal,
    ) -> Self {
        let (ours, theirs) = (median(&our_runs), median(&their_runs));
        Self {
            name,
            unit,
            ours,
            against,
            theirs,
            ratio: ours / theirs,
            goal,
            our_runs,
            their_runs,
        }
    }
}

/// The one in the middle, or between the two there; 0 of nothing.
pub(super) fn median(runs: &[f64]) -> f64 {
    let mut sorted = runs.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => f64::midpoint(sorted[even / 2 - 1], sorted[even / 2]),
    }
}

pub(super) fn table(figures: &[Figure]) -> String {
    let mut lines = vec![
        format!(
            "| {:<44} | {:>16} | {:<26} | {:>16} | {:>6} | {:<16} |",
            "figure", "engine-cpu", "against", "", "ratio", "goal"
        ),
        "| --- | ---: | --- | ---: | ---: | --- |".to_owned(),
    ];
    lines.extend(figures.iter().map(|f| {
        format!(
            "| {:<44} | {:>16} | {:<26} | {:>16} | {:>6.2} | {:<16} |",
            f.name,
            format!("{:.1} {}", f.ours, f.unit),
            f.against,
            format!("{:.1} {}", f.theirs, f.unit),
            f.ratio,
            f.goal.in_words(f.ratio),
        )
    }));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn a_goal_that_is_missed_is_said_so() {
        let figure = |ours, goal| {
            let against = ("llama.cpp".to_owned(), vec![10.0]);
            Figure::of_runs("decode".to_owned(), "tok/s", vec![ours], against, goal)
        };
        let lines = table(&[
            figure(14.0, Goal::AtLeast(1.5)),
            figure(15.0, Goal::AtLeast(1.5)),
            figure(9.0, Goal::AtMost(1.0)),
        ]);
        assert!(lines.contains("≥ 1.5, NOT met"), "{lines}");
        assert!(lines.contains("≥ 1.5, met"), "{lines}");
        assert!(lines.contains("≤ 1, met"), "{lines}");
    }
}
