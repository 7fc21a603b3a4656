/** Dtype policies: what weights are stored in, and what is computed in. */
import type { FloatDType } from "@tessera/core";

/** What weights are stored in, and what activations are computed in. */
export interface DTypePolicy {
  /** The dtype of stored weights. */
  readonly variable: FloatDType;
  /** The dtype of activations; sums over many terms are float32 all the same. */
  readonly compute: FloatDType;
}

const policies = {
  float32: { variable: "float32", compute: "float32" },
  bfloat16: { variable: "bfloat16", compute: "bfloat16" },
  float16: { variable: "float16", compute: "float16" },
  mixed_bfloat16: { variable: "float32", compute: "bfloat16" },
  mixed_float16: { variable: "float32", compute: "float16" },
} as const satisfies Readonly<Record<string, DTypePolicy>>;

/** The name of a policy, as in Keras. */
export type DTypePolicyName = keyof typeof policies;

/**
 * A policy by its name, or as it is.
 *
 * @throws {RangeError} when there is no policy of that name.
 */
export function dtypePolicy(policy: DTypePolicyName | DTypePolicy): DTypePolicy {
  if (typeof policy !== "string") return policy;
  const found = Object.hasOwn(policies, policy) ? policies[policy] : undefined;
  if (found === undefined) {
    throw new RangeError(`Cannot use dtype policy "${policy}": the policies are ${Object.keys(policies).join(", ")}`);
  }
  return found;
}
