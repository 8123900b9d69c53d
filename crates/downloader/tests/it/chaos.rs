//! A thousand seeded schedules of random faults.

use std::time::Duration;

use hub_fault_server::{Chaos, Content, Fault, Repo};

use crate::support::{ID, Place, WEIGHTS, assert_same, fetch};

/// The smallest that a part may be; the large file has sixteen.
const PART: u64 = 4 << 10;
const CONNECTIONS: usize = 4;
const NOTES: &str = "notes.txt";

fn files() -> [(&'static str, Content); 3] {
    [
        ("config.json", Content::bytes(*b"{}")),
        (NOTES, Content::noise(3, 3_000)),
        (WEIGHTS, Content::noise(4, 16 * PART - 123)),
    ]
}

/// How many bytes may come twice because of a fault: one part, or where a whole file came in vain, that.
fn price(path: &str, fault: &Fault) -> u64 {
    let size = files()
        .into_iter()
        .find(|(name, _)| *name == path)
        .map_or(0, |(_, content)| content.length());
    match fault {
        // Known only when the whole file is there.
        Fault::FlipByte { .. } => size,
        // The whole file is on its way before the client sees what it is, and comes once more if
        // the server does it again.
        Fault::IgnoreRange => 2 * size,
        Fault::Status { .. } | Fault::Expired | Fault::NotSatisfiable => 0,
        _ => PART.min(size),
    }
}

async fn run(seeds: std::ops::Range<u64>) {
    let mut repo = Repo::new(ID);
    for (path, content) in files() {
        repo = if path == WEIGHTS {
            repo.lfs(path, content)
        } else {
            repo.file(path, content)
        };
    }
    let mut place = Place::new(repo);
    let plan = place.plan().await;
    let (mut whole, mut failed) = (0, 0);
    for seed in seeds {
        place.cache = tempfile::tempdir().unwrap();
        place.server.reset_stats();
        let most = (seed % 30) as usize;
        let mut chaos = Chaos::new(seed, 10 + seed % 70, most);
        if seed % 10 == 0 {
            chaos = chaos.with_stalls();
        }
        place.server.set_chaos(Some(chaos));
        let downloader = place
            .builder()
            .part_size(PART)
            .connections(CONNECTIONS)
            .stall_timeout(Duration::from_millis(100))
            .build()
            .unwrap();
        let outcome = fetch(&downloader, plan.clone()).await;
        // Whatever happened: what is visible is right.
        let snapshot = place
            .repo_folder()
            .join("snapshots")
            .join(plan.commit().as_str());
        for (path, content) in files() {
            if snapshot.join(path).exists() {
                assert_same(&snapshot.join(path), &content);
            }
        }
        let outcome_failed = outcome.is_err();
        match outcome {
            Ok(_) => whole += 1,
            Err(error) => {
                failed += 1;
                assert!(!error.to_string().is_empty() && !error.suggestion().is_empty());
                place.server.set_chaos(None);
                fetch(&downloader, plan.clone())
                    .await
                    .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
            }
        }
        for (path, content) in files() {
            assert_same(&snapshot.join(path), &content);
        }
        assert_eq!(place.unfinished(), Vec::<String>::new(), "seed {seed}");
        let stats = place.server.stats();
        // A run that fails lets go of what its connections are waiting for.
        let let_go = if outcome_failed {
            CONNECTIONS as u64 * PART
        } else {
            0
        };
        for (path, content) in files() {
            let faults = stats.faults.iter().filter(|(p, _)| p == path);
            let allowed: u64 = faults.map(|(path, fault)| price(path, fault)).sum();
            let bytes = stats.files[path].bytes;
            assert!(
                bytes <= content.length() + allowed + let_go,
                "seed {seed}: {bytes} bytes of {path} for {} and {allowed} allowed: {:?}",
                content.length(),
                stats.faults
            );
        }
        assert_eq!(stats.leaked_tokens, 0);
    }
    assert!(
        whole > 100,
        "only {whole} of the runs got through by themselves; {failed} did not"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedules_1_to_250() {
    run(0..250).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedules_251_to_500() {
    run(250..500).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedules_501_to_750() {
    run(500..750).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedules_751_to_1000() {
    run(750..1000).await;
}
