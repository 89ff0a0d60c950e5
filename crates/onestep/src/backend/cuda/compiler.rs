//! From CUDA C++ to machine code: NVRTC, with what it made kept on disk.

use std::ffi::{CStr, CString};

use cudarc::nvrtc::result as nvrtc;
use cudarc::nvrtc::sys;

use crate::backend::cache::Cache;
use crate::error::{Error, Result};

/// Whether there is a compiler, or why not.
pub(super) fn present() -> Result<()> {
    // SAFETY: looks for a shared library by name.
    match unsafe { sys::is_culib_present() } {
        true => Ok(()),
        false => Err(Error::device(
            "there is no NVRTC (libnvrtc.so), which CUDA devices need to compile their kernels; install the CUDA \
             toolkit or NVIDIA's package cuda-nvrtc, and let the system's loader find it (LD_LIBRARY_PATH)",
        )),
    }
}

fn failed(doing: &str, e: nvrtc::NvrtcError) -> Error {
    Error::device(format!("NVRTC could not {doing}: {:?}", e.0))
}

/// The compiler's version, as one number.
fn version() -> Result<usize> {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: writes two numbers.
    unsafe { sys::nvrtcVersion(&mut major, &mut minor) }.result().map_err(|e| failed("tell its version", e))?;
    Ok((1000 * major + 10 * minor) as usize)
}

/// Machine code of a text for a compute capability (90 for 9.0): from the cache, or compiled and cached. The compiler
/// must be [`present`].
pub(super) fn compile(text: &str, architecture: usize, cache: &Cache) -> Result<Vec<u8>> {
    let version = version()?;
    let key = format!("nvrtc {version}, sm_{architecture}, {}\n{text}", OPTIONS.join(" "));
    if let Some(code) = cache.find(&key) {
        return Ok(code);
    }
    let code = compile_now(text, architecture)?;
    cache.keep(&key, &code);
    Ok(code)
}

/// What besides the architecture is asked of the compiler: no fast-math, whose results would depend on it.
const OPTIONS: [&str; 1] = ["--std=c++17"];

fn compile_now(text: &str, architecture: usize) -> Result<Vec<u8>> {
    let source = CString::new(text).map_err(|_| Error::device("a kernel's text holds a zero byte"))?;
    let program = Program::new(&source)?;
    let mut options = vec![format!("--gpu-architecture=sm_{architecture}")];
    options.extend(OPTIONS.iter().map(|o| o.to_string()));
    // SAFETY: the program is alive.
    if let Err(e) = unsafe { nvrtc::compile_program(program.0, &options) } {
        return Err(Error::device(format!("NVRTC could not compile a kernel: {:?}\n{}", e.0, program.log())));
    }
    program.code()
}

/// A program that is given back.
struct Program(sys::nvrtcProgram);

impl Program {
    fn new(source: &CStr) -> Result<Self> {
        nvrtc::create_program(source, None).map(Program).map_err(|e| failed("take a program", e))
    }

    fn log(&self) -> String {
        // SAFETY: the program is alive.
        let log = unsafe { nvrtc::get_program_log(self.0) }.unwrap_or_default();
        let bytes: Vec<u8> = log.into_iter().map(|c| c as u8).take_while(|&c| c != 0).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn code(&self) -> Result<Vec<u8>> {
        let mut size = 0;
        // SAFETY: the program is alive and compiled; the size is written.
        unsafe { sys::nvrtcGetCUBINSize(self.0, &mut size) }.result().map_err(|e| failed("give its code", e))?;
        let mut code = vec![0u8; size];
        // SAFETY: there is room for so many bytes.
        unsafe { sys::nvrtcGetCUBIN(self.0, code.as_mut_ptr().cast()) }
            .result()
            .map_err(|e| failed("give its code", e))?;
        Ok(code)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: made by this value and destroyed once.
        let _ = unsafe { nvrtc::destroy_program(self.0) };
    }
}
