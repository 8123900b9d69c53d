//! Downloads in processes of their own, which can be killed.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::{
    hub::Hub,
    support::{ID, builder, fetch},
};

const VARIABLE: &str = "DOWNLOADER_TEST_CHILD";

/// Starts this very program as a process that fetches [`ID`] from a server into a cache.
pub(crate) fn start(url: &str, cache: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["child::fetch_for_a_parent", "--exact", "--ignored"])
        .env(VARIABLE, format!("{url} {}", cache.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// The body of the child process; no test by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the tests that need a process"]
async fn fetch_for_a_parent() {
    let Ok(job) = std::env::var(VARIABLE) else {
        return;
    };
    let (url, cache) = job.split_once(' ').unwrap();
    let plan = Hub::new(url).unwrap().plan(ID).await.unwrap();
    let mut builder = builder(Path::new(cache)).connections(4);
    if plan.files().iter().any(|file| file.size() > Some(1 << 30)) {
        // As users have it.
        builder = builder.connections(8).part_size(8 << 20);
    }
    let downloader = builder.build().unwrap();
    fetch(&downloader, plan).await.unwrap();
}
