//! `cargo xtask bench`: speed against a peer, side by side in one run, as medians.

mod download;
pub(crate) mod mlx;
mod mlx_cpu;

use crate::error::Error;
use crate::layout::Layout;

/// Options of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

/// What is measured.
#[derive(Debug, clap::Subcommand)]
enum What {
    /// Fetching a model, against Python's `huggingface_hub` and `hf-hub`.
    Download(download::Arguments),
    /// `engine-mlx` against mlx-lm, on MLX's CPU device and the small test model.
    MlxCpu(mlx_cpu::Arguments),
    /// `engine-mlx` against mlx-lm, on models with random weights in well-known shapes.
    Mlx(mlx::Arguments),
}

/// Runs the command.
pub(crate) fn run(layout: &Layout, arguments: &Arguments) -> Result<(), Error> {
    match &arguments.what {
        What::Download(arguments) => download::run(layout, arguments),
        What::MlxCpu(arguments) => mlx_cpu::run(layout, arguments),
        What::Mlx(arguments) => mlx::run(layout, arguments),
    }
}

fn median(runs: &[f64]) -> f64 {
    let mut sorted = runs.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    } else {
        sorted[middle]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
