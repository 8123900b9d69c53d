//! `cargo xtask bench download`: fetching a model, against Python's `huggingface_hub` and `hf-hub`.
//!
//! All three fetch the same repository from the same server on this machine, each time into an empty
//! cache on the disk of this workspace.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::environment::HUGGINGFACE_HUB;
use crate::error::Error;
use crate::layout::{self, Layout};
use crate::{process, progress};

use super::figures::median;
use super::unreadable;

const REPO: (&str, &str) = ("test", "model");
/// The most memory that the downloader may take, whatever the file's size.
const MOST_MEMORY: f64 = 64e6;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How often each client runs; the table has the medians.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Megabytes of the large file where nothing holds the server up.
    #[arg(long, default_value_t = 1000)]
    fast_megabytes: u64,
    /// Megabytes of the large file where each connection has a limit.
    #[arg(long, default_value_t = 200)]
    slow_megabytes: u64,
    /// Megabytes a second that one connection brings there.
    #[arg(long, default_value_t = 20)]
    connection_megabytes: u64,
    /// Write the figures as JSON too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// How the server behaves.
struct Scenario {
    name: String,
    megabytes: u64,
    server: Vec<String>,
    /// How many times faster than the others the downloader has to be.
    goal: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Client {
    Downloader,
    /// Without waiting for the disk, as the others do.
    DownloaderNotDurable,
    HuggingfaceHub,
    HfHub,
    /// With what it leaves out done afterwards: a digest of each file, and waiting for the disk.
    HfHubVerified,
}

impl Client {
    const ALL: [Self; 5] = [
        Self::Downloader,
        Self::DownloaderNotDurable,
        Self::HuggingfaceHub,
        Self::HfHub,
        Self::HfHubVerified,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Downloader => "downloader",
            Self::HuggingfaceHub => "huggingface_hub 2.4.0",
            Self::DownloaderNotDurable => "downloader, not durable",
            Self::HfHub => "hf-hub 1.0.0",
            Self::HfHubVerified => "hf-hub 1.0.0, verified",
        }
    }
}

/// What one run took.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
struct Usage {
    seconds: f64,
    peak_bytes: f64,
}

/// One line of the table.
#[derive(Debug, Serialize)]
struct Figure {
    scenario: String,
    client: Client,
    seconds: f64,
    megabytes_per_second: f64,
    peak_bytes: f64,
    /// How many times as long as the downloader it took.
    ratio: f64,
    goal: f64,
    runs: Vec<Usage>,
}

/// The programs that take part.
struct Programs {
    server: PathBuf,
    downloader: PathBuf,
    python: PathBuf,
    hf_hub: PathBuf,
}

pub(crate) fn run(layout: &Layout, arguments: &Arguments) -> Result<(), Error> {
    let programs = Programs {
        python: HUGGINGFACE_HUB.set_up(layout)?,
        server: build(layout, &["--package", "hub-fault-server"])?,
        downloader: build(layout, &["--package", "downloader", "--example", "fetch"])?,
        hf_hub: build_hf_hub(layout)?,
    };
    let scenarios = [
        Scenario {
            name: format!("unthrottled, {} MB", arguments.fast_megabytes),
            megabytes: arguments.fast_megabytes,
            server: Vec::new(),
            goal: 1.0,
        },
        Scenario {
            name: format!(
                "20 ms, {} MB/s a connection, {} MB",
                arguments.connection_megabytes, arguments.slow_megabytes
            ),
            megabytes: arguments.slow_megabytes,
            server: vec![
                "--latency-ms".to_owned(),
                "20".to_owned(),
                "--bytes-per-second".to_owned(),
                (arguments.connection_megabytes * 1_000_000).to_string(),
            ],
            goal: 2.0,
        },
    ];
    let mut figures = Vec::new();
    for scenario in &scenarios {
        figures.extend(measure(
            layout,
            &programs,
            scenario,
            arguments.rounds.max(1),
        )?);
    }
    progress::answer(&table(&figures));
    if let Some(path) = &arguments.json {
        let json = serde_json::to_string_pretty(&figures).map_err(|e| unreadable(&e))?;
        layout::write_whole(path, &json)?;
    }
    Ok(())
}

