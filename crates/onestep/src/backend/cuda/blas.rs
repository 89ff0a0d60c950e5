//! Large matrix products: cuBLASLt, found at run time. Of the algorithms that it proposes for a product the fastest
//! is measured once, and remembered by the process and on disk: the same product always runs the same algorithm.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::sync::{Arc, OnceLock};

use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys;
use cudarc::driver::sys::CUstream;

use super::Shared;
use super::driver::Gpu;
use super::tune::{self, Probe};
use crate::backend::cache::Chosen;
use crate::backend::memory::Purpose;
use crate::error::{Error, Result};
use crate::ir::DType;
use crate::plan::{BlasMatrix, BlasProduct, Operand};

/// Algorithms that are measured for a product, and how many are asked for where not all may be used.
const CANDIDATES: usize = 8;
const PROPOSALS: usize = 32;
/// Most scratch memory of a product: a copy of its results in f32 for each so many steps of the sum, or so many at least,
/// but neither less than few results want nor more than what NVIDIA recommends for its largest GPUs.
const SHORTEST_PART: usize = 32;
const LEAST_COPIES: usize = 4;
const LEAST_WORKSPACE: usize = 8 << 20;
const WORKSPACE: usize = 32 << 20;
/// The first version whose functions are as they are called here.
const OLDEST: usize = 110_000;

/// Whether the library is there, in a version that can be used.
pub(super) fn present() -> bool {
    static PRESENT: OnceLock<bool> = OnceLock::new();
    // SAFETY: looks for a shared library by name, and asks it for its version.
    *PRESENT.get_or_init(|| unsafe { sys::is_culib_present() && sys::cublasLtGetVersion() >= OLDEST })
}

/// Bytes of scratch memory that a product takes at most, whichever algorithm it gets.
fn most_workspace(product: &BlasProduct) -> usize {
    let left = &product.left;
    let steps = if left.transposed { left.rows } else { left.columns };
    let copies = steps.div_ceil(SHORTEST_PART).max(LEAST_COPIES);
    (copies * result_bytes(product)).clamp(LEAST_WORKSPACE, WORKSPACE)
}

/// The same with the results that it writes, and the NaN that it may read, while algorithms are measured.
pub(super) fn most_scratch(product: &BlasProduct) -> usize {
    let probe = if product.epilogue.relu { probe_bytes(product) } else { 0 };
    most_workspace(product) + result_bytes(product) + probe
}

fn result_bytes(product: &BlasProduct) -> usize {
    product.batch * product.out.rows * product.out.columns * DType::F32.size()
}

fn failed(doing: &str, e: CublasError) -> Error {
    Error::device(format!("cuBLASLt could not {doing}: {:?}", e.0))
}

/// The library on a GPU.
pub(super) struct Blas {
    handle: sys::cublasLtHandle_t,
    version: usize,
    gpu: Arc<Gpu>,
    /// What was chosen for which product.
    chosen: Chosen<Algorithm>,
}

// SAFETY: the library's functions may be called from any thread with one handle; the GPU's context is made current
// before.
unsafe impl Send for Blas {}
// SAFETY: as above.
unsafe impl Sync for Blas {}

impl Blas {
    /// Opens the library.
    pub(super) fn open(gpu: &Arc<Gpu>) -> Result<Self> {
        if !present() {
            return Err(Error::device(
                "there is no cuBLASLt (libcublasLt.so), which this program's large products were planned for; install \
                 the CUDA toolkit or NVIDIA's package libcublas, and let the system's loader find it (LD_LIBRARY_PATH), \
                 or compile for the device's own target",
            ));
        }
        gpu.enter()?;
        let handle = result::create_handle().map_err(|e| failed("start", e))?;
        // SAFETY: asks for a number.
        let version = unsafe { sys::cublasLtGetVersion() };
        Ok(Blas { handle, version, gpu: gpu.clone(), chosen: Chosen::default() })
    }

