/**
 * Training: data, losses, optimizers, schedules and the trainer.
 *
 * @module
 */
export * from "@tessera/train";
