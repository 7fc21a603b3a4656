import { trace, einsum, rmsNorm, rotaryEmbedding, attention, gelu, gradients, crossEntropy, iota, type Tensor, type TensorType, hostTensor, sizeOf, hostZeros } from "@tessera/core";
import { onnxBackend } from "./backend.ts";
import { prepare, lower, cpuSupport } from "./lowering/lower.ts";
import { printModel } from "./model/print.ts";
const L = Number(Deno.args[0] ?? 2), opt = Number(Deno.args[1] ?? 0), profile = Deno.args[2];
const [B, T, D, N, K, H, F, V, r] = [2, 256, 1024, 8, 4, 128, 4096, 32000, 8];
const f = (...shape: number[]): TensorType => ({ dtype: "float32", shape });
const ins: Record<string, TensorType> = { tokens: { dtype: "int32", shape: [B, T] }, labels: { dtype: "int32", shape: [B, T] }, freq: f(H / 2), embed: f(V, D), fn: f(D) };
for (let l = 0; l < L; l++) Object.assign(ins, { [`n1.${l}`]: f(D), [`n2.${l}`]: f(D), [`n3.${l}`]: f(D), [`n4.${l}`]: f(D), [`q.${l}`]: f(N, H, D), [`k.${l}`]: f(K, H, D), [`v.${l}`]: f(K, H, D), [`o.${l}`]: f(D, N, H), [`g.${l}`]: f(F, D), [`u.${l}`]: f(F, D), [`d.${l}`]: f(D, F), [`qa.${l}`]: f(D, r), [`qb.${l}`]: f(r, N, H), [`va.${l}`]: f(D, r), [`vb.${l}`]: f(r, K, H) });
const train = Object.keys(ins).filter((k) => /[qv][ab]\./.test(k));
const all = [...train.map((k) => [k, ins[k]!]), ...train.flatMap((k) => [[`m.${k}`, ins[k]!], [`s.${k}`, ins[k]!]])] as [string, TensorType][];
for (const [k, t] of all) ins[k] = t;
const graph = trace("step", ins, (i) => {
  let x = i.embed!.gather(i.tokens!).mul(Math.sqrt(D));
  const pos = iota([B, T], 1);
  const norm = (x: Tensor, s: Tensor) => rmsNorm(x, s, { epsilon: 1e-6, offset: 1 });
  for (let l = 0; l < L; l++) {
    const w = (n: string) => i[`${n}.${l}`]!;
    const n = norm(x, w("n1"));
    const lora = (y: Tensor, a: string, b: string) => y.add(einsum("btr,rnh->btnh", einsum("btd,dr->btr", n, w(a)), w(b)));
    const q = rotaryEmbedding(lora(einsum("btd,nhd->btnh", n, w("q")), "qa", "qb"), pos, i.freq!);
    const k = rotaryEmbedding(einsum("btd,nhd->btnh", n, w("k")), pos, i.freq!);
    const v = lora(einsum("btd,nhd->btnh", n, w("v")), "va", "vb");
    const a = attention({ query: q, key: k, value: v, queryPositions: pos, keyPositions: pos }, { scale: H ** -0.5, softCap: 50, window: l % 2 ? null : 4096 });
    x = x.add(norm(einsum("btnh,dnh->btd", a, w("o")), w("n2")));
    const m = norm(x, w("n3"));
    const h = gelu(einsum("btd,fd->btf", m, w("g"))).mul(einsum("btd,fd->btf", m, w("u")));
    x = x.add(norm(einsum("btf,df->btd", h, w("d")), w("n4")));
  }
  let logits = einsum("btd,vd->btv", norm(x, i.fn!), i.embed!);
  logits = logits.mul(1 / 30).tanh().mul(30);
  const loss = crossEntropy(logits, i.labels!).mean();
  const gs = gradients(loss, train.map((k) => i[k]!));
  const out: Record<string, Tensor> = { loss };
  train.forEach((k, j) => {
    const g = gs[j]!;
    const m = i[`m.${k}`]!.mul(0.9).add(g.mul(0.1)), s = i[`s.${k}`]!.mul(0.999).add(g.square().mul(0.001));
    out[k] = i[k]!.sub(m.div(s.sqrt().add(1e-8)).mul(1e-3)); out[`m.${k}`] = m; out[`s.${k}`] = s;
  });
  return out;
});
const names = graph.inputNames;
const donate = new Map(graph.outputNames.slice(1).map((n, o) => [names.indexOf(n), o + 1]));
let t0 = performance.now();
const lowered = lower(prepare(graph, cpuSupport));
console.log("lower ms", (performance.now() - t0).toFixed(0), "nodes", graph.nodes.length, "->", lowered.model.nodes.length, "inputs", names.length);
const counts: Record<string, number> = {};
for (const n of lowered.model.nodes) counts[n.op] = (counts[n.op] ?? 0) + 1;
console.log(JSON.stringify(counts));
if (Deno.args[3]) Deno.writeTextFileSync(Deno.args[3], printModel(lowered.model));
const backend = onnxBackend({ threads: 2, session: { optimization: opt, ...(profile && profile !== "-" ? { profilePath: profile } : {}) } });
t0 = performance.now();
const program = await backend.compile(graph, { device: backend.devices[0]!, donate });
console.log("compile ms", (performance.now() - t0).toFixed(0));
const bufs = Object.entries(ins).map(([k, t], j) => {
  const n = sizeOf(t.shape);
  if (t.dtype === "int32") return backend.upload(hostTensor("int32", t.shape, Int32Array.from({ length: n }, (_, i) => (i * 7919) % V)));
  if (/^[ms]\./.test(k)) return backend.zeros(t);
  const a = new Float32Array(n); const sc = k === "freq" ? 0.1 : 1 / Math.sqrt(t.shape.at(-1)!); for (let i = 0; i < n; i++) a[i] = Math.sin(i * 12.9898 + j) * sc;
  return backend.upload(hostTensor("float32", t.shape, a));
});
const rss = () => (Deno.memoryUsage().rss / 2 ** 20).toFixed(0);
console.log("rss before", rss());
const times: number[] = [];
for (let i = 0; i < 8; i++) {
  const t = performance.now(); const out = await program.run(bufs); times.push(performance.now() - t);
  const loss = (await out[0]!.read()).data[0]; out[0]!.dispose(); console.log(i, times.at(-1)!.toFixed(0), "ms loss", loss, "rss", rss());
}
const best = Math.min(...times);
console.log("best", best.toFixed(0), "ms =>", (B * T / best * 1000).toFixed(0), "tok/s");
program.dispose(); await new Promise((r) => setTimeout(r, 100));
