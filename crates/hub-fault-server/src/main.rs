//! The server as a process, for clients in other languages and for benchmarks.
//!
//! Prints one line of JSON with its URLs, and runs until its standard input ends.
#![expect(clippy::print_stdout, reason = "its caller reads the URLs there")]

use std::{error::Error, io::Read as _, time::Duration};

use hub_fault_server::{Content, FaultServer, Repo, Settings};

const USAGE: &str = "usage: hub-fault-server [--repo ORG/NAME] [--latency-ms N] \
    [--bytes-per-second N] [--lfs PATH=BYTES] [--file PATH=BYTES]";

fn main() -> Result<(), Box<dyn Error>> {
    let mut settings = Settings::default();
    let mut repo = Repo::new("test/model");
    let mut files = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or(USAGE)?;
        match name.as_str() {
            "--repo" => repo = Repo::new(&value),
            "--latency-ms" => settings.latency = Duration::from_millis(value.parse()?),
            "--bytes-per-second" => settings.bytes_per_second = Some(value.parse()?),
            "--lfs" | "--file" => {
                let (path, length) = value.split_once('=').ok_or(USAGE)?;
                files.push((path.to_owned(), length.parse()?, name == "--lfs"));
            }
            _ => return Err(USAGE.into()),
        }
    }
    for (seed, (path, length, lfs)) in (1..).zip(files) {
        let content = Content::noise(seed, length);
        // Not in the time of the first client that asks.
        content.sha256();
        repo = if lfs {
            repo.lfs(&path, content)
        } else {
            repo.file(&path, content)
        };
    }
    let (id, commit) = (repo.id().to_owned(), repo.commit().to_owned());
    let server = FaultServer::start_with(settings, [repo])?;
    println!(
        "{}",
        serde_json::json!({
            "url": server.url(), "cdn_url": server.cdn_url(), "repo": id, "commit": commit,
        })
    );
    // Whoever started it closes the pipe, by intent or by ending.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
