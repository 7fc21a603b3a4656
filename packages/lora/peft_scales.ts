/** The rank and alpha of each module in PEFT's fields `r`, `lora_alpha`, `rank_pattern` and `alpha_pattern`, both ways. */
import type { Adapted } from "./enable.ts";
import type { PeftConfig } from "./peft_config.ts";
import { patternOf, valueFor } from "./peft_patterns.ts";

/** The rank of a module, and the alpha by which alpha/rank is the scale of its update. */
export function scaleOf(module: string, config: PeftConfig): { readonly rank: number; readonly alpha: number } {
  const rank = valueFor(module, config.rankPattern, config.r);
  const alpha = valueFor(module, config.alphaPattern, config.loraAlpha);
  return { rank, alpha: config.useRslora ? alpha * Math.sqrt(rank) : alpha };
}

/** The rank and alpha that most modules have, and patterns for those that have others. */
export function scaleFields(modules: ReadonlyMap<string, readonly Adapted[]>): Record<string, unknown> {
  const all = [...modules].map(([module, adapted]) => [module, adapted[0]!.adapter] as const);
  const most = (field: "rank" | "alpha") => {
    const counts = new Map<number, number>();
    for (const [, adapter] of all) counts.set(adapter[field], (counts.get(adapter[field]) ?? 0) + 1);
    return [...counts].reduce((best, next) => next[1] > best[1] ? next : best)[0];
  };
  const others = (field: "rank" | "alpha") =>
    Object.fromEntries(
      all.filter(([, adapter]) => adapter[field] !== most(field)).map((
        [module, adapter],
      ) => [patternOf(module), adapter[field]]),
    );
  return {
    r: most("rank"),
    lora_alpha: most("alpha"),
    rank_pattern: others("rank"),
    alpha_pattern: others("alpha"),
  };
}
