/** The tokenizer of `paligemma-tiny`: that of `gemma2-tiny`, trained on the texts about shapes, followed by PaliGemma's tokens. */
import { createRandom, tokenizerConfig, tokenizerJson, trainVocabulary } from "@tessera/tiny";
import { contextLength, imageTokens, tokenizerTraining } from "./recipe.ts";
import { type Color, colors, drawScene, tasksOf } from "./scene.ts";

/** The texts of scenes, without the tokens of places. */
function* texts(): Generator<string> {
  const random = createRandom(tokenizerTraining.seed);
  for (let i = 0; i < tokenizerTraining.scenes; i++) {
    for (const { prompt, response } of tasksOf(drawScene(random, Object.keys(colors) as Color[]), random)) {
      yield `${prompt}\n${response.replaceAll(/<\w+>/g, "")}`;
    }
  }
}

/** The contents of `tokenizer.json` and `tokenizer_config.json`. */
export function tokenizerFiles(): {
  readonly tokenizer: Record<string, unknown>;
  readonly config: Record<string, unknown>;
} {
  const { vocabularySize } = tokenizerTraining;
  const json = tokenizerJson(trainVocabulary(texts(), { vocabularySize }));
  const added = imageTokens.map((content, i) => ({
    id: vocabularySize + i,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    // Places and codes are part of an answer, so they are not special.
    special: content === "<image>",
  }));
  const { chat_template: _, ...config } = tokenizerConfig(contextLength);
  return {
    tokenizer: { ...json, added_tokens: [...json.added_tokens as unknown[], ...added] },
    config: { ...config, image_token: "<image>", extra_special_tokens: { image_token: "<image>" } },
  };
}
