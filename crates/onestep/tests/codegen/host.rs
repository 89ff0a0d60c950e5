//! Runs printed CUDA C++ on the host: a C++ compiler, a shim for what CUDA adds to the language, and a program
//! that walks the launches of each plan, contractions as tiles.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use onestep::codegen::{Bound, Language, Source, Tiling, launches, print_tiled, scratch_bytes};
use onestep::ir::Literal;
use onestep::plan::{BufferId, Place, Plan};
use onestep::testing::OpCase;

/// Programs in a file: compilers take more than linear time.
const CHUNK: usize = 100;

/// Outputs, and states after the step.
pub type After = (Vec<Literal>, Vec<Literal>);

/// A program with its plan.
pub struct Job {
    pub case: OpCase,
    pub plan: Plan,
}

/// What tiles may use: little on the host, which runs blocks one after the other.
pub const HOST: Tiling = Tiling::new(8, 48 << 10);
pub const GPU: Tiling = Tiling::new(132, 48 << 10);

/// Each launch of a plan: its kernels in order, and the bytes of their scratch memory.
fn work(plan: &Plan, tiling: Tiling) -> Vec<(Vec<Source>, usize)> {
    let work = |range| {
        let bytes = scratch_bytes(plan, &range, tiling);
        (print_tiled(plan, range, tiling, Language::Cuda).unwrap(), bytes)
    };
    launches(plan).into_iter().map(work).collect()
}

/// The C++ compiler, or why there is none.
pub fn compiler() -> Result<String, String> {
    let name = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    match Command::new(&name).arg("--version").output() {
        Ok(out) if out.status.success() => Ok(name),
        Ok(out) => Err(format!("`{name} --version` says {}", out.status)),
        Err(e) => Err(format!("`{name}`: {e}")),
    }
}

/// Writes the kernels of all jobs as files for a CUDA compiler.
pub fn write_cuda(folder: &Path, jobs: &[Job]) {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).unwrap();
    for (i, chunk) in jobs.chunks(CHUNK).enumerate() {
        let (mut helpers, mut kernels) = (Vec::new(), String::new());
        for (j, job) in chunk.iter().enumerate() {
            let sources: Vec<Source> = work(&job.plan, GPU).into_iter().flat_map(|w| w.0).collect();
            helpers.extend(sources.iter().flat_map(|s| s.helpers.clone()));
            let own: String = sources.iter().map(|s| s.kernel.replace("extern \"C\" ", "")).collect();
            let _ = write!(kernels, "namespace job{j} {{\n{own}}}\n");
        }
        fs::write(folder.join(format!("jobs{i}.cu")), distinct(helpers).join("\n") + &kernels).unwrap();
    }
}

/// Each text once, in the order of their first places.
fn distinct(texts: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    texts.into_iter().filter(|t| seen.insert(t.clone())).collect()
}

/// Compiles and runs all jobs, and gives each one's outputs and states after the step.
pub fn run(compiler: &str, folder: &Path, jobs: &[Job]) -> Vec<After> {
    let chunks: Vec<(usize, &[Job])> = jobs.chunks(CHUNK).enumerate().collect();
    let next = AtomicUsize::new(0);
    let done: Vec<Mutex<Vec<After>>> = chunks.iter().map(|_| Mutex::default()).collect();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, |n| n.get()) {
            scope.spawn(|| {
                while let Some((i, chunk)) = chunks.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
                    *done[i].lock().unwrap() = run_chunk(compiler, &folder.join(format!("jobs{i}")), chunk);
                }
            });
        }
    });
    done.into_iter().flat_map(|results| results.into_inner().unwrap()).collect()
}

fn run_chunk(compiler: &str, stem: &Path, jobs: &[Job]) -> Vec<After> {
    let shim = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/codegen");
    let file = |extension: &str| PathBuf::from(format!("{}.{extension}", stem.display()));
    fs::write(file("cpp"), text(jobs)).unwrap();
    let data: Vec<u8> = jobs.iter().flat_map(|j| filled(j).concat()).collect();
    fs::write(file("in"), data).unwrap();
    // Undefined behaviour traps; floats are computed as written.
    let flags = ["-std=c++17", "-O0", "-fno-strict-aliasing", "-ffp-contract=off", "-fsanitize=undefined"];
    let mut compile = Command::new(compiler);
    compile.args(flags).args(["-fno-sanitize-recover=all", "-fsanitize-undefined-trap-on-error"]);
    compile.arg("-I").arg(&shim).arg("-o").arg(file("exe")).arg(file("cpp"));
    let out = compile.output().unwrap();
    assert!(out.status.success(), "{compile:?}\n{}", String::from_utf8_lossy(&out.stderr));
    let out = Command::new(file("exe")).arg(file("in")).arg(file("out")).output().unwrap();
    assert!(out.status.success(), "{}: {}\n{}", stem.display(), out.status, String::from_utf8_lossy(&out.stderr));
    let written = fs::read(file("out")).unwrap();
    let mut rest = written.as_slice();
    let results = jobs.iter().map(|j| read(j, &mut rest)).collect();
    assert!(rest.is_empty());
    results
}