    /// The algorithm for a call: the one remembered, or the fastest.
    fn algorithm(&self, shared: &Shared, product: &BlasProduct, call: &Call, with_nan: &WithNan) -> Result<Algorithm> {
        let key = format!("cublaslt {}, {}, {}", self.version, self.gpu.name, call.key(product));
        let usable = |a: &Algorithm| a.workspace <= call.most_workspace && call.takes(self, a);
        self.chosen.find_or(
            &shared.cache,
            &key,
            |bytes| Algorithm::from_bytes(bytes).filter(usable),
            |algorithm| Some(algorithm.to_bytes()),
            || self.fastest(shared, product, call, with_nan, &key),
        )
    }

    /// Measures what the library proposes. What the operands hold does not matter, and nothing of the program's is written.
    fn fastest(
        &self,
        shared: &Shared,
        product: &BlasProduct,
        call: &Call,
        with_nan: &WithNan,
        key: &str,
    ) -> Result<Algorithm> {
        let mut candidates = call.candidates(self, if product.epilogue.relu { PROPOSALS } else { CANDIDATES })?;
        let none = || Error::unsupported(format!("no algorithm for {key}; update the library"));
        let workspace = candidates.iter().map(|c| c.workspace).max().ok_or_else(none)?;
        let out = shared.pool.uninitialised(call.out_bytes, Purpose::Workspace)?;
        let workspace = shared.pool.uninitialised(workspace, Purpose::Workspace)?;
        if product.epilogue.relu {
            let nan = Probe::Nan;
            let (block, dtype) = (nan.block(shared, probe_bytes(product))?, product.out.operand.dtype);
            let call = with_nan(*block.raw())?;
            candidates = nan.passed(shared, dtype, &out, candidates, |candidate| {
                // SAFETY: as below, and so for the block of NaN.
                unsafe { call.queue(self, candidate, *out.raw(), *workspace.raw(), self.gpu.stream()) }
            })?;
        }
        candidates.truncate(CANDIDATES);
        if candidates.is_empty() {
            return Err(none());
        }
        let first = tune::fastest(&self.gpu, candidates.len(), |i| {
            // SAFETY: the operands are the program's, and both blocks are large enough and outlive the wait.
            unsafe { call.queue(self, &candidates[i], *out.raw(), *workspace.raw(), self.gpu.stream()) }
        })?;
        Ok(candidates[first])
    }
}

impl Drop for Blas {
    fn drop(&mut self) {
        if self.gpu.enter().is_ok() {
            // SAFETY: made by this value and destroyed once.
            let _ = unsafe { result::destroy_handle(self.handle) };
        }
    }
}

/// How a product is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Algorithm {
    algorithm: sys::cublasLtMatmulAlgo_t,
    /// Bytes of scratch memory.
    workspace: usize,
}

impl Algorithm {
    fn to_bytes(self) -> Vec<u8> {
        let words = self.algorithm.data.iter().copied().chain([self.workspace as u64]);
        words.flat_map(u64::to_le_bytes).collect()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<8>();
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let (&workspace, data) = words.split_last()?;
        let algorithm = sys::cublasLtMatmulAlgo_t { data: data.try_into().ok()? };
        let workspace = usize::try_from(workspace).ok().filter(|&bytes| bytes <= WORKSPACE)?;
        rest.is_empty().then_some(Algorithm { algorithm, workspace })
    }
}

/// A product of a plan, ready to be queued.
pub(super) struct Product {
    call: Call,
    algorithm: Algorithm,
    workspace: u64,
    blas: Arc<Blas>,
}

impl Product {
    /// A product whose operands lie at the addresses that `address` gives.
    pub(super) fn new(shared: &Shared, product: &BlasProduct, address: impl Fn(&Operand) -> u64) -> Result<Self> {
        let blas = shared.blas()?;
        blas.gpu.enter()?;
        let call = Call::new(product, &address)?;
        let probed = probed(product);
        let with_nan =
            |nan| Call::new(product, &|operand| if std::ptr::eq(operand, probed) { nan } else { address(operand) });
        let algorithm = blas.algorithm(shared, product, &call, &with_nan)?;
        Ok(Product { call, algorithm, workspace: 0, blas: blas.clone() })
    }

    /// Bytes of scratch memory that it needs.
    pub(super) fn workspace_bytes(&self) -> usize {
        self.algorithm.workspace
    }

    /// Gives it its scratch memory.
    pub(super) fn with_workspace(self, workspace: u64) -> Self {
        Product { workspace, ..self }
    }

