//! Cancelling, dropping, pausing, resuming.

use std::time::Duration;

use downloader::{CancellationToken, Download, Error};
use futures_util::StreamExt as _;
use hub_fault_server::Settings;

use crate::support::{Place, WEIGHTS, assert_complete, repo, weights};

fn slow() -> Place {
    let settings = Settings {
        bytes_per_second: Some(400_000),
        ..Settings::default()
    };
    Place::with(settings, repo())
}

/// Waits until some bytes have come.
async fn begun(download: &Download) {
    let mut progress = download.progress();
    while let Some(state) = progress.next().await {
        if state.received > 100_000 {
            return;
        }
    }
}

/// How many bytes of the large file came twice.
fn twice(place: &Place) -> u64 {
    place.server.stats().files[WEIGHTS].bytes - weights().length()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_download_keeps_what_came() {
    let place = slow();
    let token = CancellationToken::new();
    let downloader = place.builder().build().unwrap();
    let download = downloader.start_with(place.plan().await, &token).unwrap();
    begun(&download).await;
    token.cancel();
    let error = download.await.unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error}");
    assert_complete(&place.fetch().await.unwrap().path);
    assert!(twice(&place) < 64 << 10, "{}", twice(&place));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_download_stops_and_keeps_what_came() {
    let place = slow();
    let download = place
        .builder()
        .build()
        .unwrap()
        .start(place.plan().await)
        .unwrap();
    begun(&download).await;
    let mut progress = download.progress();
    drop(download);
    // The stream ends when the work has.
    while progress.next().await.is_some() {}
    // The server notices when it sends its next piece.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let after = place.server.stats().bytes();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(place.server.stats().bytes(), after);
    assert_complete(&place.fetch().await.unwrap().path);
    assert!(twice(&place) < 64 << 10, "{}", twice(&place));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_lets_nothing_come_until_it_ends() {
    let place = slow();
    let download = place
        .builder()
        .build()
        .unwrap()
        .start(place.plan().await)
        .unwrap();
    begun(&download).await;
    let controller = download.controller();
    controller.pause();
    let mut progress = download.progress();
    while !progress.next().await.unwrap().paused {}
    tokio::time::sleep(Duration::from_millis(100)).await;
    let during = place.server.stats().bytes();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(place.server.stats().bytes(), during);
    controller.resume();
    assert_complete(&download.await.unwrap().path);
    assert!(twice(&place) < 64 << 10, "{}", twice(&place));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_download_can_be_cancelled() {
    let place = slow();
    let download = place
        .builder()
        .build()
        .unwrap()
        .start(place.plan().await)
        .unwrap();
    begun(&download).await;
    download.controller().pause();
    tokio::time::sleep(Duration::from_millis(50)).await;
    download.controller().cancel();
    assert!(matches!(download.await, Err(Error::Cancelled)));
}
