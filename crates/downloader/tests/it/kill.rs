//! Two hundred processes killed at random moments.

use std::time::Duration;

use hub_fault_server::Settings;

use crate::{
    child,
    support::{Place, WEIGHTS, assert_complete, repo, weights},
};

const PART: u64 = 64 << 10;

/// A generator after D. H. Lehmer, so that the moments are the same in every run.
struct Moments(u64);

impl Moments {
    fn next(&mut self) -> Duration {
        self.0 = self.0 * 48_271 % 2_147_483_647;
        Duration::from_millis(10 + self.0 % 240)
    }
}

/// Kills so many processes; whenever one gets through, its files are checked and the next cache begins.
fn kill(mut left: u32, seed: u64) {
    let settings = Settings {
        bytes_per_second: Some(500_000),
        ..Settings::default()
    };
    let mut place = Place::with(settings, repo());
    let mut moments = Moments(seed);
    let mut killed = 0;
    loop {
        let mut process = child::start(place.server.url(), place.cache.path());
        std::thread::sleep(moments.next());
        let ended = if left == 0 {
            Some(process.wait().unwrap())
        } else {
            process.try_wait().unwrap()
        };
        match ended {
            None => {
                process.kill().unwrap();
                process.wait().unwrap();
                left -= 1;
                killed += 1;
            }
            Some(status) => {
                assert!(status.success());
                let snapshots = place.repo_folder().join("snapshots");
                assert_complete(&snapshots.join(repo().commit()));
                assert_eq!(place.unfinished(), Vec::<String>::new());
                let twice = place.server.stats().files[WEIGHTS].bytes - weights().length();
                assert!(
                    twice <= killed * PART,
                    "{twice} bytes came twice after {killed} kills"
                );
                if left == 0 {
                    break;
                }
                place.cache = tempfile::tempdir().unwrap();
                place.server.reset_stats();
                killed = 0;
            }
        }
    }
}

#[test]
fn kills_1_to_50() {
    kill(50, 1);
}

#[test]
fn kills_51_to_100() {
    kill(50, 2);
}

#[test]
fn kills_101_to_150() {
    kill(50, 3);
}

#[test]
fn kills_151_to_200() {
    kill(50, 4);
}
