/** The two ends of a language model: the embedding of its tokens, and the head that predicts them. */
import type { FloatDType, Tensor } from "@tessera/core";
import { activation, contract, type Initializer, lookup, randomNormal, type Variable } from "@tessera/nn";
import type { ModelScope } from "./model_scope.ts";

/** A token embedding and the head, which may be the embedding itself. */
export interface Tokens {
  /** The embedding, [vocabulary, hidden]. */
  readonly embeddings: Variable;
  /** The head, [hidden, vocabulary]; `null` where it is the embedding. */
  readonly head: Variable | null;
}

/** How the two are made. */
export interface TokensSpec {
  /** The number of tokens. */
  readonly vocabularySize: number;
  /** The hidden size. */
  readonly hiddenDim: number;
  /** Whether the head is the embedding; a checkpoint may hold it as `lm_head.weight` all the same. */
  readonly isTied: boolean;
  /** How the embedding's values are made when no checkpoint gives them; by the hidden size unless given. */
  readonly initializer?: Initializer;
}

/** Declares `token_embedding/embeddings`, from `<module>.embed_tokens.weight`, and the head, from `lm_head.weight`. */
export function declareTokens(scope: ModelScope, module: string, spec: TokensSpec): Tokens {
  const { vocabularySize, hiddenDim, isTied, initializer = randomNormal(hiddenDim ** -0.5) } = spec;
  const embeddings = scope.variable("token_embedding/embeddings", `${module}.embed_tokens.weight`, {
    shape: [vocabularySize, hiddenDim],
    layout: ["model", "batch"],
    summed: [1],
    fewestBits: 8,
    initializer,
  });
  if (isTied) {
    scope.copy("lm_head.weight", embeddings);
    return { embeddings, head: null };
  }
  const head = scope.variable("token_embedding/reverse_embeddings", "lm_head.weight", {
    shape: [hiddenDim, vocabularySize],
    layout: ["batch", "model"],
    order: [1, 0],
    summed: [0],
    fewestBits: 8,
    initializer: randomNormal(0.02),
  });
  return { embeddings, head };
}

/** The embeddings of tokens int32 [batch, time], [batch, time, hidden]. */
export function embed({ embeddings }: Tokens, tokenIds: Tensor, compute: FloatDType): Tensor {
  return activation("token_embedding", lookup(embeddings, tokenIds, compute));
}

/** The logits of hidden states, [.., hidden] to [.., vocabulary]. */
export function tokenLogits({ embeddings, head }: Tokens, hidden: Tensor): Tensor {
  const rows = hidden.rank === 3 ? "bt" : "b";
  return head === null
    ? contract(`${rows}d,vd->${rows}v`, hidden, embeddings)
    : contract(`${rows}d,dv->${rows}v`, hidden, head);
}

/** `cap` · tanh(x / `cap`), elementwise; x where there is no cap. */
export function softCapped(x: Tensor, cap: number | null): Tensor {
  return cap === null ? x : x.mul(1 / cap).tanh().mul(cap);
}