fn measure(
    layout: &Layout,
    programs: &Programs,
    scenario: &Scenario,
    rounds: usize,
) -> Result<Vec<Figure>, Error> {
    let mut runs = [const { Vec::new() }; Client::ALL.len()];
    for round in 0..rounds {
        let _step = progress::spinner(&format!(
            "{}: round {} of {rounds}",
            scenario.name,
            round + 1
        ));
        // Who goes first alternates, so that a machine that slows down harms all alike.
        for turn in 0..Client::ALL.len() {
            let index = (round + turn) % Client::ALL.len();
            let (Some(client), Some(runs)) = (Client::ALL.get(index), runs.get_mut(index)) else {
                continue;
            };
            runs.push(fetch(layout, programs, scenario, *client)?);
        }
    }
    let middle = |runs: &[Usage], pick: fn(&Usage) -> f64| {
        median(&runs.iter().map(pick).collect::<Vec<_>>())
    };
    let ours = middle(&runs[0], |run| run.seconds);
    Ok(Client::ALL
        .into_iter()
        .zip(runs)
        .map(|(client, runs)| {
            let seconds = middle(&runs, |run| run.seconds);
            Figure {
                scenario: scenario.name.clone(),
                client,
                seconds,
                megabytes_per_second: scenario.megabytes as f64 / seconds,
                peak_bytes: middle(&runs, |run| run.peak_bytes),
                ratio: seconds / ours,
                goal: scenario.goal,
                runs,
            }
        })
        .collect())
}

/// One run of one client, with a server and a cache of its own.
fn fetch(
    layout: &Layout,
    programs: &Programs,
    scenario: &Scenario,
    client: Client,
) -> Result<Usage, Error> {
    let server = Server::start(&programs.server, scenario)?;
    let cache = tempfile::tempdir_in(layout.generated())
        .map_err(|e| Error::io("create a folder in", &layout.generated(), e))?;
    let id = format!("{}/{}", REPO.0, REPO.1);
    let mut command = Command::new(&programs.python);
    command.args(["-c", include_str!("../../python/usage.py")]);
    match client {
        Client::Downloader => command
            .arg(&programs.downloader)
            .args([&server.url, &id])
            .arg(cache.path()),
        Client::DownloaderNotDurable => command
            .arg(&programs.downloader)
            .args([&server.url, &id])
            .arg(cache.path())
            .arg("--not-durable"),
        Client::HuggingfaceHub => command.arg(&programs.python).args([
            "-c",
            include_str!("../../python/download.py"),
            &id,
        ]),
        Client::HfHub => command.arg(&programs.hf_hub).args([REPO.0, REPO.1]),
        Client::HfHubVerified => command
            .arg(&programs.python)
            .args(["-c", include_str!("../../python/verified.py")])
            .arg(&programs.hf_hub)
            .args([REPO.0, REPO.1]),
    };
    command
        .env("HF_ENDPOINT", &server.url)
        .env("HF_HUB_CACHE", cache.path())
        .env("HF_HOME", cache.path().join("home"))
        .env("HF_HUB_DISABLE_XET", "1")
        .env("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        .env("HF_HUB_DISABLE_TELEMETRY", "1")
        .env("NO_PROXY", "127.0.0.1");
    let printed = process::run_quietly(&mut command)?;
    serde_json::from_str(&printed).map_err(|e| unreadable(&e))
}

/// The server of one run; it ends when this is dropped.
struct Server {
    process: Child,
    url: String,
}

/// What the server says when it is ready.
#[derive(Debug, Deserialize)]
struct Ready {
    url: String,
}

impl Server {
    /// A model like those of mlx-community: one large file, a tokenizer, and small files.
    fn start(program: &Path, scenario: &Scenario) -> Result<Self, Error> {
        let failed = |detail: String| Error::Failed {
            program: "hub-fault-server".to_owned(),
            detail,
        };
        let weights = format!("model.safetensors={}", scenario.megabytes * 1_000_000);
        let mut process = Command::new(program)
            .args(["--repo", &format!("{}/{}", REPO.0, REPO.1)])
            .args(&scenario.server)
            .args(["--lfs", &weights, "--lfs", "tokenizer.json=11422654"])
            .args([
                "--file",
                "config.json=937",
                "--file",
                "tokenizer_config.json=9706",
            ])
            .args([
                "--file",
                "merges.txt=1671853",
                "--file",
                "vocab.json=2776833",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| failed(format!("it cannot be started: {e}")))?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout)
                .read_line(&mut line)
                .map_err(|e| failed(format!("it says nothing: {e}")))?;
        }
        let Ready { url } = serde_json::from_str(&line).map_err(|e| failed(e.to_string()))?;
        Ok(Self { process, url })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends by itself when its input does; this only makes sure.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Builds a program of this workspace, and says where it is.
fn build(layout: &Layout, arguments: &[&str]) -> Result<PathBuf, Error> {
    let _step = progress::spinner(&format!("Building {}", arguments.join(" ")));
    let printed = process::run_quietly(
        process::cargo()
            .current_dir(layout.root())
            .args(["build", "--release", "--message-format=json"])
            .args(arguments),
    )?;
    printed
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)))
        .next_back()
        .ok_or_else(|| Error::Failed {
            program: "cargo build".to_owned(),
            detail: "it names no executable".to_owned(),
        })
}

