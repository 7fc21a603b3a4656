/**
 * What backends share: checks of what they are given, turns on buffers, and the plan of an einsum as a matrix product.
 *
 * @module
 */
export { checkDevice, checkDonations, checkInputs, deviceOfRun, virtualDevices } from "./checks.ts";
export { planEinsum } from "./einsum_plan.ts";
export type { BroadcastPlan, OperandPlan, ProductPlan } from "./einsum_plan.ts";
export { pause, runPhases } from "./executor/phases.ts";
export { endTurn, idle, newTurns, takeTurn, whenAllFree, whenFree } from "./turns.ts";
export type { Turns, Use } from "./turns.ts";