    /// Queues it once, or has it captured.
    ///
    /// # Safety
    /// Operands and scratch memory must be alive until it is done.
    pub(super) unsafe fn queue(&self, stream: CUstream) -> Result<()> {
        self.blas.gpu.enter()?;
        // SAFETY: promised by the caller.
        unsafe { self.call.queue(&self.blas, &self.algorithm, self.call.out_address, self.workspace, stream) }
    }
}

/// The product with NaN at an address in the place of what it [probes](probed).
type WithNan<'a> = dyn Fn(u64) -> Result<Call> + 'a;

/// An operand that makes all results NaN if it is: small where there is a bias.
fn probed<'a>(product: &'a BlasProduct) -> &'a Operand {
    product.epilogue.bias.as_ref().unwrap_or(product.left.operand)
}

fn probe_bytes(product: &BlasProduct) -> usize {
    let BlasMatrix { columns, leading, batch_stride, .. } = &product.left;
    let elements = match &product.epilogue.bias {
        Some(_) => product.out.rows,
        None => *batch_stride as usize * (product.batch - 1) + leading * columns,
    };
    elements * product.left.operand.dtype.size().max(product.out.operand.dtype.size())
}

/// A product as the library is told of it.
struct Call {
    operation: Operation,
    left: Layout,
    right: Layout,
    out: Layout,
    left_address: u64,
    right_address: u64,
    out_address: u64,
    out_bytes: usize,
    most_workspace: usize,
}

impl Call {
    fn new(product: &BlasProduct, address: &impl Fn(&Operand) -> u64) -> Result<Self> {
        let BlasProduct { batch, left, right, out, .. } = product;
        let last = out.batch_stride as usize * (batch - 1);
        Ok(Call {
            operation: Operation::new(product, address)?,
            left: Layout::new(left, *batch)?,
            right: Layout::new(right, *batch)?,
            out: Layout::new(out, *batch)?,
            left_address: address(left.operand),
            right_address: address(right.operand),
            out_address: address(out.operand),
            out_bytes: (last + out.leading * out.columns) * out.operand.dtype.size(),
            most_workspace: most_workspace(product),
        })
    }

    /// What decides how fast an algorithm is.
    fn key(&self, product: &BlasProduct) -> String {
        let matrix = |m: &BlasMatrix, address| {
            let BlasMatrix { operand, rows, columns, transposed, leading, batch_stride } = m;
            let (dtype, turned) = (operand.dtype, if *transposed { "T" } else { "" });
            format!("{dtype}[{rows}, {columns}]{turned} by {leading}, {batch_stride}, at {}", alignment(address))
        };
        let left = matrix(&product.left, self.left_address);
        let right = matrix(&product.right, self.right_address);
        let out = matrix(&product.out, self.out_address);
        let (bias, relu) = (product.epilogue.bias.is_some(), product.epilogue.relu);
        let rounded = if product.tf32 { ", tf32" } else { "" };
        let relu = if relu { "keeps NaN" } else { "false" };
        format!("{} × ({left}) × ({right}) = ({out}), bias {bias}, relu {relu}{rounded}", product.batch)
    }

    /// What the library proposes, at most so many, best first.
    fn candidates(&self, blas: &Blas, most: usize) -> Result<Vec<Algorithm>> {
        use sys::cublasLtMatmulPreferenceAttributes_t as P;
        let preference = Preference::new()?;
        preference.set(P::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &(self.most_workspace as u64))?;
        // Sums of parts are added in a fixed order: no atomics.
        let reduction = sys::cublasLtReductionScheme_t::CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE as u32;
        preference.set(P::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reduction)?;
        preference.set(P::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &alignment(self.left_address))?;
        preference.set(P::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &alignment(self.right_address))?;
        preference.set(P::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &alignment(self.out_address))?;
        preference.set(P::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &alignment(self.out_address))?;
        let mut found = vec![MaybeUninit::<sys::cublasLtMatmulHeuristicResult_t>::uninit(); most];
        let mut count = 0;
        // SAFETY: the descriptors are alive, and there is room for so many results.
        let status = unsafe {
            sys::cublasLtMatmulAlgoGetHeuristic(
                blas.handle,
                self.operation.0,
                self.left.0,
                self.right.0,
                self.out.0,
                self.out.0,
                preference.0,
                most as i32,
                found.as_mut_ptr().cast(),
                &mut count,
            )
        };
        match status {
            sys::cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED => return Ok(Vec::new()),
            other => other.result().map_err(|e| failed("propose algorithms", e))?,
        }
        let count = usize::try_from(count).unwrap_or(0);
        // SAFETY: the library wrote so many.
        let found = found[..count.min(most)].iter().map(|f| unsafe { f.assume_init() });
        let usable = found.filter(|f| f.state == sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS);
        Ok(usable.map(|f| Algorithm { algorithm: f.algo, workspace: f.workspaceSize }).collect())
    }