/// A package of its own, in a target folder of its own.
fn build_hf_hub(layout: &Layout) -> Result<PathBuf, Error> {
    let _step = progress::spinner("Building hf-hub");
    let target = layout.generated().join("hf-hub-download");
    process::run_quietly(
        process::cargo()
            .args([
                "build",
                "--release",
                "--quiet",
                "--locked",
                "--manifest-path",
            ])
            .arg(layout.root().join("xtask/hf-hub-download/Cargo.toml"))
            .arg("--target-dir")
            .arg(&target),
    )?;
    Ok(target.join("release").join("hf-hub-download"))
}

fn table(figures: &[Figure]) -> String {
    let mut lines = vec![
        format!(
            "| {:<36} | {:<23} | {:>8} | {:>8} | {:>9} | {:>12} |",
            "medians", "client", "seconds", "MB/s", "peak MB", "ours faster"
        ),
        "| --- | --- | ---: | ---: | ---: | ---: |".to_owned(),
    ];
    for figure in figures {
        let met = |met| if met { "met" } else { "NOT met" };
        let verdict = match figure.client {
            Client::Downloader => format!("< 64 MB {}", met(figure.peak_bytes < MOST_MEMORY)),
            Client::DownloaderNotDurable => format!("{:.2} x", figure.ratio),
            _ => format!("{:.2} x {}", figure.ratio, met(figure.ratio >= figure.goal)),
        };
        lines.push(format!(
            "| {:<36} | {:<23} | {:>8.2} | {:>8.0} | {:>9.1} | {:>12} |",
            figure.scenario,
            figure.client.name(),
            figure.seconds,
            figure.megabytes_per_second,
            figure.peak_bytes / 1e6,
            verdict,
        ));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_that_are_missed_are_said_so() {
        let figure = |client, ratio, peak_bytes| Figure {
            scenario: "slow".to_owned(),
            client,
            seconds: 1.0,
            megabytes_per_second: 1.0,
            peak_bytes,
            ratio,
            goal: 2.0,
            runs: Vec::new(),
        };
        let lines = table(&[
            figure(Client::Downloader, 1.0, 70e6),
            figure(Client::HfHub, 1.9, 1e6),
            figure(Client::HuggingfaceHub, 2.0, 1e6),
        ]);
        assert!(lines.contains("< 64 MB NOT met"), "{lines}");
        assert!(lines.contains("1.90 x NOT met"), "{lines}");
        assert!(lines.contains("2.00 x met"), "{lines}");
    }
}
