//! Listing, checking and cleaning up a cache.

use std::{
    fs::{self, File, FileTimes},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use downloader::{Cache, Commit, Error, Finding, RemovalKind, RepoFolder};
use hub_fault_server::{Content, FaultServer, Repo};

use crate::{
    hub::Hub,
    support::{ID, Place, WEIGHTS, assert_complete, builder, fetch, names, repo, weights},
};

fn name(id: &str) -> RepoFolder {
    RepoFolder::of_model(id).unwrap()
}

fn commit(repo: &Repo) -> Commit {
    Commit::new(repo.commit()).unwrap()
}

/// Everything below a folder, by its path from there.
fn tree(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path().strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// Fetches these models, one after the other, into one cache.
async fn fetch_all(cache: &Path, repos: &[Repo]) {
    let server = FaultServer::start(repos.to_vec()).unwrap();
    let downloader = builder(cache).build().unwrap();
    for repo in repos {
        let plan = Hub::new(server.url())
            .unwrap()
            .plan(repo.id())
            .await
            .unwrap();
        fetch(&downloader, plan).await.unwrap();
    }
}

fn last_used(cache: &Path, id: &str, ago: Duration) {
    let blobs = cache.join(name(id).as_str()).join("blobs");
    for blob in names(&blobs) {
        let then = FileTimes::new().set_accessed(SystemTime::now() - ago);
        File::open(blobs.join(blob))
            .unwrap()
            .set_times(then)
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_lists_what_it_has() {
    let place = Place::new(repo());
    place.fetch().await.unwrap();
    let cache = Cache::new(place.cache.path());
    let contents = cache.contents();
    assert_eq!(contents.warnings, []);
    let model = contents.repo(&name(ID)).unwrap();
    let revision = &model.revisions[0];
    assert_eq!(revision.commit, commit(&repo()));
    assert_eq!(revision.refs[0].as_str(), "main");
    assert_eq!(revision.files.len(), 4);
    let bytes = weights().length() + 5_000 + 23;
    assert_eq!(
        (revision.bytes(), model.bytes(), contents.bytes()),
        (bytes, bytes, bytes)
    );
    assert!(model.last_used.unwrap().elapsed().unwrap() < Duration::from_mins(1));
    assert_eq!(cache.resolve(&name(ID), "main"), Some(commit(&repo())));
    assert_eq!(cache.resolve(&name(ID), "other"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_the_layout_is_a_warning_and_left_alone() {
    let place = Place::new(repo());
    place.fetch().await.unwrap();
    fs::create_dir(place.cache.path().join("something")).unwrap();
    fs::write(place.cache.path().join("models--a--b"), "").unwrap();
    fs::write(place.repo_folder().join("refs/gone"), "0".repeat(40)).unwrap();
    let before = tree(place.cache.path());
    let cache = Cache::new(place.cache.path());
    assert_eq!(
        cache.contents().warnings.len(),
        3,
        "{:?}",
        cache.contents().warnings
    );
    let _ = cache.plan_prune(Duration::ZERO).execute();
    assert_eq!(tree(place.cache.path()), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn verification_finds_a_flipped_byte_and_the_repair_lets_it_be_fetched_again() {
    let place = Place::new(repo());
    place.fetch().await.unwrap();
    let cache = Cache::new(place.cache.path());
    let mut read = 0;
    let good = cache
        .verify(&name(ID), &commit(&repo()), |bytes| read += bytes)
        .unwrap();
    assert!(good.is_good() && good.repair().is_empty());
    assert!(
        good.files
            .iter()
            .all(|f| matches!(f.finding, Finding::Good { .. }))
    );
    assert_eq!(read, weights().length() + 5_000 + 23);

    let blob = place.blobs().join(weights().sha256());
    let mut bytes = fs::read(&blob).unwrap();
    bytes[12_345] ^= 1;
    fs::write(&blob, bytes).unwrap();
    let bad = cache.verify(&name(ID), &commit(&repo()), |_| ()).unwrap();
    assert!(!bad.is_good());
    let file = bad
        .files
        .iter()
        .find(|f| f.path == Path::new(WEIGHTS))
        .unwrap();
    let Finding::Damaged { expected, got } = &file.finding else {
        panic!("{file:?}")
    };
    assert_eq!(expected.hex(), weights().sha256());
    assert_ne!(got, expected);
    let report = bad.repair().clone().execute();
    assert!(report.skipped.is_empty(), "{report:?}");
    assert_complete(&place.fetch().await.unwrap().path);

    let error = cache
        .verify(&name("not/there"), &commit(&repo()), |_| ())
        .unwrap_err();
    assert!(matches!(error, Error::NotCached { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_model_leaves_nothing_but_other_models() {
    let folder = tempfile::tempdir().unwrap();
    let other = Repo::new("org/other").lfs(WEIGHTS, Content::noise(9, 50_000));
    fetch_all(folder.path(), &[repo(), other.clone()]).await;
    let cache = Cache::new(folder.path());
    let plan = cache.plan_delete(&name(ID)).unwrap();
    let before = tree(folder.path());
    assert_eq!(plan.bytes(), weights().length() + 5_000 + 23);
    assert_eq!(tree(folder.path()), before, "a plan alone deletes nothing");
    let freed = plan.bytes();
    let report = plan.execute();
    assert_eq!((report.bytes, report.skipped.len()), (freed, 0));
    assert!(!folder.path().join(name(ID).as_str()).exists());
    let verified = cache
        .verify(&name("org/other"), &commit(&other), |_| ())
        .unwrap();
    assert!(verified.is_good());
    assert!(matches!(
        cache.plan_delete(&name(ID)),
        Err(Error::NotCached { .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_revision_takes_along_only_what_no_other_shows() {
    let folder = tempfile::tempdir().unwrap();
    let old = repo()
        .at_commit(&"a".repeat(40))
        .lfs("old.safetensors", Content::noise(8, 70_000));
    let new = repo()
        .at_commit(&"b".repeat(40))
        .lfs("new.safetensors", Content::noise(9, 80_000));
    fetch_all(folder.path(), std::slice::from_ref(&old)).await;
    fetch_all(folder.path(), std::slice::from_ref(&new)).await;
    let cache = Cache::new(folder.path());

    // The branch has moved on, so a clean-up takes the old commit too.
    let prune = cache.plan_prune(Duration::ZERO);
    assert_eq!(prune.bytes(), 70_000);
    let plan = cache
        .plan_delete_revision(&name(ID), &commit(&old))
        .unwrap();
    assert_eq!(plan.bytes(), 70_000);
    let report = prune.execute();
    assert_eq!(report.skipped.len(), 0, "{report:?}");
    let contents = cache.contents();
    assert_eq!(contents.repo(&name(ID)).unwrap().revisions.len(), 1);
    assert_eq!(contents.warnings, []);
    let verified = cache.verify(&name(ID), &commit(&new), |_| ()).unwrap();
    assert!(verified.is_good() && verified.files.len() == 5);
    assert!(cache.plan_prune(Duration::ZERO).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_downloads_are_pruned_once_they_are_old() {
    let place = Place::new(repo());
    place.fetch().await.unwrap();
    for left in [
        "abc.12345678.incomplete",
        "abc.0123456789abcdef.mlxe.incomplete",
        "abc.incomplete",
    ] {
        fs::write(place.blobs().join(left), "some bytes").unwrap();
    }
    let cache = Cache::new(place.cache.path());
    let contents = cache.contents();
    assert_eq!(contents.repo(&name(ID)).unwrap().unfinished_bytes(), 30);
    assert!(cache.plan_prune(Duration::from_hours(1)).is_empty());
    let plan = cache.plan_prune(Duration::ZERO);
    assert!(
        plan.removals()
            .iter()
            .all(|r| r.kind == RemovalKind::Unfinished)
    );
    assert_eq!(plan.execute().removed.len(), 3);
    assert_eq!(place.unfinished(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_size_limit_takes_the_models_used_least_recently_and_none_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let ids = ["org/a", "org/b", "org/c", "org/d"];
    let repos = ids.map(|id| Repo::new(id).lfs(WEIGHTS, Content::noise(id.len() as u64, 100_000)));
    fetch_all(folder.path(), &repos).await;
    for (hours, id) in [(1, "org/c"), (2, "org/d"), (3, "org/a"), (4, "org/b")] {
        last_used(folder.path(), id, Duration::from_hours(hours));
    }
    let cache = Cache::new(folder.path());
    let limit = |bytes, keep: &[RepoFolder]| {
        let plan = cache.plan_limit(bytes, Duration::ZERO, keep);
        let whole = plan
            .removals()
            .iter()
            .filter(|r| r.kind == RemovalKind::Repo);
        whole.map(|r| r.repo.id()).collect::<Vec<_>>()
    };
    assert_eq!(limit(400_000, &[]), Vec::<String>::new());
    assert_eq!(limit(350_000, &[]), ["org/b"]);
    assert_eq!(limit(200_000, &[]), ["org/b", "org/a"]);
    assert_eq!(limit(200_000, &[name("org/b")]), ["org/a", "org/d"]);

    // Beginning to use a model makes it the most recent one, and keeps it.
    let in_use = cache.begin_use(&name("org/b"), &commit(&repos[1]));
    assert_eq!(limit(200_000, &[]), ["org/a", "org/d"]);
    assert_eq!(limit(0, &[]), ["org/a", "org/d", "org/c"]);
    let report = cache.plan_delete(&name("org/b")).unwrap().execute();
    assert!(
        matches!(report.skipped[..], [(_, Error::InUse { .. })]),
        "{report:?}"
    );
    assert!(
        cache
            .verify(&name("org/b"), &commit(&repos[1]), |_| ())
            .unwrap()
            .is_good()
    );
    drop(in_use);
    let report = cache.plan_limit(0, Duration::ZERO, &[]).execute();
    assert_eq!((report.skipped.len(), report.bytes), (0, 400_000));
    assert!(cache.contents().repos.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_being_fetched_is_in_use() {
    let settings = hub_fault_server::Settings {
        bytes_per_second: Some(1_000_000),
        ..Default::default()
    };
    let place = Place::with(settings, repo());
    let download = place
        .builder()
        .build()
        .unwrap()
        .start(place.plan().await)
        .unwrap();
    while place
        .server
        .stats()
        .files
        .get(WEIGHTS)
        .is_none_or(|f| f.bytes < 100_000)
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let cache = Cache::new(place.cache.path());
    let report = cache.plan_delete(&name(ID)).unwrap().execute();
    assert!(
        matches!(report.skipped[..], [(_, Error::InUse { .. })]),
        "{report:?}"
    );
    let _ = cache.plan_prune(Duration::ZERO).execute();
    assert_complete(&download.await.unwrap().path);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn the_store_that_python_shares_between_models_survives_every_clean_up() {
    let place = Place::new(repo());
    place.fetch().await.unwrap();
    let xet = share(place.cache.path(), &place.blobs(), &weights().sha256());
    let cache = Cache::new(place.cache.path());
    assert_eq!(cache.contents().warnings, []);
    // The model's own share is what is not in the store.
    assert_eq!(cache.contents().bytes(), 5_023);
    assert!(
        cache
            .verify(&name(ID), &commit(&repo()), |_| ())
            .unwrap()
            .is_good()
    );
    assert!(cache.plan_prune(Duration::ZERO).is_empty());
    let again = place.fetch().await.unwrap();
    assert!(again.files.iter().all(|file| !file.fetched));
    assert_complete(&again.path);

    let report = cache.plan_limit(0, Duration::ZERO, &[]).execute();
    assert_eq!(report.bytes, 5_023);
    assert!(!place.repo_folder().exists());
    assert_eq!(fs::read(&xet).unwrap().len() as u64, weights().length());
    assert!(xet.with_extension("refs").exists());
}

/// Moves a blob into the shared store, as Python's client 2.4 does for files of the Xet storage.
#[cfg(unix)]
pub(crate) fn share(cache: &Path, blobs: &Path, blob: &str) -> PathBuf {
    let hash = "5e".repeat(32);
    let store = cache.join("blobs");
    fs::create_dir_all(store.join("5e")).unwrap();
    fs::write(store.join(".huggingface-shared-blobs"), "1\n").unwrap();
    let shared = store.join("5e").join(&hash);
    fs::rename(blobs.join(blob), &shared).unwrap();
    let repo = blobs
        .parent()
        .unwrap()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap();
    fs::write(
        shared.with_extension("refs"),
        format!("{repo}/blobs/{blob}\n"),
    )
    .unwrap();
    let target = format!("../../blobs/5e/{hash}");
    std::os::unix::fs::symlink(target, blobs.join(blob)).unwrap();
    shared
}
