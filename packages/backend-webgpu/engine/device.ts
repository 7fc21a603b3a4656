/** Finding a GPU, and saying what to do where there is none. */

/** The features that programs use where they are there. */
const wanted: readonly GPUFeatureName[] = ["timestamp-query"];

/** The limits that are raised to what the adapter has. */
const raised = [
  "maxStorageBufferBindingSize",
  "maxBufferSize",
  "maxComputeWorkgroupStorageSize",
  "maxComputeWorkgroupsPerDimension",
  "maxComputeWorkgroupSizeX",
  "maxComputeInvocationsPerWorkgroup",
  "maxStorageBuffersPerShaderStage",
] as const satisfies readonly (keyof GPUSupportedLimits)[];

/** A device with its adapter's description. */
export interface OpenDevice {
  /** The device. */
  readonly device: GPUDevice;
  /** The adapter's description of itself. */
  readonly info: GPUAdapterInfo | undefined;
  /** Whether it was opened here, and so is closed here. */
  readonly owned: boolean;
}

/**
 * Asks for the machine's GPU with all that it offers.
 *
 * @throws {Error} when WebGPU or an adapter is missing, with what brings it.
 */
export async function openDevice(): Promise<OpenDevice> {
  const gpu: GPU | undefined = globalThis.navigator?.gpu;
  if (gpu === undefined) {
    throw new Error(
      'Cannot start the backend "webgpu": this JavaScript runtime has no navigator.gpu; use Deno 2.9 or a browser with ' +
        "WebGPU, on a page that was loaded over https or from localhost",
    );
  }
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter === null) {
    throw new Error(
      'Cannot start the backend "webgpu": no GPU adapter was found; install the driver of your GPU, or a software one: ' +
        "apt-get install mesa-vulkan-drivers",
    );
  }
  const requiredLimits = Object.fromEntries(raised.map((name) => [name, adapter.limits[name]]));
  const requiredFeatures = wanted.filter((feature) => adapter.features.has(feature));
  const device = await adapter.requestDevice({ requiredLimits, requiredFeatures });
  return { device, info: adapter.info, owned: true };
}

/** Tells whether an adapter is a driver that runs programs on the processor, such as Mesa's llvmpipe and SwiftShader. */
export function isOnProcessor(info: GPUAdapterInfo | undefined): boolean {
  if (info === undefined) return false;
  const { isFallbackAdapter, architecture, description } = info;
  return isFallbackAdapter || /llvmpipe|swiftshader|basic render/i.test(`${architecture} ${description}`);
}

/** An adapter in words. */
export function describeAdapter(info: GPUAdapterInfo | undefined): string {
  const { vendor = "", architecture = "", description = "" } = info ?? {};
  // Drivers without a name for their vendor give its number.
  const name = description || [vendor, architecture].filter((part) => part !== "" && !/^\d+$/.test(part)).join(" ");
  const known = name || "an adapter that does not say what it is";
  return isOnProcessor(info) ? `${known}, a driver that runs on the processor in place of a GPU, and is slow` : known;
}
