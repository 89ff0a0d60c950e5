//! For tests on adapters without cooperative matrices: a kernel's text with these computed by the threads of a subgroup,
//! each for eight elements of a matrix. Slow and obvious; what the kernel does besides is its own text.

/// What stands in for the extension, with loops that no compiler unrolls. A matrix that was loaded is where it lies, its
/// stride, and whether that is of rows.
const FUNCTIONS: &str = "
fn half_at(at: i32) -> f32 {
  return f32(halves[at / 4][at % 4]);
}
fn multiply_add(a: vec3<i32>, b: vec3<i32>, sum: ptr<function, array<f32, 8>>, lane: i32) {
  for (var e = 0; e < 8 + lane / 32; e++) {
    let row = (lane * 8 + e) / 16;
    let column = (lane * 8 + e) % 16;
    for (var k = 0; k < 16 + lane / 32; k++) {
      let left = half_at(a.x + select(k * a.y + row, row * a.y + k, a.z == 1));
      let right = half_at(b.x + select(column * b.y + k, k * b.y + column, b.z == 1));
      (*sum)[e] += left * right;
    }
  }
}
fn store_rows(sum: ptr<function, array<f32, 8>>, first: i32, stride: i32, lane: i32) {
  for (var e = 0; e < 8 + lane / 32; e++) {
    let at = first + (lane * 8 + e) / 16 * stride + (lane * 8 + e) % 16;
    staged[at / 4][at % 4] = (*sum)[e];
  }
}
";

/// The text without the extension.
pub(super) fn by_threads(text: &str) -> String {
    if !text.contains("enable wgpu_cooperative_matrix;") {
        return text.into();
    }
    let between = |line: &str, from: &str, to: &str| -> String {
        let rest = line.split_once(from).expect("a line of a cooperative kernel").1;
        rest.split_once(to).expect("a line of a cooperative kernel").0.trim().into()
    };
    let line = |line: &str| match line.trim() {
        "enable wgpu_cooperative_matrix;" => String::new(),
        l if l.starts_with("fn k") => {
            let numbers = "  let subgroup = local / 32u;\n  let lane = i32(local % 32u);";
            format!("{}\n{numbers}", line.replace("@builtin(subgroup_id) subgroup: u32, ", ""))
        }
        l if l.contains(": coop_mat") => format!("{}: array<f32, 8>;", l.split(':').next().unwrap_or_default()),
        l if l.contains("= coopLoad") => {
            let (at, stride) = (between(l, "halves[", "]"), between(l, "],", "u)"));
            let rows = i32::from(l.contains("coopLoadT"));
            format!("let {} = vec3<i32>({at} * 4, {stride} * 4, {rows});", between(l, "let", "="))
        }
        l if l.contains("= coopMultiplyAdd") => {
            let (a, b) = (between(l, "(", ","), between(l, ",", ","));
            format!("multiply_add({a}, {b}, &{}, lane);", between(l, "", "="))
        }
        l if l.starts_with("coopStoreT") => {
            let (sum, at, stride) = (between(l, "(", ","), between(l, "staged[", "]"), between(l, "],", "u)"));
            format!("store_rows(&{sum}, {at} * 4, {stride} * 4, lane);")
        }
        _ => line.into(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n") + FUNCTIONS
}
