"""Makes libraries that stand for NVIDIA's, so that ONNX Runtime's CUDA engine loads and runs without a GPU.

Memory is the host's, copies copy, launches do nothing: everything but arithmetic can be looked at. FAKE_GPUS is the number
of GPUs (2), FAKE_LOG=1 prints allocations, copies and launches.

Made and used with onnxruntime-gpu 1.30.0 (CUDA 13) and the headers of nvidia-cuda-runtime 13.5:

    pip download --no-deps onnxruntime-gpu==1.30.0 nvidia-cuda-runtime    # unzip both
    python make_cuda_stand_ins.py <libonnxruntime_providers_cuda.so> <folder of cuda_runtime_api.h> <folder for the results>

Copy both libonnxruntime_providers_*.so beside the library of onnxruntime-node, and run with LD_LIBRARY_PATH=<results>.
It needs gcc and nm.
"""

import re
import subprocess
import sys
from pathlib import Path

# What the stand-in of the CUDA runtime does; every other function of it returns 0.
RUNTIME = r"""
#include <driver_types.h>
static __thread int current = 0;
static int gpus(void) { const char *s = getenv("FAKE_GPUS"); return s ? atoi(s) : 2; }
static void say(const char *what, size_t bytes, int detail) {
  if (getenv("FAKE_LOG")) fprintf(stderr, "[%s %zu bytes, %d]\n", what, bytes, detail);
}
int cudaGetDeviceCount(int *n) { *n = gpus(); return *n ? 0 : 100; }
int cudaSetDevice(int d) { if (d >= gpus()) return 101; current = d; return 0; }
int cudaGetDevice(int *d) { *d = current; return 0; }
int cudaGetDeviceProperties(struct cudaDeviceProp *p, int d) {
  memset(p, 0, sizeof *p);
  strcpy(p->name, "Stand-in GPU");
  p->totalGlobalMem = 80ull << 30; p->major = 9; p->multiProcessorCount = 132; p->maxThreadsPerBlock = 1024;
  p->warpSize = 32; p->sharedMemPerBlock = 49152; p->regsPerBlock = 65536; p->maxThreadsPerMultiProcessor = 2048;
  p->sharedMemPerBlockOptin = 232448; p->maxGridSize[0] = 2147483647;
  return 0;
}
int cudaDeviceGetAttribute(int *v, int a, int d) { *v = a == 16 ? 132 : a == 75 ? 9 : a == 76 ? 0 : a == 10 ? 32 : 1024; return 0; }
int cudaMalloc(void **p, size_t n) {
  say("malloc", n, current);
  *p = aligned_alloc(256, (n + 255) / 256 * 256);
  if (*p) memset(*p, 0, n);
  return *p ? 0 : 2;
}
int cudaFree(void *p) { say("free", 0, current); free(p); return 0; }
int cudaMallocHost(void **p, size_t n) { *p = malloc(n); return 0; }
int cudaHostAlloc(void **p, size_t n, unsigned f) { *p = malloc(n); return 0; }
int cudaFreeHost(void *p) { free(p); return 0; }
int cudaMemcpy(void *d, const void *s, size_t n, int kind) { say("copy of kind", n, kind); memcpy(d, s, n); return 0; }
int cudaMemcpyAsync(void *d, const void *s, size_t n, int kind, void *q) { say("later copy of kind", n, kind); memcpy(d, s, n); return 0; }
int cudaMemset(void *d, int v, size_t n) { memset(d, v, n); return 0; }
int cudaMemsetAsync(void *d, int v, size_t n, void *q) { memset(d, v, n); return 0; }
int cudaMemGetInfo(size_t *f, size_t *t) { *f = 70ull << 30; *t = 80ull << 30; return 0; }
const char *cudaGetErrorString(int e) { static char b[64]; sprintf(b, "stand-in error %d", e); return b; }
const char *cudaGetErrorName(int e) { return "standInError"; }
int cudaStreamCreate(void **p) { *p = malloc(8); return 0; }
int cudaStreamCreateWithFlags(void **p, unsigned f) { *p = malloc(8); return 0; }
int cudaStreamSynchronize(void *q) { say("wait for stream", 0, current); return 0; }
int cudaEventCreate(void **p) { *p = malloc(8); return 0; }
int cudaEventCreateWithFlags(void **p, unsigned f) { *p = malloc(8); return 0; }
void **__cudaRegisterFatBinary(void *x) { return malloc(64); }
int cudaDriverGetVersion(int *v) { *v = 13000; return 0; }
int cudaRuntimeGetVersion(int *v) { *v = 13000; return 0; }
int cudaPointerGetAttributes(void *a, const void *p) { memset(a, 0, 32); return 0; }
int __cudaLaunchKernel(void *f) { say("launch", 0, current); return 0; }
int cudaLaunchKernel(void *f) { say("launch", 0, current); return 0; }
"""

