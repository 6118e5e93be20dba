/** Ends the command with a text for the operator instead of a stack. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: number;
  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The terminal, as the commands see it. */
export interface Terminal {
  readonly stdin: NodeJS.ReadableStream;
  readonly write: (text: string) => void;
}
