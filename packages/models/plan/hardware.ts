/** What devices can do, as their makers publish it; a plan's times follow from these figures. */

/** The abilities of one device. */
export interface Hardware {
  /** What it is. */
  readonly title: string;
  /** Floating-point operations per second of matrix products, in half-precision floats and in float32. */
  readonly peak: { readonly half: number; readonly float32: number };
  /** Memory, in bytes. */
  readonly memory: number;
  /** What can be read from and written to that memory, in bytes per second. */
  readonly bandwidth: number;
  /** What it can send to other devices of the mesh, in bytes per second. */
  readonly linkBandwidth: number;
  /** What a collective takes however few bytes it carries, in seconds. */
  readonly latency: number;
  /** Whether it computes in half-precision floats; else those are widened to float32, which takes memory. */
  readonly computesHalf: boolean;
}

const [giga, tera] = [1e9, 1e12];

/**
 * The known devices. Links are counted in one direction: NVLink for the two NVIDIA cards, two of the four links of a TPU,
 * along one axis of its torus; virtual devices of one laptop copy through its memory.
 */
export const hardware = {
  h100: {
    title: "NVIDIA H100 SXM, 80 GB",
    peak: { half: 989 * tera, float32: 67 * tera },
    memory: 80 * giga,
    bandwidth: 3.35 * tera,
    linkBandwidth: 450 * giga,
    latency: 10e-6,
    computesHalf: true,
  },
  a100: {
    title: "NVIDIA A100 SXM, 80 GB",
    peak: { half: 312 * tera, float32: 19.5 * tera },
    memory: 80 * giga,
    bandwidth: 2.04 * tera,
    linkBandwidth: 300 * giga,
    latency: 10e-6,
    computesHalf: true,
  },
  "tpu-v5e": {
    title: "Google TPU v5e, 16 GB",
    // A product in float32 takes six passes in bfloat16.
    peak: { half: 197 * tera, float32: 33 * tera },
    memory: 16 * giga,
    bandwidth: 819 * giga,
    linkBandwidth: 100 * giga,
    latency: 5e-6,
    computesHalf: true,
  },
  laptop: {
    title: "Laptop with 8 cores, 16 GB",
    peak: { half: 0.5 * tera, float32: 0.5 * tera },
    memory: 16 * giga,
    bandwidth: 60 * giga,
    linkBandwidth: 10 * giga,
    latency: 50e-6,
    computesHalf: false,
  },
} as const satisfies Readonly<Record<string, Hardware>>;

/** The name of a known device. */
export type HardwareName = keyof typeof hardware;
