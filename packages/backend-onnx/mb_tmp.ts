import { acquireEnvironment } from "./ffi/environment.ts";
import { newSession } from "./ffi/session.ts";
import { valueOver } from "./ffi/value.ts";
import { encodeModel } from "./model/encode.ts";
import type { OnnxNode } from "./model/description.ts";
const env = acquireEnvironment({ threads: 2 });
type V = Record<string, number[]>;
const ty = (shape: number[]) => ({ dtype: "float32" as const, shape });
async function bench(label: string, ins: V, out: V, nodes: OnnxNode[], flop: number) {
  const v = (x: V) => Object.entries(x).map(([name, shape]) => ({ name, type: "float32" as const, shape }));
  const model = encodeModel({ name: "t", inputs: v(ins), outputs: v(out), initializers: [], nodes });
  let s;
  try { s = await newSession(env, model, { inputNames: Object.keys(ins), outputNames: Object.keys(out), outputTypes: Object.values(out).map(ty) }); }
  catch (e) { console.log(label, String(e).slice(0, 150)); return; }
  const vals = Object.values(ins).map((sh) => { const a = new Float32Array(sh.reduce((p, n) => p * n, 1)); for (let i = 0; i < a.length; i++) a[i] = Math.sin(i); return valueOver(env, ty(sh), a); });
  const times: number[] = []; const end = performance.now() + 900;
  while (times.length < 4 || (performance.now() < end && times.length < 60)) {
    const t = performance.now(); const o = await s.run(vals, Object.keys(out).map(() => null)); times.push(performance.now() - t); o.forEach((x) => x.release());
  }
  times.sort((a, b) => a - b); const med = times[times.length >> 1]!;
  console.log(label.padEnd(46), (flop / med / 1e6).toFixed(0).padStart(6), "GFLOP/s", med.toFixed(2), "ms", "best", (flop/times[0]!/1e6).toFixed(0));
  await s.release(); vals.forEach((x) => x.release());
}
const n = (op: string, inputs: string[], outputs: string[], attributes: OnnxNode["attributes"] = {}, domain: OnnxNode["domain"] = ""): OnnxNode => ({ op, domain, inputs, outputs, attributes });
const ms = "com.microsoft" as const;
const which = Deno.args[0];
if (which === "a") for (const [K, N] of [[1024, 1024], [1024, 4096], [4096, 1024], [2304, 2304]] as const) {
  const M = 512, f = 2 * M * N * K;
  console.log(`M=${M} K=${K} N=${N}`);
  await bench("xWt Gemm transB", { x: [M, K], w: [N, K] }, { y: [M, N] }, [n("Gemm", ["x", "w"], ["y"], { transB: 1 })], f);
  await bench("xWt FusedMatMul transB", { x: [M, K], w: [N, K] }, { y: [M, N] }, [n("FusedMatMul", ["x", "w"], ["y"], { transB: 1 }, ms)], f);
  await bench("xW MatMul", { x: [M, K], w: [K, N] }, { y: [M, N] }, [n("MatMul", ["x", "w"], ["y"])], f);
  await bench("xW Gemm", { x: [M, K], w: [K, N] }, { y: [M, N] }, [n("Gemm", ["x", "w"], ["y"])], f);
  await bench("xW FusedMatMul", { x: [M, K], w: [K, N] }, { y: [M, N] }, [n("FusedMatMul", ["x", "w"], ["y"], { }, ms)], f);
  await bench("dW=xT y Gemm transA", { x: [M, K], g: [M, N] }, { y: [K, N] }, [n("Gemm", ["x", "g"], ["y"], { transA: 1 })], f);
  await bench("dW FusedMatMul transA", { x: [M, K], g: [M, N] }, { y: [K, N] }, [n("FusedMatMul", ["x", "g"], ["y"], { transA: 1 }, ms)], f);
}
if (which === "l") for (const r of [8]) for (const K of [1024, 2304]) {
  const M = 512, f = 2 * M * r * K;
  console.log(`M=${M} K=${K} r=${r}`);
  await bench("xA[r,K]^T Gemm transB", { x: [M, K], w: [r, K] }, { y: [M, r] }, [n("Gemm", ["x", "w"], ["y"], { transB: 1 })], f);
  await bench("xA[K,r] Gemm", { x: [M, K], w: [K, r] }, { y: [M, r] }, [n("Gemm", ["x", "w"], ["y"])], f);
  await bench("xA[K,r] MatMul", { x: [M, K], w: [K, r] }, { y: [M, r] }, [n("MatMul", ["x", "w"], ["y"])], f);
  await bench("uB[N,r]^T Gemm transB", { x: [M, r], w: [K, r] }, { y: [M, K] }, [n("Gemm", ["x", "w"], ["y"], { transB: 1 })], f);
  await bench("uB[r,N] Gemm", { x: [M, r], w: [r, K] }, { y: [M, K] }, [n("Gemm", ["x", "w"], ["y"])], f);
  await bench("uB[r,N] MatMul", { x: [M, r], w: [r, K] }, { y: [M, K] }, [n("MatMul", ["x", "w"], ["y"])], f);
  await bench("dA=[K,r] xT du Gemm transA", { x: [M, K], g: [M, r] }, { y: [K, r] }, [n("Gemm", ["x", "g"], ["y"], { transA: 1 })], f);
  await bench("dA=[r,K] duT x Gemm transA", { x: [M, r], g: [M, K] }, { y: [r, K] }, [n("Gemm", ["x", "g"], ["y"], { transA: 1 })], f);
  await bench("dA=[r,K] duT x FusedMatMul transA", { x: [M, r], g: [M, K] }, { y: [r, K] }, [n("FusedMatMul", ["x", "g"], ["y"], { transA: 1 }, ms)], f);
}
if (which === "b") {
  const B = 2, H = 8, T = 256, D = 64, f = 2 * B * H * T * T * D;
  await bench("qk FusedMatMul transB [b,h,t,d]", { q: [B, H, T, D], k: [B, H, T, D] }, { y: [B, H, T, T] }, [n("FusedMatMul", ["q", "k"], ["y"], { transB: 1 }, ms)], f);
  await bench("qk MatMul [b,h,t,d][b,h,d,s]", { q: [B, H, T, D], k: [B, H, D, T] }, { y: [B, H, T, T] }, [n("MatMul", ["q", "k"], ["y"])], f);
  await bench("qk Transpose+MatMul", { q: [B, H, T, D], k: [B, H, T, D] }, { y: [B, H, T, T] }, [n("Transpose", ["k"], ["kt"], { perm: [0, 1, 3, 2] }), n("MatMul", ["q", "kt"], ["y"])], f);
  await bench("pv MatMul", { p: [B, H, T, T], v: [B, H, T, D] }, { y: [B, H, T, D] }, [n("MatMul", ["p", "v"], ["y"])], f);
  await bench("pv Fused transA", { p: [B, H, T, T], v: [B, H, T, D] }, { y: [B, H, T, D] }, [n("FusedMatMul", ["p", "v"], ["y"], { transA: 1 }, ms)], f);
  await bench("Einsum bthd,bshd->bhts", { q: [B, T, H, D], k: [B, T, H, D] }, { y: [B, H, T, T] }, [n("Einsum", ["q", "k"], ["y"], { equation: "bthd,bshd->bhts" })], f);
  await bench("3x Transpose [b,t,h,d]", { q: [B, T, H, D], k: [B, T, H, D] }, { y: [B, H, T, T] }, [n("Transpose", ["q"], ["qt"], { perm: [0, 2, 1, 3] }), n("Transpose", ["k"], ["kt"], { perm: [0, 2, 1, 3] }), n("FusedMatMul", ["qt", "kt"], ["y"], { transB: 1 }, ms)], f);
  await bench("B=1 transBatch [t,h,d]", { q: [2*T, H, D], k: [2*T, H, D] }, { y: [H, 2*T, 2*T] }, [n("FusedMatMul", ["q", "k"], ["y"], { transBatchA: 1, transBatchB: 1, transB: 1 }, ms)], 2 * f);
  await bench("B=1 transposes [t,h,d]", { q: [2*T, H, D], k: [2*T, H, D] }, { y: [H, 2*T, 2*T] }, [n("Transpose", ["q"], ["qt"], { perm: [1, 0, 2] }), n("Transpose", ["k"], ["kt"], { perm: [1, 0, 2] }), n("FusedMatMul", ["qt", "kt"], ["y"], { transB: 1 }, ms)], 2 * f);
}
