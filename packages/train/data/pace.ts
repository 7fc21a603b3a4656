/**
 * Makes a function to call between pieces of long work: it gives other tasks a turn when too much time has passed since
 * the last one, so that timers and the progress line are never late by much more than `budget` milliseconds.
 */
export function createPacer(budget = 8): () => Promise<void> | undefined {
  let resumed = performance.now();
  return () => {
    if (performance.now() - resumed < budget) return;
    return new Promise<void>((resolve) =>
      setTimeout(() => {
        resumed = performance.now();
        resolve();
      }, 0)
    );
  };
}
