//! Several downloads of the same model at once.

use std::{fs, time::Duration};

use hub_fault_server::Settings;

use crate::{
    child,
    support::{Place, WEIGHTS, assert_complete, fetch, repo, weights},
};

fn slow() -> Settings {
    Settings {
        bytes_per_second: Some(1_000_000),
        ..Settings::default()
    }
}

#[test]
fn two_processes_do_the_work_once() {
    let place = Place::with(slow(), repo());
    let processes = [(); 2].map(|()| child::start(place.server.url(), place.cache.path()));
    for mut process in processes {
        assert!(process.wait().unwrap().success());
    }
    assert_complete(&place.repo_folder().join("snapshots").join(repo().commit()));
    assert_eq!(
        place.server.stats().files[WEIGHTS].bytes,
        weights().length()
    );
    assert_eq!(place.unfinished(), Vec::<String>::new());
}

#[test]
fn two_processes_that_both_have_the_lock_do_no_harm() {
    let place = Place::with(slow(), repo());
    let mut first = child::start(place.server.url(), place.cache.path());
    while place
        .server
        .stats()
        .files
        .get(WEIGHTS)
        .is_none_or(|f| f.bytes < 100_000)
    {
        std::thread::sleep(Duration::from_millis(5));
    }
    // Another file of the same name: the lock of the first process counts for nothing now.
    fs::remove_dir_all(place.cache.path().join(".locks")).unwrap();
    let mut second = child::start(place.server.url(), place.cache.path());
    assert!(first.wait().unwrap().success());
    assert!(second.wait().unwrap().success());
    assert_complete(&place.repo_folder().join("snapshots").join(repo().commit()));
    assert_eq!(place.unfinished(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_downloads_of_one_process_do_the_work_once() {
    let place = Place::with(slow(), repo());
    let plan = place.plan().await;
    let downloader = place.builder().build().unwrap();
    let (first, second) = tokio::join!(
        fetch(&downloader, plan.clone()),
        fetch(&downloader, plan.clone())
    );
    assert_complete(&first.unwrap().path);
    second.unwrap();
    assert_eq!(
        place.server.stats().files[WEIGHTS].bytes,
        weights().length()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_whose_holder_hangs_is_not_waited_for_for_ever() {
    let place = Place::new(repo());
    let plan = place.plan().await;
    let locks = place.cache.path().join(".locks/models--org--model");
    fs::create_dir_all(&locks).unwrap();
    let lock = fs::File::create(locks.join(format!("{}.lock", weights().sha256()))).unwrap();
    lock.lock().unwrap();
    let patient = place.builder().lock_patience(Duration::from_millis(200));
    let snapshot = fetch(&patient.build().unwrap(), plan).await.unwrap();
    assert_complete(&snapshot.path);
    drop(lock);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_hangs_is_overtaken_with_what_it_has_and_finishes_unharmed() {
    let place = Place::with(slow(), repo());
    let plan = place.plan().await;
    let mut hung = child::start(place.server.url(), place.cache.path());
    let begun = |stats: hub_fault_server::Stats| stats.files.get(WEIGHTS).map_or(0, |f| f.bytes);
    while begun(place.server.stats()) < 300_000 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    signal("STOP", hung.id());
    // What the server sends into its open connections meanwhile, nobody reads.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = begun(place.server.stats());
    let patient = place.builder().lock_patience(Duration::from_millis(200));
    let snapshot = fetch(&patient.build().unwrap(), plan).await.unwrap();
    assert_complete(&snapshot.path);
    let ours = begun(place.server.stats()) - before;
    assert!(
        ours < weights().length() - 100_000,
        "all of its work was done again: {ours}"
    );
    signal("CONT", hung.id());
    assert!(hung.wait().unwrap().success());
    assert_complete(&snapshot.path);
    assert_eq!(place.unfinished(), Vec::<String>::new());
}

#[cfg(unix)]
fn signal(name: &str, process: u32) {
    let kill = std::process::Command::new("kill")
        .args([format!("-{name}"), process.to_string()])
        .status();
    assert!(kill.unwrap().success());
}
