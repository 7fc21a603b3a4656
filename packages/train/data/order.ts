import { type RandomKey, threefry } from "@tessera/core";

/** The numbers below `length` in a random order that follows from the key alone (Fisher and Yates). */
export function randomOrder(length: number, key: RandomKey): Uint32Array {
  const order = Uint32Array.from({ length }, (_, index) => index);
  for (let last = length - 1; last > 0; last--) {
    const [bits] = threefry(key, 0, last);
    const other = Math.floor((bits / 2 ** 32) * (last + 1));
    [order[last], order[other]] = [order[other]!, order[last]!];
  }
  return order;
}
