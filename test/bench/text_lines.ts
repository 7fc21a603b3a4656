/** Text in chunks as text in lines. */
export class TextLineStream extends TransformStream<string, string> {
  /** Makes a stream that holds back an unfinished line until its end or the end of the text. */
  constructor() {
    let rest = "";
    super({
      transform(chunk, controller) {
        const lines = (rest + chunk).split("\n");
        rest = lines.pop()!;
        lines.forEach((line) => controller.enqueue(line));
      },
      flush(controller) {
        if (rest !== "") controller.enqueue(rest);
      },
    });
  }
}
