/** A file of this machine as a blob, which is read in chunks when it is used and is never in memory as a whole. */

const pieceBytes = 2 ** 18;

/** The bytes of a file from `begin` to `end`; Deno's own blobs hold theirs in memory. */
export class DiskBlob extends Blob {
  readonly #path: string;
  readonly #begin: number;
  readonly #end: number;
  readonly #onRead: (done: number) => void;

  /** Made by `FileEntry.blob()`; `onRead` is told how many bytes a stream has read since it began. */
  constructor(path: string, begin: number, end: number, onRead: (done: number) => void = () => {}) {
    super();
    this.#path = path;
    this.#begin = begin;
    this.#end = Math.max(begin, end);
    this.#onRead = onRead;
  }

  override get size(): number {
    return this.#end - this.#begin;
  }

  /** The same bytes, with one more callback that is told what is read. */
  counted(onRead: (done: number) => void): DiskBlob {
    return new DiskBlob(this.#path, this.#begin, this.#end, (done) => {
      this.#onRead(done);
      onRead(done);
    });
  }

  override slice(start = 0, end = this.size): DiskBlob {
    const at = (place: number) => this.#begin + Math.min(this.size, place < 0 ? Math.max(0, this.size + place) : place);
    return new DiskBlob(this.#path, at(start), at(end), this.#onRead);
  }

  override stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    let [file, at]: [Deno.FsFile | null, number] = [null, this.#begin];
    return new ReadableStream({
      pull: async (controller) => {
        try {
          if (file === null) {
            file = await Deno.open(this.#path);
            await file.seek(at, Deno.SeekMode.Start);
          }
          const piece = new Uint8Array(Math.min(pieceBytes, this.#end - at));
          const count = piece.length === 0 ? 0 : await file.read(piece);
          if (count === null) {
            throw new RangeError(
              `Cannot read "${this.#path}": it ends at byte ${at}, expected ${this.#end}; it was cut short meanwhile`,
            );
          }
          at += count;
          this.#onRead(at - this.#begin);
          if (count > 0) controller.enqueue(piece.subarray(0, count));
          if (at < this.#end) return;
          file.close();
          controller.close();
        } catch (error) {
          file?.close();
          throw error;
        }
      },
      cancel: () => file?.close(),
    }, { highWaterMark: 0 });
  }

  override async arrayBuffer(): Promise<ArrayBuffer> {
    return await new Response(this.stream()).arrayBuffer();
  }

  override async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    return new Uint8Array(await this.arrayBuffer());
  }

  override async text(): Promise<string> {
    return new TextDecoder().decode(await this.arrayBuffer());
  }
}
