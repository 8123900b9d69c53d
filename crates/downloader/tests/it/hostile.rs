//! Names, entity tags and redirects from servers that mean no good.

use std::{path::Component, sync::Arc};

use downloader::{
    BlobName, Commit, Error, FilePath, FixedLocation, Location, Plan, PlannedFile, RefName,
    RepoFolder,
};
use hub_fault_server::{Content, Entry, Repo};
use proptest::prelude::*;

use crate::support::{ID, Place, WEIGHTS, fetch, repo, weights};

#[test]
fn paths_that_leave_their_folder_anywhere_are_refused() {
    for path in [
        "",
        ".",
        "..",
        "../../../etc/passwd",
        "folder/../../../etc/passwd",
        "..\\..\\Windows\\evil",
        "/etc/passwd",
        "C:\\evil",
        "C:/evil",
        "D:relative\\evil",
        "\\\\attacker\\share\\evil",
        "\\evil",
        "folder/C:\\evil",
        "folder/\\\\attacker",
        "folder/\\evil",
        "a//b",
        "a/",
        "a/./b",
        "nul\0byte",
        "line\nbreak",
        "CON",
        "folder/nul.txt",
        "trailing.",
        "trailing ",
    ] {
        assert!(FilePath::new(path).is_err(), "{path:?}");
        assert!(RefName::new(path).is_err(), "{path:?}");
    }
    for path in [
        "a",
        "a/b.c",
        ".gitattributes",
        "a b/c-d_e.safetensors",
        "x..y",
        "café/[1].json",
    ] {
        assert!(FilePath::new(path).is_ok(), "{path:?}");
    }
}

#[test]
fn repositories_are_named_as_the_hub_allows() {
    for id in [
        "", "/", "a/", "/a", "a/b/c", ".id", "id.", "foo--bar", "foo..bar", "foo.git", "café",
        "-a", "a/../b", "a\\b",
    ] {
        assert!(RepoFolder::of_model(id).is_err(), "{id:?}");
    }
    assert!(RepoFolder::of_model(&"a".repeat(97)).is_err());
    let folder = RepoFolder::of_model("mlx-community/Qwen3-0.6B-4bit").unwrap();
    assert_eq!(folder.as_str(), "models--mlx-community--Qwen3-0.6B-4bit");
    assert_eq!(
        (folder.kind(), folder.id().as_str()),
        ("models", "mlx-community/Qwen3-0.6B-4bit")
    );
    assert!(RepoFolder::new("other--a--b").is_err());
    assert!(Commit::new("main").is_err());
    assert!(Commit::new(&"A".repeat(40)).is_err());
}

#[test]
fn etags_become_names_only_if_they_are_harmless() {
    for etag in [
        "\"../../../../PWN\"",
        "\"a/b\"",
        "\"a.incomplete\"",
        "\"\"",
        "..",
        "a\\b",
        "a\0b",
        "\"a\"b",
        &"*".repeat(64),
        &"a".repeat(129),
    ] {
        assert!(BlobName::from_etag(etag).is_err(), "{etag:?}");
    }
    let name = BlobName::from_etag("W/\"W-5f3c\"").unwrap();
    assert_eq!((name.as_str(), name.digest()), ("W-5f3c", None));
    let sha256 = weights().sha256();
    let name = BlobName::from_etag(&format!("\"{sha256}\"")).unwrap();
    assert_eq!(name.digest().unwrap().hex(), sha256);
}

proptest! {
    #[test]
    fn every_accepted_path_stays_below_its_folder(path in "([a-c./\\\\: \\x00-]|\\.\\.){0,12}|\\PC{0,20}") {
        if let Ok(path) = FilePath::new(&path) {
            let relative = std::path::Path::new(path.as_str());
            let normal = |component| matches!(component, Component::Normal(_));
            prop_assert!(relative.components().all(normal));
            prop_assert_eq!(relative.components().count(), path.segments().count());
        }
    }

    #[test]
    fn every_accepted_etag_is_one_plain_name(etag in "[\"W/a-f0-9.*\\\\-]{0,12}|\\PC{0,20}") {
        if let Ok(name) = BlobName::from_etag(&etag) {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            prop_assert!(name.as_str().bytes().all(plain));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_traversing_etag_writes_nothing_outside_the_cache() {
    let evil = Entry::new(WEIGHTS, weights(), true).with_etag("../../../../PWN");
    let place = Place::new(Repo::new(ID).masked().entry(evil));
    let plan = place.plan().await;
    let path = plan.files()[0].path().clone();
    let source = place.hub().source(ID, plan.commit(), &path);
    let unknown = PlannedFile::new(path, source);
    let plan = Plan::new(plan.repo().clone(), plan.commit().clone(), [unknown]).unwrap();
    let error = fetch(&place.builder().build().unwrap(), plan)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::InvalidName(_)), "{error}");
    assert_eq!(place.unfinished(), Vec::<String>::new());
    assert_eq!(place.server.stats().gets(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_stay_at_the_origin_they_are_for() {
    let place = Place::new(repo());
    let plan = place.plan().await;
    let file = plan
        .files()
        .iter()
        .find(|f| f.path().as_str() == WEIGHTS)
        .unwrap();
    // The Hub redirects this to its second host.
    let url = format!("{}/{ID}/resolve/main/{WEIGHTS}", place.server.url());
    let location = Location::new(&url)
        .unwrap()
        .header("X-Secret", "s3cret")
        .unwrap();
    assert!(!format!("{location:?}").contains("s3cret"));
    let source = Arc::new(FixedLocation::new(
        location.header("Authorization", "Basic x").unwrap(),
    ));
    let file = PlannedFile::new(file.path().clone(), source).with_digest(file.digest().unwrap());
    let plan = Plan::new(plan.repo().clone(), plan.commit().clone(), [file]).unwrap();
    fetch(&place.builder().build().unwrap(), plan)
        .await
        .unwrap();
    assert_eq!(place.server.stats().leaked_tokens, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_with_a_path_twice_is_refused() {
    let place = Place::new(repo().file("nested", Content::bytes(*b"x")));
    let error = place.hub().plan(ID).await.unwrap_err();
    assert!(
        error.to_string().contains("both as a file and as a folder"),
        "{error}"
    );
    let place = Place::new(repo().file("config.json", Content::bytes(*b"x")));
    let error = place.hub().plan(ID).await.unwrap_err();
    assert!(error.to_string().contains("twice"), "{error}");
}
