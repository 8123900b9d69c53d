//! Both ways with Python's `huggingface_hub`: each finds the other's files.

use std::{
    path::Path,
    process::{Command, Output},
};

use downloader::Cache;
use hub_fault_server::{Content, Fault, Stage};

use crate::support::{ID, Place, WEIGHTS, assert_complete, names, repo, weights};

const SNAPSHOT: &str = "
import sys
from huggingface_hub import snapshot_download
print(snapshot_download(sys.argv[1]))
";

/// Fails unless the scan is without complaint; prints what it found.
const SCAN: &str = "
from huggingface_hub import scan_cache_dir
info = scan_cache_dir()
assert not info.warnings, info.warnings
for repo in info.repos:
    for revision in repo.revisions:
        print(repo.repo_id, repo.repo_type, repo.nb_files, repo.size_on_disk, len(info.incomplete_files),
              revision.commit_hash, ','.join(sorted(revision.refs)))
";

/// A Python that has `huggingface_hub`.
struct Python {
    program: String,
}

impl Python {
    fn find() -> Option<Self> {
        if let Ok(program) = std::env::var("MLXENGINE_TEST_HUB_PYTHON") {
            return Some(Self { program });
        }
        assert!(
            std::env::var_os("MLXENGINE_TEST_REQUIRE").is_none_or(|v| v != "1"),
            "MLXENGINE_TEST_HUB_PYTHON does not name a Python with huggingface_hub"
        );
        println!("skipped: set MLXENGINE_TEST_HUB_PYTHON, as `cargo xtask test` does");
        None
    }

    fn command(&self, place: &Place) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env("HF_ENDPOINT", place.server.url())
            .env("HF_HUB_CACHE", place.cache.path())
            .env("HF_HOME", place.cache.path().join("..").join("no-home"))
            .env("HF_HUB_DISABLE_XET", "1")
            .env("HF_HUB_DISABLE_PROGRESS_BARS", "1")
            .env("HF_HUB_DISABLE_TELEMETRY", "1")
            .env("NO_PROXY", "127.0.0.1")
            .env_remove("HF_TOKEN");
        command
    }

    fn run(&self, place: &Place, script: &str, arguments: &[&str]) -> String {
        let mut command = self.command(place);
        checked(
            command
                .args(["-c", script])
                .args(arguments)
                .output()
                .unwrap(),
        )
    }

    /// The command `hf`.
    fn hf(&self, place: &Place, arguments: &[&str]) -> Output {
        let script = "from huggingface_hub.cli.hf import main; main()";
        let mut command = self.command(place);
        command
            .args(["-c", script])
            .args(arguments)
            .output()
            .unwrap()
    }
}

