//! Notes of what a commit consists of, which outlast it in no case.

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use downloader::{Cache, Commit, Listing, RepoFolder};
use hub_fault_server::Content;
use serde_json::{Value, json};

use crate::support::{ID, Place, WEIGHTS, fetch, names, repo, weights};

fn note(place: &Place) -> PathBuf {
    let name = format!("{}.json", repo().commit());
    place.repo_folder().join("trees").join(name)
}

fn read(place: &Place) -> Option<Listing> {
    let repo_folder = RepoFolder::of_model(ID).unwrap();
    let commit = Commit::new(repo().commit()).unwrap();
    Cache::new(place.cache.path()).listing(&repo_folder, &commit)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_notes_all_files_of_its_commit() {
    let place = Place::new(repo());
    place.fetch().await.unwrap();
    let note: Value = serde_json::from_slice(&fs::read(note(&place)).unwrap()).unwrap();
    assert_eq!(note["format_version"], 1);
    let weights = weights();
    assert_eq!(
        note["files"][WEIGHTS],
        json!({
            "size": 1_000_000, "blob_id": weights.git_sha1(),
            "lfs_sha256": weights.sha256(), "lfs_size": 1_000_000,
        })
    );
    let small = Content::noise(3, 5_000);
    assert_eq!(
        note["files"]["nested/folder/notes.txt"],
        json!({ "size": 5_000, "blob_id": small.git_sha1() })
    );
    let sizes: BTreeMap<String, (u64, String)> = read(&place)
        .unwrap()
        .files()
        .map(|(path, file)| (path.to_string(), (file.size(), file.digest().hex())))
        .collect();
    assert_eq!(sizes.len(), 4);
    assert_eq!(sizes[WEIGHTS], (1_000_000, weights.sha256()));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_do_not_exist_are_noted_and_no_others() {
    let place = Place::new(repo().file("tokenizer.json", Content::bytes(*b"{}")));
    place.fetch().await.unwrap();
    let absent = names(&place.repo_folder().join(".no_exist").join(repo().commit()));
    assert!(absent.contains(&"tokenizer.model".to_owned()), "{absent:?}");
    for there in ["tokenizer.json", "model.safetensors", "config.json"] {
        assert!(!absent.contains(&there.to_owned()), "{absent:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_that_can_not_be_right_is_not_read_and_is_written_anew() {
    let sound = {
        let place = Place::new(repo());
        place.fetch().await.unwrap();
        fs::read_to_string(note(&place)).unwrap()
    };
    let sha256 = weights().sha256();
    for wrong in [
        "{".to_owned(),
        sound.replace("\"format_version\":1", "\"format_version\":2"),
        sound.replace(WEIGHTS, "../../../../evil"),
        sound.replace(&sha256, &"*".repeat(64)),
        sound.replace("1000000", "-1"),
        sound.replace(&weights().git_sha1(), "../../main"),
    ] {
        assert_ne!(wrong, sound);
        let place = Place::new(repo());
        fs::create_dir_all(note(&place).parent().unwrap()).unwrap();
        fs::write(note(&place), &wrong).unwrap();
        assert_eq!(read(&place), None, "{wrong}");
        place.fetch().await.unwrap();
        assert_eq!(fs::read_to_string(note(&place)).unwrap(), sound);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_clients_note_stays_as_it_is() {
    let place = Place::new(repo());
    let theirs = json!({
        "format_version": 1,
        "files": {
            "x": {"size": 1, "blob_id": "a".repeat(40), "xet_hash": "b".repeat(64), "new": true},
        },
    })
    .to_string();
    fs::create_dir_all(note(&place).parent().unwrap()).unwrap();
    fs::write(note(&place), &theirs).unwrap();
    place.fetch().await.unwrap();
    assert_eq!(fs::read_to_string(note(&place)).unwrap(), theirs);
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_go_with_their_commit() {
    let place = Place::new(repo());
    place.fetch().await.unwrap();
    let old = repo().commit().to_owned();
    let new = repo().at_commit(&"b".repeat(40));
    place.server.put(new.clone());
    fetch(&place.builder().build().unwrap(), place.plan().await)
        .await
        .unwrap();
    let cleaned = Cache::new(place.cache.path())
        .plan_prune(Duration::ZERO)
        .execute();
    assert!(cleaned.skipped.is_empty());
    assert!(!note(&place).exists());
    let root = place.repo_folder();
    assert_eq!(names(&root.join(".no_exist")), [new.commit()]);
    assert!(!names(&root.join("snapshots")).contains(&old));
    assert_eq!(
        names(&root.join("trees")),
        [format!("{}.json", new.commit())]
    );
}
