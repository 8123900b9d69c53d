//! Every input of the set-up, by version and digest.
//!
//! They belong together: `mlx-rs` asks for one version of `mlx-sys`, whose
//! copy of mlx-c is written for one version of MLX, and MLX for CUDA asks for
//! NVIDIA's libraries, of which it uses what lies beside it. Change them together.

use super::target::{Cuda, Flavour, Target};
use crate::python::Wheel;

/// The MLX that [`MLX_SYS`]'s copy of mlx-c is written for.
pub(super) const MLX: &str = "0.32.2";
/// The package with mlx-c's sources.
pub(super) const MLX_SYS: &str = "0.7.0";

/// A wheel of the Python package index.
struct Pin {
    project: &'static str,
    version: &'static str,
    x86_64: File,
    aarch64: File,
}

struct File {
    bytes: u64,
    sha256: &'static str,
}

impl Pin {
    const fn wheel(&self, target: Target) -> Wheel {
        let file = match target {
            Target::X86_64 => &self.x86_64,
            Target::Aarch64 => &self.aarch64,
        };
        Wheel {
            project: self.project,
            version: self.version,
            sha256: file.sha256,
            bytes: file.bytes,
        }
    }
}

/// MLX's library and headers, and the libraries that they need.
pub(super) fn wheels(flavour: Flavour, target: Target) -> Vec<Wheel> {
    let pins: &[Pin] = match flavour {
        Flavour::Cpu => &CPU,
        Flavour::Cuda(Cuda::V12) => &CUDA_12,
        Flavour::Cuda(Cuda::V13) => &CUDA_13,
    };
    pins.iter().map(|pin| pin.wheel(target)).collect()
}

/// The library that reads C headers for the bindings.
pub(super) fn libclang(target: Target) -> Wheel {
    LIBCLANG.wheel(target)
}

const CPU: [Pin; 1] = [Pin {
    project: "mlx-cpu",
    version: MLX,
    x86_64: File {
        bytes: 10_388_414,
        sha256: "fc5d31b90fc4f457b2f9614ed45651a567d22a6a11a03d114a90a4e10bdd8878",
    },
    aarch64: File {
        bytes: 8_822_016,
        sha256: "d0f94625588b51a878786dd51cec5617894ce586cf3c94645ce1b64e24c27c0b",
    },
}];

const LIBCLANG: Pin = Pin {
    project: "libclang",
    version: "18.1.1",
    x86_64: File {
        bytes: 24_515_943,
        sha256: "c533091d8a3bbf7460a00cb6c1a71da93bffe148f172c7d03b1c31fbf8aa2a0b",
    },
    aarch64: File {
        bytes: 23_784_972,
        sha256: "54dda940a4a0491a9d1532bf071ea3ef26e6dbaf03b5000ed94dd7174e8f9592",
    },
};

const CUDA_12: [Pin; 7] = [
    Pin {
        project: "mlx-cuda-12",
        version: MLX,
        x86_64: File {
            bytes: 87_046_209,
            sha256: "35445ead9724855826f310b9085d57137d0a2c5381cc293cb6d86b03bb4feadf",
        },
        aarch64: File {
            bytes: 84_674_347,
            sha256: "c794c697dcd28e00a51ce8813189ece1a8c62559de7cc5e27803cc591f55df05",
        },
    },
    Pin {
        project: "nvidia-cublas-cu12",
        version: "12.9.3.13",
        x86_64: File {
            bytes: 581_217_458,
            sha256: "d7d51055f161b317c7105ddaae90e71eda059026074ffef93cf7cde2886bfe72",
        },
        aarch64: File {
            bytes: 574_997_333,
            sha256: "918a8781956115d34b1db49e0e7b7befba8d101661c4b560ed4d42e0e17bebc3",
        },
    },
    Pin {
        project: "nvidia-cuda-nvrtc-cu12",
        version: "12.9.86",
        x86_64: File {
            bytes: 89_568_129,
            sha256: "210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4",
        },
        aarch64: File {
            bytes: 44_528_905,
            sha256: "096d4de6bda726415dfaf3198d4f5c522b8e70139c97feef5cd2ca6d4cd9cead",
        },
    },
    Pin {
        project: "nvidia-cudnn-cu12",
        version: "9.28.0.42",
        x86_64: File {
            bytes: 716_538_495,
            sha256: "9ff58b7f36dacd0a93e89f8f2957b52466889217963701daa15e577317cfa375",
        },
        aarch64: File {
            bytes: 723_261_984,
            sha256: "f88db8fc1a0a5f458e19aa7b08fbe3500aeb9e2bb8dea6293ecbce170364ad72",
        },
    },
    Pin {
        project: "nvidia-cufft-cu12",
        version: "11.4.1.4",
        x86_64: File {
            bytes: 200_877_592,
            sha256: "c67884f2a7d276b4b80eb56a79322a95df592ae5e765cf1243693365ccab4e28",
        },
        aarch64: File {
            bytes: 200_822_453,
            sha256: "1a28c9b12260a1aa7a8fd12f5ebd82d027963d635ba82ff39a1acfa7c4c0fbcf",
        },
    },
    Pin {
        project: "nvidia-nccl-cu12",
        version: "2.32.3",
        x86_64: File {
            bytes: 351_526_311,
            sha256: "bb94b2348e4861d5e8aa00b36c3d12d9bdf9c6369b82cbb723de0b582280a21c",
        },
        aarch64: File {
            bytes: 351_519_937,
            sha256: "061af42ae1044816820e16b872075e243d1ac0656f51860fbc8e106c257aa83a",
        },
    },
    Pin {
        project: "nvidia-nvjitlink-cu12",
        version: "12.9.86",
        x86_64: File {
            bytes: 39_748_338,
            sha256: "e3f1171dbdc83c5932a45f0f4c99180a70de9bd2718c1ab77d14104f6d7147f9",
        },
        aarch64: File {
            bytes: 39_514_880,
            sha256: "994a05ef08ef4b0b299829cde613a424382aff7efb08a7172c1fa616cc3af2ca",
        },
    },
];

