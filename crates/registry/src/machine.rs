//! The memory of a machine.

use serde::Serialize;
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

/// The memory of a machine, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Machine {
    /// All of it, or what a container may take of it.
    pub total_bytes: u64,
    /// What programs can get now without others being moved to disk.
    pub available_bytes: u64,
}

impl Machine {
    /// A machine with this much memory.
    pub const fn new(total_bytes: u64, available_bytes: u64) -> Self {
        Self {
            total_bytes,
            available_bytes,
        }
    }

    /// This machine, now; `None` where the system does not say. A graphics card's own memory is
    /// not looked at.
    pub fn detect() -> Option<Self> {
        let wanted = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
        let system = System::new_with_specifics(wanted).ok()?;
        let mut machine = Self::new(system.total_memory(), system.available_memory());
        if let Some(limits) = system.cgroup_limits() {
            machine.total_bytes = machine.total_bytes.min(limits.total_memory);
            machine.available_bytes = machine.available_bytes.min(limits.free_memory);
        }
        (machine.total_bytes > 0).then_some(machine)
    }

    /// What a model may take: what is available, and no more than three quarters of all, which is
    /// what a GPU gets of unified memory and what leaves the system its own.
    pub const fn usable_bytes(&self) -> u64 {
        let share = self.total_bytes / 4 * 3;
        if self.available_bytes < share {
            self.available_bytes
        } else {
            share
        }
    }
}
