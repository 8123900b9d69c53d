//! Fetches a model from a Hub into a cache, with progress on stderr: `fetch URL ORG/NAME CACHE`,
//! with `--not-durable` after that if files need not outlast a power failure.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is how it speaks"
)]

#[path = "../tests/it/hub.rs"]
mod hub;

use downloader::{BoxError, Downloader};
use futures_util::StreamExt as _;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (url, id, cache, durable) = match arguments.as_slice() {
        [url, id, cache] => (url, id, cache, true),
        [url, id, cache, option] if option == "--not-durable" => (url, id, cache, false),
        _ => return Err("usage: fetch URL ORG/NAME CACHE [--not-durable]".into()),
    };
    let plan = hub::Hub::new(url)?.plan(id).await?;
    let download = Downloader::builder(cache)
        .durable(durable)
        .build()?
        .start(plan)?;
    let mut progress = download.progress();
    let report = async {
        while let Some(now) = progress.next().await {
            eprint!(
                "\r{} of {} bytes, {:.0} MB/s ",
                now.bytes,
                now.total.unwrap_or_default(),
                now.bytes_per_second / 1e6
            );
        }
        eprintln!();
    };
    let (snapshot, ()) = tokio::join!(download, report);
    println!("{}", snapshot?.path.display());
    Ok(())
}