#[track_caller]
fn checked(output: Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_python_fetched_is_there_for_us() {
    let Some(python) = Python::find() else { return };
    let place = Place::new(repo());
    let theirs = python.run(&place, SNAPSHOT, &[ID]);
    place.server.reset_stats();
    let ours = place.fetch().await.unwrap();
    assert_eq!(ours.path, Path::new(&theirs));
    assert_complete(&ours.path);
    assert!(ours.files.iter().all(|file| !file.fetched));
    let stats = place.server.stats();
    assert_eq!((stats.heads(), stats.gets()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_we_fetched_is_there_for_python() {
    let Some(python) = Python::find() else { return };
    let place = Place::new(repo());
    let ours = place.fetch().await.unwrap();
    place.server.reset_stats();
    let theirs = python.run(&place, SNAPSHOT, &[ID]);
    assert_eq!(ours.path, Path::new(&theirs));
    assert_eq!(place.server.stats().gets(), 0);
    assert_complete(&ours.path);
}

/// What Python makes of the cache without a network: which snapshot, which files, which are known
/// not to exist.
const OFFLINE: &str = "
import json, sys
from huggingface_hub import get_cached_repo_tree, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import IncompleteSnapshotError
from huggingface_hub.file_download import _CACHED_NO_EXIST
repo = sys.argv[1]
try:
    whole = snapshot_download(repo)
except IncompleteSnapshotError as e:
    whole = 'incomplete'
print(json.dumps({
    'whole': whole,
    'configs': snapshot_download(repo, allow_patterns=['*.json']),
    'tree': sorted([f.path, f.size, f.blob_id] for f in get_cached_repo_tree(repo)),
    'absent': try_to_load_from_cache(repo, 'tokenizer.model') is _CACHED_NO_EXIST,
    'unknown': try_to_load_from_cache(repo, 'never-heard-of.json'),
}))
";

impl Python {
    fn offline(&self, place: &Place) -> serde_json::Value {
        let mut command = self.command(place);
        command.env("HF_HUB_OFFLINE", "1").args(["-c", OFFLINE, ID]);
        serde_json::from_str(&checked(command.output().unwrap())).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn python_answers_offline_as_from_its_own_cache() {
    let Some(python) = Python::find() else { return };
    let theirs = Place::new(repo());
    let snapshot = python.run(&theirs, SNAPSHOT, &[ID]);
    let mut expected = python.offline(&theirs);
    assert_eq!(expected["whole"], snapshot);
    // Of a snapshot that it fetched whole, Python does not note what else there is not.
    assert_eq!(expected["absent"], false);

    let ours = Place::new(repo());
    let path = ours.fetch().await.unwrap().path;
    let answers = python.offline(&ours);
    for name in ["whole", "configs"] {
        expected[name] = path.to_str().into();
    }
    expected["absent"] = true.into();
    assert_eq!(answers, expected);
    assert_eq!(answers["tree"].as_array().unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn python_sees_offline_that_a_snapshot_of_ours_is_not_whole() {
    let Some(python) = Python::find() else { return };
    let place = Place::new(repo());
    place.server.script(
        Stage::Body,
        WEIGHTS,
        std::iter::repeat_n(Fault::status(503), 500),
    );
    place.fetch().await.unwrap_err();
    let commit = repo().commit().to_owned();
    let refs = place.repo_folder().join("refs");
    std::fs::create_dir_all(&refs).unwrap();
    std::fs::write(refs.join("main"), &commit).unwrap();
    let answers = python.offline(&place);
    assert_eq!(answers["whole"], "incomplete");
    let snapshot = place.repo_folder().join("snapshots").join(commit);
    assert_eq!(answers["configs"], snapshot.to_str().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn pythons_note_of_a_commits_files_is_ours_too() {
    let Some(python) = Python::find() else { return };
    let place = Place::new(repo());
    python.run(&place, SNAPSHOT, &[ID]);
    let name = downloader::RepoFolder::of_model(ID).unwrap();
    let commit = downloader::Commit::new(repo().commit()).unwrap();
    let theirs = Cache::new(place.cache.path()).listing(&name, &commit);
    let other = Place::new(repo());
    other.fetch().await.unwrap();
    let ours = Cache::new(other.cache.path()).listing(&name, &commit);
    assert!(theirs.is_some());
    assert_eq!(theirs, ours);
}

#[tokio::test(flavor = "multi_thread")]
async fn python_has_nothing_to_complain_about() {
    let Some(python) = Python::find() else { return };
    let place = Place::new(repo());
    place.fetch().await.unwrap();
    let bytes = weights().length() + 5_000 + 23;
    let found = python.run(&place, SCAN, &[]);
    assert_eq!(
        found,
        format!("{ID} model 4 {bytes} 0 {} main", repo().commit())
    );
    let verified = python.hf(&place, &["cache", "verify", ID, "--fail-on-missing-files"]);
    checked(verified);

    // The oracle can say no.
    let blob = place.blobs().join(weights().sha256());
    let mut damaged = weights().to_vec();
    damaged[5] ^= 1;
    std::fs::write(blob, damaged).unwrap();
    assert!(!python.hf(&place, &["cache", "verify", ID]).status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_we_began_does_not_disturb_python_nor_python_us() {
    let Some(python) = Python::find() else { return };
    let place = Place::new(repo());
    place.server.let_pass(Stage::Body, WEIGHTS, 5);
    place.server.script(
        Stage::Body,
        WEIGHTS,
        std::iter::repeat_n(Fault::status(503), 500),
    );
    place.fetch().await.unwrap_err();
    place.server.set_chaos(None);
    assert!(!place.unfinished().is_empty());
    // The snapshot has no file yet, and the partial file is told apart.
    python.run(&place, SCAN, &[]);

    let theirs = python.run(&place, SNAPSHOT, &[ID]);
    assert_complete(Path::new(&theirs));
    place.server.reset_stats();
    assert_complete(&place.fetch().await.unwrap().path);
    assert_eq!(place.server.stats().gets(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn pythons_prune_clears_our_unfinished_downloads_and_we_begin_anew() {
    let Some(python) = Python::find() else { return };
    let place = Place::new(repo());
    place.server.let_pass(Stage::Body, WEIGHTS, 5);
    place.server.script(
        Stage::Body,
        WEIGHTS,
        std::iter::repeat_n(Fault::status(503), 500),
    );
    place.fetch().await.unwrap_err();
    place.server.set_chaos(None);
    checked(python.hf(&place, &["cache", "prune", "--yes"]));
    assert!(
        !place
            .unfinished()
            .iter()
            .any(|name| name.ends_with(".incomplete"))
    );
    assert_complete(&place.fetch().await.unwrap().path);
    assert_eq!(place.unfinished(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_our_clean_ups_python_finds_a_sound_cache() {
    let Some(python) = Python::find() else { return };
    let place = Place::new(repo());
    place.fetch().await.unwrap();
    let shared = crate::care::share(place.cache.path(), &place.blobs(), &weights().sha256());
    checked(python.hf(&place, &["cache", "verify", ID]));
    let bytes = weights().length() + 5_000 + 23;
    let found = python.run(&place, SCAN, &[]);
    assert!(
        found.starts_with(&format!("{ID} model 4 {bytes} 0")),
        "{found}"
    );

    // The branch moves on; what only the old commit shows goes.
    let new = repo()
        .at_commit(&"b".repeat(40))
        .lfs("new.safetensors", Content::noise(9, 80_000));
    place.server.put(new.clone());
    place.fetch().await.unwrap();
    let cache = Cache::new(place.cache.path());
    assert!(
        cache
            .plan_prune(std::time::Duration::ZERO)
            .execute()
            .skipped
            .is_empty()
    );
    let found = python.run(&place, SCAN, &[]);
    assert!(
        found.ends_with(&format!("{} main", new.commit())),
        "{found}"
    );
    checked(python.hf(&place, &["cache", "verify", ID]));
    assert!(shared.exists());

    assert!(
        cache
            .plan_limit(0, std::time::Duration::ZERO, &[])
            .execute()
            .skipped
            .is_empty()
    );
    assert_eq!(python.run(&place, SCAN, &[]), "");
    // Python's own prune knows what nobody refers to any more.
    checked(python.hf(&place, &["cache", "prune", "--yes"]));
    assert!(!shared.exists());
    assert_eq!(names(&place.repo_folder()), Vec::<String>::new());
}