# What the stand-in of the driver does, which this engine does not call but Tessera does.
DRIVER = r"""
static int gpus(void) { const char *s = getenv("FAKE_GPUS"); return s ? atoi(s) : 2; }
int cuInit(unsigned f) { return gpus() ? 0 : 100; }
int cuDeviceGetCount(int *n) { *n = gpus(); return 0; }
int cuDeviceGet(int *d, int i) { *d = i; return 0; }
int cuDeviceGetName(char *s, int n, int d) { snprintf(s, n, "Stand-in GPU %d", d); return 0; }
int cuDeviceTotalMem_v2(size_t *b, int d) { *b = 80ull << 30; return 0; }
"""

INCLUDES = "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"


def stub(name: str) -> str:
    """A function that says that all went well."""
    if name == "cudnnGetVersion":
        return f"size_t {name}() {{ return 91500; }}"
    if "String" in name or "GetStatus" in name:
        return f'const char *{name}() {{ return "stand-in"; }}'
    if re.search("^(cublas|cublasLt|cudnn|curand)Create", name):
        return f"int {name}(void **p) {{ static char made[64]; *p = made; return 0; }}"
    if name.startswith("cudnn") and name.endswith("Size"):
        return f"int {name}(void *a, void *b, void *c, void *d, size_t *s) {{ *s = 16; return 0; }}"
    return f"int {name}() {{ return 0; }}"


def needed(engine: Path) -> dict[str, list[str]]:
    """The functions that the engine takes from each library."""
    libraries: dict[str, list[str]] = {"libcurand.so.10": [], "libcuda.so.1": []}
    for line in subprocess.check_output(["nm", "-D", "--undefined-only", engine], text=True).splitlines():
        name, _, library = line.split()[-1].partition("@")
        if library.startswith("lib"):
            libraries.setdefault(library.lstrip("@"), []).append(name)
        elif not library and name.startswith("cu"):
            libraries["libcuda.so.1"].append(name)
    # cuDNN's functions are looked up by name when a run needs them.
    names = re.findall(rb"(?<=\0)(cudnn[A-Z]\w+)(?=\0)", engine.read_bytes())
    libraries["libcudnn.so.9"] = sorted({name.decode() for name in names})
    return libraries


def main() -> None:
    engine, headers, results = map(Path, sys.argv[1:])
    results.mkdir(parents=True, exist_ok=True)
    for library, names in needed(engine).items():
        own = {"libcudart": RUNTIME, "libcuda": DRIVER}.get(library.split(".")[0], "")
        missing = [stub(name) for name in names if not re.search(rf"\b{name}\(", own)]
        source, versions = results / f"{library}.c", results / f"{library}.map"
        source.write_text("\n".join([INCLUDES, own, *missing]))
        command = ["gcc", "-w", "-shared", "-fPIC", "-I", headers, "-o", results / library, source, f"-Wl,-soname,{library}"]
        if library not in ("libcuda.so.1", "libcudnn.so.9"):
            versions.write_text(f"{library} {{ global: *; }};\n")
            command.append(f"-Wl,--version-script={versions}")
        if own is RUNTIME:
            # Headers that only NVIDIA's compiler has.
            defines = ["device_builtin__", "cudart_builtin__", "host__", "device__", "specialization_static", "no_return__"]
            shim = results / "crt"
            shim.mkdir(exist_ok=True)
            (shim / "host_defines.h").write_text(
                "\n".join(f"#define __{name}" for name in defines)
                + "\n#define __device_builtin_texture_type__\n#define __device_builtin_surface_type__\n#define CUDARTAPI\n"
                + "#define CUDART_CB\n#define __align__(n) __attribute__((aligned(n)))\n#define __builtin_align__(n) __align__(n)\n"
            )
            command += ["-I", results]
        subprocess.check_call(command)
        print(library, len(names))


if __name__ == "__main__":
    main()
