//! Whether memory can be had, asked before MLX takes it.
//!
//! A GPU's allocator may go beyond what the device has and swap with the host's memory, which is
//! slower than any user would wait for. Where MLX computes on the processor without Metal or CUDA, it writes to whatever `malloc`
//! returned: an allocation that fails ends the process. So a model asks here before it takes
//! memory in earnest: for weights, for a longer KV cache, for a piece of a prompt. It is an
//! estimate; what other programs take in the meantime it can't know.

use engine_core::{Error, Result};

use super::{exception::Doing, memory::Allocator};

/// Fails with the figures if `bytes` more would go beyond MLX's own limit, which is what the
/// device has or a little less.
pub(super) fn ensure_within_limit(purpose: &str, bytes: u64) -> Result<()> {
    let free = within_limit(Allocator::now().doing("ask for its memory")?)?;
    if bytes > free {
        return Err(too_little(
            purpose,
            bytes,
            &format!("the device has {} left", mebibytes(free)),
        ));
    }
    Ok(())
}

fn within_limit(allocator: Allocator) -> Result<u64> {
    let limit = mlx_rs::memory::memory_limit().doing("ask for its memory limit")? as u64;
    Ok(limit.saturating_sub(allocator.active))
}

/// Fails with the figures if `bytes` more would not fit into the processor's memory.
pub(super) fn ensure_room(purpose: &str, bytes: u64) -> Result<()> {
    let allocator = Allocator::now().doing("ask for its memory")?;
    let within_limit = within_limit(allocator)?;
    // What the pool holds can be handed out again, or given back for other sizes.
    let of_system = available_of_system().map(|free| free.saturating_add(allocator.pooled));
    let free = of_system.map_or(within_limit, |free| free.min(within_limit));
    if bytes > free {
        return Err(too_little(
            purpose,
            bytes,
            &format!("{} can be had", mebibytes(free)),
        ));
    }
    // Limits of the process (`ulimit -v`, strict accounting) show only in an attempt.
    let pooled = allocator.pooled.min(bytes);
    if Vec::<u8>::new()
        .try_reserve_exact((bytes - pooled) as usize)
        .is_err()
    {
        return Err(too_little(purpose, bytes, "the system refuses to give it"));
    }
    Ok(())
}

fn too_little(purpose: &str, bytes: u64, reason: &str) -> Error {
    Error::OutOfMemory {
        purpose: purpose.to_owned(),
        reason: format!("it takes {}, and {reason}", mebibytes(bytes)),
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// `MemAvailable` of `/proc/meminfo`: what programs can get without swapping.
fn available_of_system() -> Option<u64> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let figures = std::fs::read_to_string("/proc/meminfo").ok()?;
    parse_available(&figures)
}

fn parse_available(figures: &str) -> Option<u64> {
    let line = figures
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gigantic_need_is_out_of_memory_with_its_purpose() {
        for bytes in [1 << 50, u64::MAX] {
            let error = ensure_room("the weights", bytes).unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with("not enough memory for the weights: it takes "),
                "{error}"
            );
        }
    }

    #[test]
    fn a_need_beyond_the_limit_is_out_of_memory() {
        let error = ensure_within_limit("the weights", u64::MAX).unwrap_err();
        assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
        ensure_within_limit("a page", 4096).unwrap();
    }

    #[test]
    fn a_small_need_is_met() {
        ensure_room("a page", 4096).unwrap();
        ensure_room("nothing", 0).unwrap();
    }

    #[test]
    fn the_systems_figures_are_kibibytes() {
        let figures = "MemTotal:       24096760 kB\nMemAvailable:   12 kB\n";
        assert_eq!(parse_available(figures), Some(12 * 1024));
        assert_eq!(parse_available("MemTotal: 1 kB"), None);
        assert_eq!(parse_available("MemAvailable: many kB"), None);
    }
}
