//! Starting and stopping the server, and what its connections share.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpSocket},
    sync::oneshot,
};

use crate::{
    Chaos, Fault, FileStats, Repo, Stage, Stats,
    connection::{self, Side},
    fault::Script,
};

/// How the server behaves throughout.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The time before each answer, and before the first answer of a connection once more.
    pub latency: Duration,
    /// The most bytes a second that one connection brings.
    pub bytes_per_second: Option<u64>,
    /// The socket's send buffer: a small one makes the counts of bytes exact to within its size.
    pub send_buffer: Option<u32>,
    /// How many requests a signed URL is good for.
    pub signature_uses: Option<u64>,
    /// The tokens that the server knows.
    pub tokens: Vec<String>,
}

/// A running server; dropping it stops it.
#[derive(Debug)]
pub struct FaultServer {
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) hub: String,
    pub(crate) cdn: String,
    changing: Mutex<Changing>,
}

#[derive(Debug, Default)]
pub(crate) struct Changing {
    pub(crate) repos: Vec<Repo>,
    pub(crate) script: Script,
    pub(crate) stats: Stats,
    /// Requests that each signature has been used for.
    pub(crate) signatures: HashMap<u64, u64>,
    pub(crate) next_signature: u64,
}

impl State {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Changing> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fault for this request, counted.
    pub(crate) fn fault(&self, stage: Stage, path: &str, length: u64) -> Option<Fault> {
        let mut changing = self.lock();
        let fault = changing.script.next(stage, path, length);
        if let Some(fault) = &fault {
            changing.stats.faults.push((path.to_owned(), fault.clone()));
        }
        fault
    }

    pub(crate) fn count(&self, path: &str, count: impl FnOnce(&mut FileStats)) {
        count(self.lock().stats.files.entry(path.to_owned()).or_default());
    }
}

impl FaultServer {
    /// Starts a server with these repositories on two ports of the loopback interface.
    pub fn start(repos: impl IntoIterator<Item = Repo>) -> io::Result<Self> {
        Self::start_with(Settings::default(), repos)
    }

    /// Starts a server that behaves in a certain way.
    pub fn start_with(
        settings: Settings,
        repos: impl IntoIterator<Item = Repo>,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("fault-server")
            .enable_all()
            .build()?;
        let (hub, cdn) = {
            let _inside = runtime.enter();
            (listen(&settings)?, listen(&settings)?)
        };
        let url = |listener: &TcpListener| -> io::Result<String> {
            Ok(format!("http://{}", listener.local_addr()?))
        };
        let state = Arc::new(State {
            hub: url(&hub)?,
            cdn: url(&cdn)?,
            settings,
            changing: Mutex::new(Changing {
                repos: repos.into_iter().collect(),
                ..Changing::default()
            }),
        });
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(&shared, hub, Side::Hub) => {}
                    () = accept(&shared, cdn, Side::Cdn) => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        });
        Ok(Self {
            state,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The Hub's URL: what `HF_ENDPOINT` is set to.
    pub fn url(&self) -> &str {
        &self.state.hub
    }

    /// The second host's URL.
    pub fn cdn_url(&self) -> &str {
        &self.state.cdn
    }

    /// Lets the next requests of a stage for a path fail, one after the other.
    pub fn script(&self, stage: Stage, path: &str, faults: impl IntoIterator<Item = Fault>) {
        let faults = faults.into_iter().map(Some);
        self.state.lock().script.add(stage, path, faults);
    }

    /// Lets so many requests of a stage for a path pass before what is scripted next.
    pub fn let_pass(&self, stage: Stage, path: &str, requests: usize) {
        let passes = std::iter::repeat_n(None, requests);
        self.state.lock().script.add(stage, path, passes);
    }

    /// Forgets all faults that have not struck, and lets requests fail at random from now on.
    pub fn set_chaos(&self, chaos: Option<Chaos>) {
        self.state.lock().script = Script::of(chaos);
    }

    /// Replaces a repository, or adds one.
    pub fn put(&self, repo: Repo) {
        let mut changing = self.state.lock();
        changing.repos.retain(|known| known.id != repo.id);
        changing.repos.push(repo);
    }

    /// What has been asked for and sent until now.
    pub fn stats(&self) -> Stats {
        self.state.lock().stats.clone()
    }

    /// Counts from nothing again.
    pub fn reset_stats(&self) {
        self.state.lock().stats = Stats::default();
    }
}

impl Drop for FaultServer {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen(settings: &Settings) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    if let Some(size) = settings.send_buffer {
        socket.set_send_buffer_size(size)?;
    }
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    socket.listen(1024)
}

async fn accept(state: &Arc<State>, listener: TcpListener, side: Side) {
    loop {
        // A connection that is gone before it is accepted is no reason to stop.
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        state.lock().stats.connections += 1;
        let state = Arc::clone(state);
        tokio::spawn(async move {
            // Clients come and go as they like.
            let _ = connection::serve(&state, stream, side).await;
        });
    }
}
