//! Starting a model's thread, and waiting until it can be used.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver},
    },
    task::{Context, Poll},
    thread,
    time::Instant,
};

use engine_core::{
    BoxFuture, Capabilities, Engine, EngineInfo, Error, Field, FieldSet, Model, Progress, Result,
};
use futures_channel::oneshot;

use super::{
    Loaded, chat::chat_fields, command::Command, guarded::Guarded, handle::Handle,
    prompts::prepare_all, scheduler::Scheduler,
};
use crate::{
    panic_message::panic_message,
    prompt_cache::{PromptCache, default_budget},
};

type Reply = oneshot::Sender<Result<Arc<dyn Engine>>>;

/// Starts a thread for a model, runs `build` there, and resolves when the engine can be used.
///
/// `build` reads the files and makes the model, which never leaves that thread. It reports every
/// stage but [`LoadStage::Ready`](engine_core::LoadStage::Ready), which is reported here, last.
/// The thread starts at once, not at the first poll. Dropping the future cancels `progress`; what
/// was made until then is freed on the thread.
///
/// A second thread turns prompts into tokens, so that a long one holds up neither its caller nor
/// the generations that run.
///
/// # Errors
/// Those of `build`; [`Error::Backend`] if it panics or a thread can't be started.
pub fn spawn_engine<M: Model + 'static>(
    build: impl FnOnce(&Progress) -> Result<Loaded<M>> + Send + 'static,
    progress: Progress,
) -> BoxFuture<Result<Arc<dyn Engine>>> {
    let (reply, engine) = oneshot::channel();
    let for_thread = progress.clone();
    let started = thread::Builder::new()
        .name("mlxengine-model".to_owned())
        .spawn(move || live(build, &for_thread, reply));
    match started {
        Ok(_) => Box::pin(Loading {
            engine,
            progress: Some(progress),
        }),
        Err(error) => Box::pin(std::future::ready(Err(thread_error(error)))),
    }
}

/// A load under way.
struct Loading {
    engine: oneshot::Receiver<Result<Arc<dyn Engine>>>,
    /// Taken when the load is over.
    progress: Option<Progress>,
}

impl Future for Loading {
    type Output = Result<Arc<dyn Engine>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Poll::Ready(outcome) = Pin::new(&mut self.engine).poll(cx) else {
            return Poll::Pending;
        };
        self.progress = None;
        Poll::Ready(outcome.unwrap_or_else(|_| Err(load_error("the model's thread ended"))))
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        if let Some(progress) = self.progress.take() {
            progress.cancel();
        }
    }
}

/// The life of a model's thread.
fn live<M: Model + 'static>(
    build: impl FnOnce(&Progress) -> Result<Loaded<M>>,
    progress: &Progress,
    reply: Reply,
) {
    let begun = Instant::now();
    let made = catch_unwind(AssertUnwindSafe(|| {
        let loaded = build(progress)?;
        let parts = assemble(loaded, begun)?;
        progress.ready()?;
        Ok(parts)
    }));
    let made = made.unwrap_or_else(|payload| {
        Err(load_error(format!(
            "panicked: {}",
            panic_message(payload.as_ref())
        )))
    });
    let (handle, scheduler, commands) = match made {
        Ok(made) => made,
        Err(error) => {
            let _ = reply.send(Err(error));
            return;
        }
    };
    let name = Arc::clone(&handle.name);
    let unloaded = UnloadedOnDrop(Arc::clone(&handle.unloaded));
    tracing::info!(
        model = %name,
        backend = %handle.info.model.backend.name,
        device = %handle.info.model.device,
        load_time = ?handle.info.load_time,
        "model loaded"
    );
    // If the caller has gone, the handle is dropped, which ends the loop below at once.
    let _ = reply.send(Ok(Arc::new(handle)));
    let farewells = scheduler.run(&commands);
    drop(unloaded);
    tracing::info!(model = %name, "model unloaded");
    drop(commands);
    drop(farewells);
}

/// Marks an engine as unloaded however its thread ends.
struct UnloadedOnDrop(Arc<AtomicBool>);

impl Drop for UnloadedOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

type Parts<M> = (Handle, Scheduler<M>, Receiver<Command>);

/// Puts together the two ends of an engine.
fn assemble<M: Model>(loaded: Loaded<M>, begun: Instant) -> Result<Parts<M>> {
    let Loaded {
        model,
        text,
        settings,
    } = loaded;
    let model_info = model.info().clone();
    let on_device = model.chooses_on_device();
    let budget = settings
        .prompt_cache_bytes
        .unwrap_or_else(|| default_budget(model_info.weight_bytes));
    let cache = PromptCache::new(budget, model.can_truncate());
    let text = Arc::new(text);
    let unloaded = Arc::new(AtomicBool::new(false));
    let (commands, receiver) = mpsc::channel();
    let (arrivals, arriving) = mpsc::channel();
    {
        let (commands, text, info) = (commands.clone(), Arc::clone(&text), model_info.clone());
        thread::Builder::new()
            .name("mlxengine-text".to_owned())
            .spawn(move || prepare_all(&arriving, &commands, &text, &info))
            .map_err(thread_error)?;
    }
    let mut fields = FieldSet::GENERATION.with_all(chat_fields(&text));
    if !text.has_chat_template() {
        fields = fields.without(Field::Messages);
    }
    let capabilities = Capabilities::default()
        .with_fields(fields)
        .with_concurrent_generations(settings.max_concurrent.max(1))
        .with_simulated(model_info.backend.simulated)
        .with_embeddings(settings.embedding.is_some());
    let scheduler = Scheduler::new(
        Guarded::new(
            model,
            model_info.backend.name.clone(),
            Arc::clone(&unloaded),
        ),
        cache,
        on_device,
        settings.prefill_chunk,
        settings.max_concurrent,
    );
    let handle = Handle {
        name: settings.name.as_str().into(),
        info: EngineInfo {
            name: settings.name,
            path: settings.path,
            model: model_info,
            load_time: begun.elapsed(),
        },
        capabilities,
        text,
        embedding: settings.embedding,
        arrivals,
        commands,
        unloaded,
    };
    Ok((handle, scheduler, receiver))
}

fn thread_error(error: std::io::Error) -> Error {
    Error::backend("chosen", "start a thread for the model", error)
}

fn load_error(reason: impl Into<String>) -> Error {
    Error::backend("chosen", "load the model", reason.into())
}
