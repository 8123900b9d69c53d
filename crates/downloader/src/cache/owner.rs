//! Who wrote a file, and whether they can still be writing.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

/// A process, as far as other processes can recognise it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    pid: u32,
    /// The set of processes in which the number means something: one boot of one machine, and there
    /// one namespace of process numbers. Empty where that can't be told.
    realm: String,
}

impl Owner {
    /// This process.
    pub(crate) fn this_process() -> Self {
        static REALM: OnceLock<String> = OnceLock::new();
        Self {
            pid: std::process::id(),
            realm: REALM.get_or_init(realm).clone(),
        }
    }

    pub(crate) fn is_this_process(&self) -> bool {
        *self == Self::this_process()
    }

    /// Whether both ran since the machine was last started.
    pub(crate) fn shares_realm(&self) -> bool {
        !self.realm.is_empty() && self.realm == Self::this_process().realm
    }

    /// Whether the process has ended for sure. `false` where it can't be known: on another machine,
    /// in another container, or if its number was given to another process.
    pub(crate) fn is_certainly_gone(&self) -> bool {
        self.shares_realm() && !is_running(self.pid)
    }

    /// For a message: "process 123".
    pub(crate) fn describe(&self) -> String {
        if self.shares_realm() {
            format!("process {}", self.pid)
        } else {
            format!("process {} of another machine or container", self.pid)
        }
    }
}

#[cfg(target_os = "linux")]
fn realm() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    if boot.trim().is_empty() || namespace.as_os_str().is_empty() {
        return String::new();
    }
    format!("{} {}", boot.trim(), namespace.display())
}

#[cfg(target_os = "macos")]
fn realm() -> String {
    // One for each start of the machine.
    let boot = std::process::Command::new("/usr/sbin/sysctl")
        .args(["-n", "kern.bootsessionuuid"])
        .output();
    match boot {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => String::new(),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn realm() -> String {
    String::new()
}

#[cfg(unix)]
fn is_running(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
    else {
        return true;
    };
    // Only "no such process" is an answer; "not permitted" means that there is one.
    rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
}

#[cfg(not(unix))]
fn is_running(_pid: u32) -> bool {
    true
}
