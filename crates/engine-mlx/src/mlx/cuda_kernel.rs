//! CUDA kernels that MLX compiles from their source as it runs.

use std::ffi::{CStr, CString};

use mlx_rs::{Array, Dtype, Stream, error::Exception};

use super::exception::MlxResult;

/// A kernel, by its source.
#[derive(Debug)]
pub(super) struct CudaKernel(mlx_sys::mlx_fast_cuda_kernel);

/// What a kernel is made from.
#[derive(Clone, Copy, Debug)]
pub(super) struct CudaSource<'a> {
    pub(super) name: &'a CStr,
    /// What stands before the kernel. MLX searches the body at every start, so all that is long
    /// belongs here.
    pub(super) header: &'a str,
    /// The body: its parameters are the inputs, their shapes as `<input>_shape`, and the output.
    pub(super) body: &'a CStr,
    pub(super) inputs: &'a [&'a CStr],
    pub(super) output: &'a CStr,
}

impl CudaKernel {
    #[expect(unsafe_code, reason = "mlx-c")]
    pub(super) fn new(source: &CudaSource<'_>) -> MlxResult<Self> {
        let header =
            CString::new(source.header).map_err(|error| Exception::custom(error.to_string()))?;
        let mut inputs: Vec<_> = source.inputs.iter().map(|name| name.as_ptr()).collect();
        // SAFETY: all strings outlive the calls, which copy them; the lists are made and freed
        // here.
        let kernel = unsafe {
            let names = mlx_sys::mlx_vector_string_new_data(inputs.as_mut_ptr(), inputs.len());
            let output = mlx_sys::mlx_vector_string_new_value(source.output.as_ptr());
            let kernel = mlx_sys::mlx_fast_cuda_kernel_new(
                source.name.as_ptr(),
                names,
                output,
                source.body.as_ptr(),
                header.as_ptr(),
                true,
                0,
            );
            mlx_sys::mlx_vector_string_free(names);
            mlx_sys::mlx_vector_string_free(output);
            kernel
        };
        if kernel.ctx.is_null() {
            return Err(Exception::custom("MLX took no kernel for CUDA"));
        }
        Ok(Self(kernel))
    }

    /// The output for these inputs, on the stream of the running scope.
    #[expect(unsafe_code, reason = "mlx-c")]
    pub(super) fn apply(&self, launch: &CudaLaunch, inputs: &[&Array]) -> MlxResult<Array> {
        let inputs: Vec<_> = inputs.iter().map(|input| input.as_ptr()).collect();
        let stream = Stream::thread_local_or_default();
        // SAFETY: kernel, launch, inputs and stream are valid for as long as the values borrowed
        // here live; the lists are made and freed here, and the array is owned by what is returned.
        let (status, output) = unsafe {
            let given = mlx_sys::mlx_vector_array_new_data(inputs.as_ptr(), inputs.len());
            let mut outputs = mlx_sys::mlx_vector_array_new();
            let mut output = mlx_sys::mlx_array_new();
            let mut status = mlx_sys::mlx_fast_cuda_kernel_apply(
                &raw mut outputs,
                self.0,
                given,
                launch.0,
                stream.as_ptr(),
            );
            if status == 0 {
                status = mlx_sys::mlx_vector_array_get(&raw mut output, outputs, 0);
            }
            mlx_sys::mlx_vector_array_free(given);
            mlx_sys::mlx_vector_array_free(outputs);
            (status, Array::from_ptr(output))
        };
        match status {
            0 => Ok(output),
            _ => Err(Exception::custom("MLX did not start a kernel for CUDA")),
        }
    }
}

impl Drop for CudaKernel {
    #[expect(unsafe_code, reason = "mlx-c")]
    fn drop(&mut self) {
        // SAFETY: the handle is valid and used no more.
        unsafe { mlx_sys::mlx_fast_cuda_kernel_free(self.0) }
    }
}

/// How a kernel is started, and what it gives.
#[derive(Debug)]
pub(super) struct CudaLaunch(mlx_sys::mlx_fast_cuda_kernel_config);

/// See [`CudaLaunch::new`].
#[derive(Clone, Copy, Debug)]
pub(super) struct CudaShape<'a> {
    /// Threads in all, and in a block.
    pub(super) threads: [i32; 3],
    pub(super) block: [i32; 3],
    pub(super) output: &'a [i32],
    pub(super) dtype: Dtype,
    /// Names in the source that stand for types and for numbers.
    pub(super) types: &'a [(&'a CStr, Dtype)],
    pub(super) numbers: &'a [(&'a CStr, i32)],
}

impl CudaLaunch {
    #[expect(unsafe_code, reason = "mlx-c")]
    pub(super) fn new(shape: &CudaShape<'_>) -> MlxResult<Self> {
        // SAFETY: the handle is made here and owned by the value; strings and shapes outlive the
        // calls, which copy them.
        let (launch, status) = unsafe {
            let launch = Self(mlx_sys::mlx_fast_cuda_kernel_config_new());
            let config = launch.0;
            let [x, y, z] = shape.threads;
            let mut status = mlx_sys::mlx_fast_cuda_kernel_config_set_grid(config, x, y, z);
            let [x, y, z] = shape.block;
            status |= mlx_sys::mlx_fast_cuda_kernel_config_set_thread_group(config, x, y, z);
            status |= mlx_sys::mlx_fast_cuda_kernel_config_add_output_arg(
                config,
                shape.output.as_ptr(),
                shape.output.len(),
                shape.dtype.into(),
            );
            for (name, dtype) in shape.types {
                status |= mlx_sys::mlx_fast_cuda_kernel_config_add_template_arg_dtype(
                    config,
                    name.as_ptr(),
                    (*dtype).into(),
                );
            }
            for (name, number) in shape.numbers {
                status |= mlx_sys::mlx_fast_cuda_kernel_config_add_template_arg_int(
                    config,
                    name.as_ptr(),
                    *number,
                );
            }
            (launch, status)
        };
        match status {
            0 => Ok(launch),
            _ => Err(Exception::custom("MLX took no plan for a kernel for CUDA")),
        }
    }
}

impl Drop for CudaLaunch {
    #[expect(unsafe_code, reason = "mlx-c")]
    fn drop(&mut self) {
        // SAFETY: the handle is valid and used no more.
        unsafe { mlx_sys::mlx_fast_cuda_kernel_config_free(self.0) }
    }
}
