//! The number type of activations, and of what they are multiplied with.

use engine_core::ComputeType;
use mlx_rs::Dtype;
use model_files::Dtype as Stored;

/// The types in which MLX computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compute {
    F32,
    F16,
    Bf16,
}

impl Compute {
    /// What was asked for; `Auto` is `F32` on the processor, where half types are emulated, and
    /// the files' own type elsewhere.
    pub(super) fn choose(choice: ComputeType, stored: Self, on_cpu: bool) -> Self {
        match choice {
            ComputeType::F32 => Self::F32,
            ComputeType::F16 => Self::F16,
            ComputeType::Bf16 => Self::Bf16,
            ComputeType::Auto if on_cpu => Self::F32,
            _ => stored,
        }
    }

    /// The type of a file's numbers; `None` if they are not such numbers.
    pub(super) fn of_file(dtype: Stored) -> Option<Self> {
        match dtype {
            Stored::F32 => Some(Self::F32),
            Stored::F16 => Some(Self::F16),
            Stored::BF16 => Some(Self::Bf16),
            _ => None,
        }
    }

    pub(super) fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::Float32,
            Self::F16 => Dtype::Float16,
            Self::Bf16 => Dtype::Bfloat16,
        }
    }

    pub(super) fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// As reports name it.
    pub(super) fn name(self) -> ComputeType {
        match self {
            Self::F32 => ComputeType::F32,
            Self::F16 => ComputeType::F16,
            Self::Bf16 => ComputeType::Bf16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_computes_in_f32_unless_told_otherwise() {
        use ComputeType::{Auto, Bf16, F32, Stored};
        for (choice, on_cpu, compute) in [
            (Auto, true, Compute::F32),
            (Auto, false, Compute::F16),
            (Stored, true, Compute::F16),
            (Bf16, true, Compute::Bf16),
            (F32, false, Compute::F32),
        ] {
            assert_eq!(Compute::choose(choice, Compute::F16, on_cpu), compute);
        }
    }
}
