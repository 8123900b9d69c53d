//! Where things lie afterwards, and that a second run finds them.

use std::{fs, path::PathBuf, time::Duration};

use downloader::{Cache, FileState, Finding, Selection};
use futures_util::StreamExt as _;

use crate::support::{ID, Place, WEIGHTS, assert_complete, fetch, names, repo, weights};

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_has_every_file_under_its_path() {
    let place = Place::new(repo());
    let snapshot = place.fetch().await.unwrap();
    assert_complete(&snapshot.path);
    assert!(snapshot.files.iter().all(|file| file.fetched));
    assert_eq!(place.unfinished(), Vec::<String>::new());
    assert_eq!(place.server.stats().leaked_tokens, 0);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn the_layout_is_that_of_the_hugging_face_cache() {
    let place = Place::new(repo());
    let snapshot = place.fetch().await.unwrap();
    let root = place.repo_folder();
    let commit = repo().commit().to_owned();
    assert_eq!(snapshot.path, root.join("snapshots").join(&commit));
    assert_eq!(fs::read_to_string(root.join("refs/main")).unwrap(), commit);
    let sha256 = weights().sha256();
    assert_eq!(
        fs::read_link(snapshot.path.join(WEIGHTS)).unwrap(),
        PathBuf::from("../../blobs").join(&sha256)
    );
    let notes = fs::read_link(snapshot.path.join("nested/folder/notes.txt")).unwrap();
    assert!(
        notes.starts_with("../../../../blobs"),
        "{}",
        notes.display()
    );
    assert!(root.join("blobs").join(&sha256).is_file());
    let tag = fs::read_to_string(place.cache.path().join("CACHEDIR.TAG")).unwrap();
    assert!(
        tag.starts_with("Signature: 8a477f597d28d172789f06886806bc55\n"),
        "{tag}"
    );
    let locks = names(&place.cache.path().join(".locks/models--org--model"));
    assert!(locks.contains(&format!("{sha256}.lock")), "{locks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_asks_for_nothing() {
    let place = Place::new(repo());
    place.fetch().await.unwrap();
    let plan = place.plan().await;
    place.server.reset_stats();
    let downloader = place.builder().build().unwrap();
    let preview = downloader.preview(&plan).await.unwrap();
    assert_eq!(preview.bytes_to_fetch, 0);
    let snapshot = fetch(&downloader, plan).await.unwrap();
    assert_complete(&snapshot.path);
    assert!(snapshot.files.iter().all(|file| !file.fetched));
    let stats = place.server.stats();
    assert_eq!((stats.heads(), stats.gets(), stats.bytes()), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_symbolic_links_are_not_wanted_files_take_their_room_once() {
    let place = Place::new(repo());
    let downloader = place.builder().symlinks(false).build().unwrap();
    let snapshot = fetch(&downloader, place.plan().await).await.unwrap();
    assert_complete(&snapshot.path);
    let weights = fs::symlink_metadata(snapshot.path.join(WEIGHTS)).unwrap();
    assert!(weights.is_file());
    let cache = Cache::new(place.cache.path());
    let contents = cache.contents();
    let all: u64 = snapshot.files.iter().map(|file| file.size).sum();
    assert_eq!(contents.bytes(), all);

    // The contents are shown, so nothing of them is to be pruned, and their names say what to check.
    assert!(cache.plan_prune(Duration::ZERO).is_empty());
    let repo = &contents.repos[0];
    let verified = cache.verify(&repo.name, &repo.revisions[0].commit, |_| ());
    let verified = verified.unwrap();
    assert!(
        verified
            .files
            .iter()
            .all(|file| matches!(file.finding, Finding::Good { .. }))
    );
    let plan = place.plan().await;
    place.server.reset_stats();
    fetch(&downloader, plan).await.unwrap();
    assert_eq!(place.server.stats().bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cached_file_that_is_too_short_is_fetched_again() {
    let place = Place::new(repo());
    place.fetch().await.unwrap();
    let blob = place.blobs().join(weights().sha256());
    fs::write(&blob, b"cut short").unwrap();
    let snapshot = place.fetch().await.unwrap();
    assert_complete(&snapshot.path);
    let fetched: Vec<_> = snapshot.files.iter().filter(|f| f.fetched).collect();
    assert_eq!(fetched.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_chosen_is_fetched() {
    let place = Place::new(repo().file("pytorch_model.bin", weights()));
    let plan = place.plan().await;
    let selection = Selection::model().unwrap();
    let wanted = plan
        .files()
        .iter()
        .filter(|f| selection.wants(f.path()))
        .cloned();
    let plan = downloader::Plan::new(plan.repo().clone(), plan.commit().clone(), wanted).unwrap();
    let snapshot = fetch(&place.builder().build().unwrap(), plan)
        .await
        .unwrap();
    assert!(snapshot.path.join(WEIGHTS).exists());
    assert!(!snapshot.path.join("pytorch_model.bin").exists());
    assert_eq!(place.server.stats().files.get("pytorch_model.bin"), None);
    assert_eq!(ID, "org/model");
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_ends_with_everything_there() {
    let place = Place::new(repo());
    let download = place
        .builder()
        .build()
        .unwrap()
        .start(place.plan().await)
        .unwrap();
    let progress = download.progress();
    let (states, snapshot) = tokio::join!(progress.collect::<Vec<_>>(), download);
    snapshot.unwrap();
    let last = states.last().unwrap();
    assert_eq!(Some(last.bytes), last.total);
    assert_eq!(last.received, last.bytes);
    assert!(
        last.files
            .iter()
            .all(|f| f.state == FileState::Done && Some(f.bytes) == f.size)
    );
    assert!(states.is_sorted_by_key(|state| state.received));
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_file_can_be_locked_by_the_group() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new(repo());
    place.fetch().await.unwrap();
    let locks = place.cache.path().join(".locks/models--org--model");
    let lock = locks.join(format!("{}.lock", weights().sha256()));
    let mode = fs::metadata(lock).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o664);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_waiting_for_the_disk_the_files_are_the_same() {
    let place = Place::new(repo());
    let downloader = place.builder().durable(false).build().unwrap();
    let snapshot = fetch(&downloader, place.plan().await).await.unwrap();
    assert_complete(&snapshot.path);
    assert_eq!(place.unfinished(), Vec::<String>::new());
}
