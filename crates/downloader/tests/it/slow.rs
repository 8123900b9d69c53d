//! Connections that are slow, though not silent.

use std::time::Duration;

use hub_fault_server::{Fault, Stage};

use crate::support::{Place, WEIGHTS, assert_complete, fetch, repo};

/// The weights come in 16 parts.
const PARTS: u64 = 16;

/// Fetches with little patience for slow connections; fails if it takes minutes, as it does for
/// those who wait for such a connection. Returns how often the weights were asked for.
async fn gets(place: &Place, connections: usize) -> u64 {
    let downloader = place
        .builder()
        .connections(connections)
        .stall_timeout(Duration::from_secs(20))
        .slow_window(Duration::from_millis(100))
        .build()
        .unwrap();
    let fetching = fetch(&downloader, place.plan().await);
    let snapshot = tokio::time::timeout(Duration::from_mins(1), fetching).await;
    assert_complete(
        &snapshot
            .expect("it waits for a slow connection")
            .unwrap()
            .path,
    );
    place.server.stats().files[WEIGHTS].gets
}

fn trickle(after: u64) -> Fault {
    Fault::Slow {
        after,
        bytes_per_second: 100,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_falls_behind_the_others_is_replaced() {
    let place = Place::new(repo());
    place.server.let_pass(Stage::Body, WEIGHTS, 3);
    place.server.script(Stage::Body, WEIGHTS, [trickle(30_000)]);
    let gets = gets(&place, 4).await;
    assert_eq!(gets, PARTS + 1, "what had come is not asked for again");
    let bytes = place.server.stats().bytes();
    assert!(bytes < 1_200_000, "{bytes} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_trickles_from_the_beginning_is_replaced_too() {
    let place = Place::new(repo());
    place.server.script(Stage::Body, WEIGHTS, [trickle(0)]);
    assert_eq!(gets(&place, 1).await, PARTS + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_becomes_slow_is_accepted_as_it_is() {
    let place = Place::new(repo());
    place.server.let_pass(Stage::Body, WEIGHTS, 8);
    let slow = Fault::Slow {
        after: 0,
        bytes_per_second: 200_000,
    };
    place
        .server
        .script(Stage::Body, WEIGHTS, std::iter::repeat_n(slow, 200));
    let gets = gets(&place, 2).await;
    assert!(gets < PARTS + 31, "{gets} requests");
}