    /// Whether the library takes an algorithm for it, in as much scratch memory.
    fn takes(&self, blas: &Blas, algorithm: &Algorithm) -> bool {
        let mut found = MaybeUninit::<sys::cublasLtMatmulHeuristicResult_t>::uninit();
        // SAFETY: the descriptors are alive, and the result is written where it succeeds.
        unsafe {
            let (out, algo) = (self.out.0, &algorithm.algorithm);
            let (operation, left, right) = (self.operation.0, self.left.0, self.right.0);
            let to = found.as_mut_ptr();
            sys::cublasLtMatmulAlgoCheck(blas.handle, operation, left, right, out, out, algo, to).result().is_ok()
                && found.assume_init().workspaceSize <= algorithm.workspace
        }
    }

    /// Queues it once.
    ///
    /// # Safety
    /// Operands, results and scratch memory must be alive until it is done, and large enough.
    unsafe fn queue(
        &self,
        blas: &Blas,
        algorithm: &Algorithm,
        out: u64,
        workspace: u64,
        stream: CUstream,
    ) -> Result<()> {
        let (one, zero) = (1f32, 0f32);
        let pointer = |address: u64| address as *mut c_void;
        // SAFETY: promised by the caller; the factors are read before the call returns.
        unsafe {
            result::matmul(
                blas.handle,
                self.operation.0,
                std::ptr::from_ref(&one).cast(),
                std::ptr::from_ref(&zero).cast(),
                pointer(self.left_address),
                self.left.0,
                pointer(self.right_address),
                self.right.0,
                pointer(out),
                self.out.0,
                pointer(out),
                self.out.0,
                &algorithm.algorithm,
                pointer(workspace),
                algorithm.workspace,
                stream.cast(),
            )
        }
        .map_err(|e| failed("multiply", e))
    }
}

/// What an address is a multiple of: a power of two, up to 256.
fn alignment(address: u64) -> u32 {
    1 << address.trailing_zeros().min(8)
}

fn data_type(dtype: DType) -> sys::cudaDataType {
    match dtype {
        DType::BF16 => sys::cudaDataType::CUDA_R_16BF,
        DType::F16 => sys::cudaDataType::CUDA_R_16F,
        DType::F32 => sys::cudaDataType::CUDA_R_32F,
        other => panic!("onestep bug: a product of BLAS with {other}"),
    }
}

/// Hands an attribute's value over as the library takes it.
fn attribute<T>(value: &T, set: impl FnOnce(*const c_void, usize) -> Result<(), CublasError>) -> Result<()> {
    set(std::ptr::from_ref(value).cast(), size_of::<T>()).map_err(|e| failed("take a product's description", e))
}

/// A matrix.
struct Layout(sys::cublasLtMatrixLayout_t);

impl Layout {
    fn new(matrix: &BlasMatrix, batch: usize) -> Result<Self> {
        use sys::cublasLtMatrixLayoutAttribute_t as A;
        let BlasMatrix { operand, rows, columns, leading, batch_stride, .. } = matrix;
        let dtype = data_type(operand.dtype);
        let layout = result::create_matrix_layout(dtype, *rows as u64, *columns as u64, *leading as i64);
        let layout = Layout(layout.map_err(|e| failed("describe a matrix", e))?);
        let batch = i32::try_from(batch).map_err(|_| Error::unsupported(format!("a batch of {batch} products")))?;
        layout.set(A::CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch)?;
        layout.set(A::CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, batch_stride)?;
        Ok(layout)
    }