const CUDA_13: [Pin; 8] = [
    Pin {
        project: "mlx-cuda-13",
        version: MLX,
        x86_64: File {
            bytes: 87_424_146,
            sha256: "335094ccd1c0c6dc3e09c8caba207c8180602bacc0c38ba20c1d81e9456ab394",
        },
        aarch64: File {
            bytes: 84_519_215,
            sha256: "49b1a25df9021f3b519a534fd39a32a5cdbf93a1b265a31e59671c2d9fc9f4a2",
        },
    },
    Pin {
        project: "nvidia-cublas",
        version: "13.10.0.20",
        x86_64: File {
            bytes: 444_289_903,
            sha256: "dcc6d63884c53d07e267ce7e6feac17b2538cebaafec5db865736c3e28e4dc84",
        },
        aarch64: File {
            bytes: 560_089_875,
            sha256: "c5f3418c0a845232a8cabc58f6fa52cfae7d8bd3680d94c3907aca710fd48d70",
        },
    },
    Pin {
        project: "nvidia-cuda-nvrtc",
        version: "13.5.37",
        x86_64: File {
            bytes: 58_185_930,
            sha256: "86b4d68058807988b7d9af5b44917a0601e9c337f35ccd657bfb3c759ff8d8bc",
        },
        aarch64: File {
            bytes: 56_419_462,
            sha256: "36e4fa2a8ada293f5693d308e531c196ab6f91cf7a0ff479bf96a537d43a6096",
        },
    },
    Pin {
        project: "nvidia-cuda-runtime",
        version: "13.5.37",
        x86_64: File {
            bytes: 2_504_024,
            sha256: "df2b79a8852f10d1fef8c848489c49eebb5754051bf870202a862831412b179d",
        },
        aarch64: File {
            bytes: 2_520_010,
            sha256: "de2dc5a7367974228b0a69588a9acc9340d3768bef1bf38bf0801eb08497cd2d",
        },
    },
    Pin {
        project: "nvidia-cudnn-cu13",
        version: "9.28.1.4",
        x86_64: File {
            bytes: 516_817_937,
            sha256: "a54f205b1db1f2895d99f398754db1369816f0569dd459731f925635cf7b65ec",
        },
        aarch64: File {
            bytes: 597_008_823,
            sha256: "759b6a4919951ed8ec603dec97b96f6a6396c8269b95b3d345526e2471fb433d",
        },
    },
    Pin {
        project: "nvidia-cufft",
        version: "12.5.0.14",
        x86_64: File {
            bytes: 165_072_555,
            sha256: "b8be26837a5abad2b5b74f3e92dd29f622a42934b355be0961a48712cbba23ad",
        },
        aarch64: File {
            bytes: 165_074_034,
            sha256: "091cde103312d6e09366122fe3f67092dcfd94cc9785029d695d6bcffaa76fdf",
        },
    },
    Pin {
        project: "nvidia-nccl-cu13",
        version: "2.32.3",
        x86_64: File {
            bytes: 305_100_071,
            sha256: "1459723080ac889d73a26edfa3e04383a7928ab31ac8f0ec43b3ea9548b04ff3",
        },
        aarch64: File {
            bytes: 305_107_282,
            sha256: "a5bee92b2f4af218c109f8d221c3c9adcc752b94ae0ffcb0ed5abf9341a7724c",
        },
    },
    Pin {
        project: "nvidia-nvjitlink",
        version: "13.5.37",
        x86_64: File {
            bytes: 46_642_491,
            sha256: "280d7cb9649704145f074b8dbde500de04ce02d0872e066e20a83c17bcaa93eb",
        },
        aarch64: File {
            bytes: 45_253_761,
            sha256: "893f6f9a55b2720ed94913b5ba3332e972da8c78dfa2863d0244403dbd528ffc",
        },
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_file_has_a_digest_of_its_own() {
        let mut digests = BTreeSet::new();
        for target in [Target::X86_64, Target::Aarch64] {
            let wheels = Flavour::ALL.map(|flavour| wheels(flavour, target)).concat();
            for wheel in wheels.into_iter().chain([libclang(target)]) {
                assert_eq!(wheel.sha256.len(), 64, "{}", wheel.project);
                assert!(digests.insert(wheel.sha256), "{}", wheel.project);
            }
        }
    }

    #[test]
    fn every_flavour_begins_with_mlx_itself() {
        for flavour in Flavour::ALL {
            let wheels = wheels(flavour, Target::X86_64);
            assert!(wheels[0].project.starts_with("mlx-"), "{flavour}");
            assert_eq!(wheels[0].version, MLX);
        }
    }
}