/// Buffers that have contents before the program runs.
fn filled(job: &Job) -> Vec<Vec<u8>> {
    let contents = |place: &Place| match place {
        Place::Input(i) => Some(job.case.inputs[*i].bytes().to_vec()),
        Place::State(i) => Some(job.case.states[*i].bytes().to_vec()),
        Place::Constant(literal) => Some(literal.bytes().to_vec()),
        Place::Output(_) | Place::Arena(_) => None,
    };
    job.plan.buffers.iter().filter_map(|b| contents(&b.place)).collect()
}

/// Buffers that are read back: outputs in order, then states in order.
fn results(job: &Job) -> Vec<BufferId> {
    let find = |wanted: Place| {
        let at = job.plan.buffers.iter().position(|b| b.place == wanted);
        BufferId(at.unwrap_or_else(|| panic!("{}: no buffer for {wanted:?}", job.case.name)) as u32)
    };
    let outputs = (0..job.case.graph.outputs().len()).map(|i| find(Place::Output(i)));
    outputs.chain((0..job.case.states.len()).map(|i| find(Place::State(i)))).collect()
}

fn read(job: &Job, rest: &mut &[u8]) -> After {
    let graph = &job.case.graph;
    let outputs = graph.outputs().iter().map(|(_, n)| graph.ty(*n));
    let types = outputs.chain(graph.states().iter().map(|d| d.ty.clone()));
    let mut literals: Vec<Literal> = types
        .map(|ty| {
            let (bytes, after) = rest.split_at(ty.shape.elements() * ty.dtype.size());
            *rest = after;
            Literal::from_bytes(ty.dtype, ty.shape, bytes).unwrap()
        })
        .collect();
    let states = literals.split_off(graph.outputs().len());
    (literals, states)
}

/// The C++ of some jobs with a main that runs them in order.
fn text(jobs: &[Job]) -> String {
    let mut text = String::from("#include \"shim.h\"\n");
    let mut main = String::from("int main(int, char** arguments) {\n");
    main.push_str("  FILE* in = fopen(arguments[1], \"rb\");\n  FILE* out = fopen(arguments[2], \"wb\");\n");
    let mut helpers: Vec<String> = Vec::new();
    let mut kernels = String::new();
    for (i, job) in jobs.iter().enumerate() {
        let _ = writeln!(kernels, "namespace job{i} {{  // {}", job.case.name);
        let mut calls = String::new();
        for (n, (sources, workspace)) in work(&job.plan, HOST).into_iter().enumerate() {
            let _ = writeln!(calls, "    char* workspace{n} = host::memory({workspace});");
            for source in sources {
                helpers.extend(source.helpers.clone());
                kernels.push_str(&source.kernel.replace("extern \"C\" ", "static "));
                calls.push_str(&call(&format!("job{i}"), &source, n));
            }
            let _ = writeln!(calls, "    free(workspace{n});");
        }
        kernels.push_str("}\n");
        main.push_str(&body(job, &calls));
    }
    main.push_str("  return fclose(out);\n}\n");
    text.push_str(
        "struct Pointer {\n  char* at;\n  template <typename T> operator T*() const { return (T*)at; }\n};\n",
    );
    text.push_str("static Pointer p(char* at) { return Pointer{at}; }\n");
    // Those in assembly are the shim's.
    helpers.retain(|helper| helper.contains("__CUDA_ARCH__") || !helper.contains("asm"));
    text.push_str(&distinct(helpers).join("\n"));
    text.push_str(&kernels);
    text + &main
}

/// The statement that launches a kernel with the scratch memory of a number.
fn call(space: &str, source: &Source, workspace: usize) -> String {
    let pointer = |bound| match bound {
        Bound::Buffer(id) => format!("p(b{})", id.0),
        Bound::Arena { start, .. } => format!("p(arena + {start})"),
        Bound::Workspace => format!("p(workspace{workspace})"),
    };
    let pointers: Vec<String> = source.bindings.iter().map(|b| pointer(b.bound)).collect();
    let barriers = source.kernel.contains("__s");
    let ([x, y, z], threads, entry) = (source.groups, source.threads, &source.entry);
    assert_eq!((y, z), (1, 1));
    format!("    host::launch({x}, {threads}, {barriers}, [&] {{ {space}::{entry}({}); }});\n", pointers.join(", "))
}

/// The statements that run one job.
fn body(job: &Job, calls: &str) -> String {
    let mut text = String::from("  {\n");
    let _ = writeln!(text, "    char* arena = host::memory({});", job.plan.arena_bytes);
    for (i, buffer) in job.plan.buffers.iter().enumerate() {
        let bytes = buffer.bytes();
        let memory = match buffer.place {
            Place::Input(_) | Place::State(_) | Place::Constant(_) => format!("host::filled({bytes}, in)"),
            Place::Output(_) => format!("host::memory({bytes})"),
            Place::Arena(Some(offset)) => format!("arena + {offset}"),
            Place::Arena(None) => continue,
        };
        let _ = writeln!(text, "    char* b{i} = {memory};");
    }
    text.push_str(calls);
    for id in results(job) {
        let _ = writeln!(text, "    fwrite(b{}, 1, {}, out);", id.0, job.plan.buffer(id).bytes());
    }
    for (i, buffer) in job.plan.buffers.iter().enumerate() {
        if !matches!(buffer.place, Place::Arena(_)) {
            let _ = writeln!(text, "    free(b{i});");
        }
    }
    text + "    free(arena);\n  }\n"
}
