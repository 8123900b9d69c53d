//! A disk that is too small, or fills up on the way.
#![cfg(target_os = "linux")]

use std::{path::Path, process::Command};

use downloader::{Downloader, Error, Plan, PlannedFile};
use hub_fault_server::Settings;
use tempfile::TempDir;

use crate::support::{Place, WEIGHTS, assert_complete, builder, fetch, repo, weights};

/// A file system of a few hundred kilobytes; unmounted when dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None` where this user may not mount.
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        if mount(&["-t", "tmpfs", "-o", "size=600k", "tmpfs"], folder.path()) {
            return Some(Self(folder));
        }
        println!("skipped: only root can mount the small file system that this needs");
        None
    }

    fn grow(&self) {
        assert!(mount(&["-o", "remount,size=8m"], self.0.path()));
    }

    fn downloader(&self) -> Downloader {
        builder(self.0.path()).reserve(0).build().unwrap()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

fn mount(arguments: &[&str], folder: &Path) -> bool {
    let mount = Command::new("mount").args(arguments).arg(folder).output();
    mount.is_ok_and(|output| output.status.success())
}

/// The same plan without sizes, so that nothing can be known before.
fn without_sizes(plan: &Plan, place: &Place) -> Plan {
    let files = plan.files().iter().map(|file| {
        let source = place.hub().source("org/model", plan.commit(), file.path());
        PlannedFile::new(file.path().clone(), source).with_digest(file.digest().unwrap())
    });
    Plan::new(plan.repo().clone(), plan.commit().clone(), files).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused_before_anything_is_fetched() {
    let Some(disk) = SmallDisk::new() else { return };
    let place = Place::new(repo());
    let error = fetch(&disk.downloader(), place.plan().await)
        .await
        .unwrap_err();
    let Error::DiskFull {
        needed: Some(needed),
        available: Some(available),
        ..
    } = error
    else {
        panic!("{error:?}")
    };
    assert!(needed > weights().length() && available <= 600 << 10);
    assert_eq!(place.server.stats().gets(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_is_an_error_that_can_be_resumed() {
    let Some(disk) = SmallDisk::new() else { return };
    // Slow enough that little is under way when the disk is full.
    let settings = Settings {
        bytes_per_second: Some(4_000_000),
        ..Settings::default()
    };
    let place = Place::with(settings, repo());
    let plan = without_sizes(&place.plan().await, &place);
    let error = fetch(&disk.downloader(), plan.clone()).await.unwrap_err();
    assert!(matches!(error, Error::DiskFull { .. }), "{error:?}");
    assert!(
        error.suggestion().contains("free some space"),
        "{}",
        error.suggestion()
    );
    disk.grow();
    assert_complete(&fetch(&disk.downloader(), plan).await.unwrap().path);
    let twice = place.server.stats().files[WEIGHTS].bytes - weights().length();
    // What could not be written, and what was under way behind it.
    assert!(twice <= 128 << 10, "{twice} bytes came twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_can_not_be_written_still_gives_what_it_has() {
    let Some(disk) = SmallDisk::new() else { return };
    disk.grow();
    let place = Place::new(repo());
    let plan = place.plan().await;
    fetch(&disk.downloader(), plan.clone()).await.unwrap();
    assert!(mount(&["-o", "remount,ro"], disk.0.path()));
    let again = fetch(&disk.downloader(), plan).await.unwrap();
    assert_complete(&again.path);
    assert!(again.files.iter().all(|file| !file.fetched));
}