    fn set<T>(&self, what: sys::cublasLtMatrixLayoutAttribute_t, value: &T) -> Result<()> {
        // SAFETY: the layout is alive.
        attribute(value, |at, bytes| unsafe { result::set_matrix_layout_attribute(self.0, what, at, bytes) })
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        // SAFETY: made by this value and destroyed once.
        let _ = unsafe { result::destroy_matrix_layout(self.0) };
    }
}

/// What is computed from matrices: transposes, and what happens to results.
struct Operation(sys::cublasLtMatmulDesc_t);

impl Operation {
    fn new(product: &BlasProduct, address: &impl Fn(&Operand) -> u64) -> Result<Self> {
        use sys::cublasComputeType_t as C;
        use sys::cublasLtEpilogue_t as E;
        use sys::cublasLtMatmulDescAttributes_t as A;
        let sums = if product.tf32 { C::CUBLAS_COMPUTE_32F_FAST_TF32 } else { C::CUBLAS_COMPUTE_32F };
        let factors = sys::cudaDataType::CUDA_R_32F;
        let operation = result::create_matmul_desc(sums, factors).map_err(|e| failed("describe a product", e))?;
        let operation = Operation(operation);
        operation.set(A::CUBLASLT_MATMUL_DESC_TRANSA, &i32::from(product.left.transposed))?;
        operation.set(A::CUBLASLT_MATMUL_DESC_TRANSB, &i32::from(product.right.transposed))?;
        let epilogue = match (&product.epilogue.bias, product.epilogue.relu) {
            (None, false) => E::CUBLASLT_EPILOGUE_DEFAULT,
            (None, true) => E::CUBLASLT_EPILOGUE_RELU,
            (Some(_), false) => E::CUBLASLT_EPILOGUE_BIAS,
            (Some(_), true) => E::CUBLASLT_EPILOGUE_RELU_BIAS,
        };
        operation.set(A::CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue)?;
        if let Some(bias) = &product.epilogue.bias {
            operation.set(A::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &address(bias))?;
        }
        Ok(operation)
    }

    fn set<T>(&self, what: sys::cublasLtMatmulDescAttributes_t, value: &T) -> Result<()> {
        // SAFETY: the description is alive.
        attribute(value, |at, bytes| unsafe { result::set_matmul_desc_attribute(self.0, what, at, bytes) })
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        // SAFETY: made by this value and destroyed once.
        let _ = unsafe { result::destroy_matmul_desc(self.0) };
    }
}

/// What algorithms may be proposed.
struct Preference(sys::cublasLtMatmulPreference_t);

impl Preference {
    fn new() -> Result<Self> {
        result::create_matmul_pref().map(Preference).map_err(|e| failed("take a preference", e))
    }

    fn set<T>(&self, what: sys::cublasLtMatmulPreferenceAttributes_t, value: &T) -> Result<()> {
        // SAFETY: the preference is alive.
        attribute(value, |at, bytes| unsafe { result::set_matmul_pref_attribute(self.0, what, at, bytes) })
    }
}

impl Drop for Preference {
    fn drop(&mut self) {
        // SAFETY: made by this value and destroyed once.
        let _ = unsafe { result::destroy_matmul_pref(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn algorithms_come_back_from_the_disk_whole_or_not_at_all() {
        let algorithm = Algorithm {
            algorithm: sys::cublasLtMatmulAlgo_t { data: [1, 2, 3, 4, 5, 6, 7, u64::MAX] },
            workspace: WORKSPACE,
        };
        let bytes = algorithm.to_bytes();
        assert_eq!(Algorithm::from_bytes(&bytes), Some(algorithm));
        for length in 0..bytes.len() {
            assert_eq!(Algorithm::from_bytes(&bytes[..length]), None);
        }
        assert_eq!(Algorithm::from_bytes(&[&bytes[..], &[0]].concat()), None);
        let greedy = Algorithm { workspace: WORKSPACE + 1, ..algorithm };
        assert_eq!(Algorithm::from_bytes(&greedy.to_bytes()), None);
    }

    #[test]
    fn alignments_are_powers_of_two() {
        assert_eq!([0x1000, 0x100, 0x180, 0x7f2, 0x7f1].map(alignment), [256, 256, 128, 2, 1]);
    }
}
