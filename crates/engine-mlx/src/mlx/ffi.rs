//! The few functions of mlx-c that `mlx_rs` does not wrap.
//!
//! `mlx_rs` installs its error handler at its first operation, and mlx-c's own handler ends the
//! process: [`install_error_handler`] comes before everything else.

use std::ffi::{CStr, CString};

use mlx_rs::{Device, DeviceType, Stream, error::Exception};

use super::exception::MlxResult;

/// Makes MLX's failures values of this thread instead of the end of the process.
pub(super) fn install_error_handler() -> MlxResult<()> {
    // Any operation that can fail installs it; this one costs nothing.
    mlx_rs::memory::active_memory().map(drop)
}

/// A stream of the processor that may serve one thread after another.
///
/// MLX keeps a thread for every stream of the processor until the process ends, and its ordinary
/// streams serve only the thread that made them: without such streams every load would leave a
/// thread behind.
pub(super) struct RoamingStream(mlx_sys::mlx_stream);

// SAFETY: MLX registers streams of this kind for all threads; whoever holds the value is the only
// one to use the stream, and it is handed on only after its work is done.
#[expect(unsafe_code, reason = "a raw handle of mlx-c")]
unsafe impl Send for RoamingStream {}

impl RoamingStream {
    #[expect(unsafe_code, reason = "mlx-c")]
    pub(super) fn new() -> MlxResult<Self> {
        install_error_handler()?;
        // SAFETY: the device is made, used and freed here; the stream is checked before use.
        let stream = unsafe {
            let device = mlx_sys::mlx_device_new_type(mlx_sys::mlx_device_type__MLX_CPU, 0);
            let stream = mlx_sys::mlx_stream_new_thread_unsafe(device);
            mlx_sys::mlx_device_free(device);
            stream
        };
        if stream.ctx.is_null() {
            return Err(Exception::custom("MLX made no stream for the processor"));
        }
        Ok(Self(stream))
    }

    /// The stream as `mlx_rs` has it. It becomes this thread's default stream of the processor,
    /// which is the only way to such a value.
    #[expect(unsafe_code, reason = "mlx-c")]
    pub(super) fn as_default(&self) -> MlxResult<Stream> {
        // SAFETY: the handle is valid for as long as `self` lives.
        let status = unsafe { mlx_sys::mlx_set_default_stream(self.0) };
        if status != 0 {
            return Err(Exception::custom("MLX refused a stream of the processor"));
        }
        Stream::try_default_on_device(&Device::cpu())
    }
}

/// Waits until all work on the stream is done.
#[expect(unsafe_code, reason = "mlx-c")]
pub(super) fn synchronize(stream: &Stream) -> MlxResult<()> {
    // SAFETY: the handle is valid for as long as `stream` lives.
    match unsafe { mlx_sys::mlx_synchronize(stream.as_ptr()) } {
        0 => Ok(()),
        _ => Err(Exception::custom("MLX could not wait for its work")),
    }
}

/// Whether this build of MLX has a GPU that answers.
#[expect(unsafe_code, reason = "mlx-c")]
pub(super) fn gpu_is_available() -> bool {
    if install_error_handler().is_err() {
        return false;
    }
    let mut available = false;
    // SAFETY: the device is made, used and freed here; the flag outlives the call.
    let status = unsafe {
        let device = mlx_sys::mlx_device_new_type(mlx_sys::mlx_device_type__MLX_GPU, 0);
        let status = mlx_sys::mlx_device_is_available(&raw mut available, device);
        mlx_sys::mlx_device_free(device);
        status
    };
    status == 0 && available
}

/// What the device calls itself.
#[expect(unsafe_code, reason = "mlx-c")]
pub(super) fn device_name(kind: DeviceType) -> Option<String> {
    let key = CString::new("device_name").ok()?;
    // SAFETY: device and info are made, used and freed here; the name is copied while the info
    // that owns it lives.
    unsafe {
        let device = mlx_sys::mlx_device_new_type(kind.into(), 0);
        let mut info = mlx_sys::mlx_device_info_new();
        let mut value = std::ptr::null();
        let known = mlx_sys::mlx_device_info_get(&raw mut info, device) == 0
            && mlx_sys::mlx_device_info_get_string(&raw mut value, info, key.as_ptr()) == 0
            && !value.is_null();
        let name = known.then(|| CStr::from_ptr(value).to_string_lossy().into_owned());
        mlx_sys::mlx_device_info_free(info);
        mlx_sys::mlx_device_free(device);
        name
    }
}

/// The version of MLX that is linked.
#[expect(unsafe_code, reason = "mlx-c")]
pub(super) fn version() -> Option<String> {
    // SAFETY: the string is made, read and freed here.
    unsafe {
        let mut text = mlx_sys::mlx_string_new();
        let known = mlx_sys::mlx_version(&raw mut text) == 0;
        let data = mlx_sys::mlx_string_data(text);
        let version =
            (known && !data.is_null()).then(|| CStr::from_ptr(data).to_string_lossy().into_owned());
        mlx_sys::mlx_string_free(text);
        version
    }
}
