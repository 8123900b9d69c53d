//! A place where a mock waits until it is let go.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Holds a mock up until [`Gate::release`], or until the gate is dropped.
///
/// See [`Fault::stall`](crate::Fault::stall) and [`Fault::stall_load`](crate::Fault::stall_load).
#[derive(Debug, Default)]
pub struct Gate {
    door: Arc<Door>,
}

/// The side of a gate that the mock sees.
#[derive(Debug, Default)]
pub(crate) struct Door {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    reached: bool,
    open: bool,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the mock go on, now and whenever it comes here again.
    pub fn release(&self) {
        self.door.change(|state| state.open = true);
    }

    /// Waits until the mock stands at the gate; `false` if it does not come within `patience`.
    pub fn wait_until_reached(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut state = self.door.lock();
        while !state.reached {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self
                .door
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }

    pub(crate) fn door(&self) -> Arc<Door> {
        Arc::clone(&self.door)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.release();
    }
}

impl Door {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits until the gate is open.
    pub(crate) fn pass(&self) {
        self.change(|state| state.reached = true);
        let mut state = self.lock();
        while !state.open {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}
