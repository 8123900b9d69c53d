//! How much memory a file takes that is larger than any memory should be.
#![cfg(target_os = "linux")]

use std::fs;

use hub_fault_server::{Content, Repo};

use crate::{
    child,
    support::{ID, Place, WEIGHTS},
};

const GIGABYTE: u64 = 1 << 30;

#[test]
fn three_gigabytes_take_less_than_64_megabytes_of_memory() {
    let content = Content::zeros(3 * GIGABYTE);
    let place = Place::new(Repo::new(ID).lfs(WEIGHTS, content.clone()));
    let disk = rustix::fs::statvfs(place.cache.path()).unwrap();
    if disk.f_bavail * disk.f_frsize < 4 * GIGABYTE {
        println!("skipped: this needs 4 GB of disk");
        return;
    }
    let mut process = child::start(place.server.url(), place.cache.path());
    let mut peak = 0;
    let status = loop {
        peak = peak.max(peak_memory(process.id()).unwrap_or(0));
        if let Some(status) = process.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    assert!(status.success());
    assert!(peak > 0 && peak < 64_000_000, "{peak} bytes");
    let blob = place.blobs().join(content.sha256());
    assert_eq!(fs::metadata(blob).unwrap().len(), content.length());
    let bytes = place.server.stats().files[WEIGHTS].bytes;
    assert_eq!(bytes, content.length());
}

/// The most memory that a process has had until now, in bytes.
fn peak_memory(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}
