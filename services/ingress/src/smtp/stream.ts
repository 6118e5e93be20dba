import { SMTPStream } from 'smtp-server/lib/smtp-stream';
import { Input, type InputOwner } from '../wire/input.ts';

export interface StreamOwner extends InputOwner {
  /** The client has closed its side, and everything before that was handled. */
  onEnd(): void;
}

/** Reads in place of smtp-server's parser, which takes LF for a line end and spends a turn of the event loop on each dotted line. */
export class IngressStream extends SMTPStream {
  readonly input: Input;
  private readonly owner: StreamOwner;

  constructor(owner: StreamOwner) {
    super();
    this.owner = owner;
    this.input = new Input(owner, () => this.isClosed);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding | 'buffer', done: () => void): void {
    this.input.read(chunk, done);
  }

  /** The base class would run a last line that has no line end. */
  override _flushData(): void {
    if (!this.isClosed) this.owner.onEnd();
  }
}
