//! The gate of feed-forward layers.

use std::{cell::RefCell, fmt, rc::Rc};

use mlx_rs::{Array, ops::sigmoid, transforms::compile::compile};

use super::{device::Device, exception::MlxResult};

type Kernel = Box<dyn for<'a> FnMut((&'a Array, &'a Array)) -> MlxResult<Array>>;

/// `silu(gate) * up` (<https://arxiv.org/abs/2002.05202>).
///
/// A GPU does it in one kernel, which MLX compiles at the first call. On the processor MLX would
/// need a C++ compiler for that, so there it takes three.
#[derive(Clone)]
pub(super) struct Swiglu(Option<Rc<RefCell<Kernel>>>);

impl Swiglu {
    pub(super) fn new(device: &Device) -> Self {
        let compiled = (!device.is_cpu()).then(|| {
            let kernel: Kernel = Box::new(compile(plain, true));
            Rc::new(RefCell::new(kernel))
        });
        Self(compiled)
    }

    /// Two arrays of one shape to the same.
    pub(super) fn forward(&self, gate: &Array, up: &Array) -> MlxResult<Array> {
        match &self.0 {
            // A model computes on one thread and never inside of its own kernels.
            Some(compiled) => (compiled.borrow_mut())((gate, up)),
            None => plain((gate, up)),
        }
    }
}

fn plain((gate, up): (&Array, &Array)) -> MlxResult<Array> {
    gate.multiply(sigmoid(gate)?)?.multiply(up)
}

impl fmt::Debug for Swiglu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Swiglu")
            .field(&self.0.as_ref().map(|_| "compiled"))
            .finish()
    }
}
