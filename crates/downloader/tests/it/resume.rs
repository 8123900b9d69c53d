//! Faults on the way, and going on after them.

use std::{fs, path::PathBuf};

use downloader::Error;
use hub_fault_server::{Content, Entry, Fault, Repo, Stage};

use crate::support::{ID, Place, WEIGHTS, assert_complete, assert_same, fetch, repo, weights};

/// Fetches with these faults in the way of the large file; the rest must come whole.
async fn survives(faults: impl IntoIterator<Item = Fault>) -> Place {
    let place = Place::new(repo());
    place.server.script(Stage::Body, WEIGHTS, faults);
    let snapshot = place.fetch().await.unwrap();
    assert_complete(&snapshot.path);
    assert_eq!(place.unfinished(), Vec::<String>::new());
    place
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_goes_on_where_it_was() {
    let cuts = (1..20).map(|i| Fault::Cut {
        after: i * 3_000,
        reset: false,
    });
    let place = survives(cuts).await;
    // Nothing that arrived was asked for again.
    let bytes = place.server.stats().files[WEIGHTS].bytes;
    assert_eq!(bytes, weights().length());
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_that_pass_are_waited_out() {
    survives([408, 429, 500, 502, 504].map(Fault::status)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_signature_is_renewed() {
    let place = survives([Fault::Expired, Fault::Expired]).await;
    assert!(place.server.stats().files[WEIGHTS].heads >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_connection_is_given_up() {
    survives([Fault::Stall { after: 10 }, Fault::Stall { after: 0 }]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_do_not_fit_are_not_taken() {
    let bad = [
        Fault::WrongRange,
        Fault::Gzip,
        Fault::NotSatisfiable,
        Fault::LongLength { by: 10 },
        Fault::ShortLength { by: 10 },
    ];
    survives(bad).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_knows_no_ranges_is_noticed() {
    let always = std::iter::repeat_n(Fault::IgnoreRange, 100);
    let place = survives(always).await;
    let gets = place.server.stats().files[WEIGHTS].gets;
    assert!(gets <= 4, "{gets} requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_flipped_byte_is_found_and_the_file_fetched_again() {
    survives([Fault::FlipByte { at: 777 }]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_is_wrong_twice_is_reported_and_never_shown() {
    let place = Place::new(repo());
    let always = std::iter::repeat_n(Fault::FlipByte { at: 777 }, 1000);
    place.server.script(Stage::Body, WEIGHTS, always);
    let error = place.fetch().await.unwrap_err();
    assert!(matches!(error, Error::DigestMismatch { .. }), "{error}");
    assert!(error.is_retryable());
    assert!(error.to_string().contains(&weights().sha256()), "{error}");
    assert!(!place.blobs().join(weights().sha256()).exists());
    let snapshot = place.repo_folder().join("snapshots").join(repo().commit());
    assert!(!snapshot.join(WEIGHTS).exists());
    place.server.set_chaos(None);
    assert_complete(&place.fetch().await.unwrap().path);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_one_clear_error() {
    let place = Place::new(repo());
    place.server.script(
        Stage::Body,
        WEIGHTS,
        std::iter::repeat_n(Fault::status(404), 100),
    );
    let error = place.fetch().await.unwrap_err();
    assert!(
        matches!(error, Error::Status { status: 404, .. }),
        "{error}"
    );
    assert!(!error.to_string().contains("Signature"), "{error}");
    assert!(!error.is_retryable());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stays_down_is_one_clear_error_and_what_came_is_kept() {
    let place = Place::new(repo());
    place.server.let_pass(Stage::Body, WEIGHTS, 3);
    place.server.script(
        Stage::Body,
        WEIGHTS,
        std::iter::repeat_n(Fault::status(503), 1000),
    );
    let error = place.fetch().await.unwrap_err();
    assert!(
        matches!(error, Error::Status { status: 503, .. }),
        "{error}"
    );
    assert!(error.is_retryable());
    let before = place.server.stats().files[WEIGHTS].bytes;
    assert!(before > 0);
    place.server.set_chaos(None);
    assert_complete(&place.fetch().await.unwrap().path);
    assert_eq!(
        place.server.stats().files[WEIGHTS].bytes,
        weights().length()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_etag_begins_the_file_anew() {
    let old = Content::noise(5, 300_000);
    let new = Content::noise(6, 300_000);
    let entry = |content: &Content, etag| {
        Repo::new(ID)
            .masked()
            .entry(Entry::new(WEIGHTS, content.clone(), true).with_etag(etag))
    };
    let place = Place::new(entry(&old, "first-edition"));
    let plan = place.plan().await;
    assert_eq!(plan.files()[0].digest(), None);
    let path = plan.files()[0].path().clone();
    let source = place.hub().source(ID, plan.commit(), &path);
    let unknown = downloader::PlannedFile::new(path, source);
    let plan =
        downloader::Plan::new(plan.repo().clone(), plan.commit().clone(), [unknown]).unwrap();
    place.server.let_pass(Stage::Body, WEIGHTS, 2);
    place.server.script(
        Stage::Body,
        WEIGHTS,
        std::iter::repeat_n(Fault::status(503), 1000),
    );
    let downloader = place.builder().build().unwrap();
    fetch(&downloader, plan.clone()).await.unwrap_err();
    assert!(!place.unfinished().is_empty());

    place.server.set_chaos(None);
    place.server.put(entry(&new, "second-edition"));
    let snapshot = fetch(&downloader, plan).await.unwrap();
    assert_same(&snapshot.path.join(WEIGHTS), &new);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_a_size_is_fetched() {
    let content = weights();
    let repo = Repo::new(ID).entry(Entry::new(WEIGHTS, content.clone(), true).without_size());
    let place = Place::new(repo);
    let plan = place.plan().await;
    let path = plan.files()[0].path().clone();
    let source = place.hub().source(ID, plan.commit(), &path);
    let file = downloader::PlannedFile::new(path, source);
    let plan = downloader::Plan::new(plan.repo().clone(), plan.commit().clone(), [file]).unwrap();
    let cuts = (1..10).map(|i| Fault::Cut {
        after: i * 20_000,
        reset: false,
    });
    place.server.script(Stage::Body, WEIGHTS, cuts);
    let snapshot = fetch(&place.builder().build().unwrap(), plan)
        .await
        .unwrap();
    assert_same(&snapshot.path.join(WEIGHTS), &content);
}

/// A download that failed on its way, with its partial file and that one's journal.
async fn interrupted() -> (Place, PathBuf, PathBuf) {
    let place = Place::new(repo());
    place.server.let_pass(Stage::Body, WEIGHTS, 8);
    let down = std::iter::repeat_n(Fault::status(503), 1000);
    place.server.script(Stage::Body, WEIGHTS, down);
    place.fetch().await.unwrap_err();
    place.server.set_chaos(None);
    let find = |suffix: &str| {
        let prefix = weights().sha256();
        let mut names = place.unfinished().into_iter();
        let name = names.find(|n| n.starts_with(&prefix) && n.ends_with(suffix));
        place.blobs().join(name.unwrap())
    };
    let (data, journal) = (find(".mlxe.incomplete"), find(".mlxe.journal"));
    (place, data, journal)
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_the_disk_lost_are_fetched_again_and_no_others() {
    let (place, data, _) = interrupted().await;
    let mut bytes = fs::read(&data).unwrap();
    bytes[100] ^= 1;
    fs::write(&data, bytes).unwrap();
    assert_complete(&place.fetch().await.unwrap().path);
    let twice = place.server.stats().files[WEIGHTS].bytes - weights().length();
    assert!(twice > 0 && twice <= 64 << 10, "{twice}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_journal_costs_what_it_can_no_longer_tell() {
    for keep in [0, 10, 50, 97] {
        let (place, _, journal) = interrupted().await;
        let text = fs::read(&journal).unwrap();
        fs::write(&journal, &text[..text.len() * keep / 100]).unwrap();
        assert_complete(&place.fetch().await.unwrap().path);
        assert_eq!(place.unfinished(), Vec::<String>::new());
    }
}
